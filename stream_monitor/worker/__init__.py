"""The only room that says "faust": consume, fold, checkpoint, merge, publish.

transport    one event = one fetched batch of one partition; commits only what a checkpoint allows
outbox       everything the worker sends, with receipts for what was acknowledged
state        a partition of a table: RocksDB beside its changelog
task         what the owner of a partition does, whatever it owns: position, checkpoint, commit
ingest       a source partition: records → rows → partials
merge        a partials partition: partials → metrics, and their rollups
app          the Faust application that holds them together
health       /healthz, /readyz, /metrics
"""
