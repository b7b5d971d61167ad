"""The owner of a partials partition: partials → metrics, minute by minute, and their rollups.

A partial replaces an older one of the same source partition; the merge of the newest ones is published on
arrival: to metrics.live while its window is open, to metrics.1m once it has closed. What closes, what retires
and what is late follows from the records of the partition alone, so a replay decides the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from faust.types import TP

from stream_monitor import wire
from stream_monitor.core.metric import Metric
from stream_monitor.core.progress import PartitionProgress
from stream_monitor.core.record import Rejected
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, is_closed
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.worker import failpoint
from stream_monitor.worker.merge_kind import KindState
from stream_monitor.worker.merge_row import DAY, HOUR, MINUTE, STUB, MinuteRow, tag
from stream_monitor.worker.outbox import Outbox
from stream_monitor.worker.rollup import Rollups
from stream_monitor.worker.state import PartitionState, key_parts, row_key
from stream_monitor.worker.store import stamped
from stream_monitor.worker.task import PartitionTask
from stream_monitor.worker.transport import BatchConsumer

log = logging.getLogger(__name__)

_TOPICS = {MINUTE_MS: "metrics.1m", HOUR_MS: "metrics.1h", DAY_MS: "metrics.1d"}


_BACKLOG_FLUSH_MS = 3000
"""How often open minutes of a backlog are published: they change many times and close soon."""


@lru_cache(maxsize=65536)
def _labels(series: bytes) -> tuple[str, ...]:
    return wire.series_parts(series)[1]


class MergeTask(PartitionTask):
    """Merges one partials partition. `metrics_partitions` is that of every metrics topic."""

    def __init__(
        self,
        tp: TP,
        state: PartitionState,
        outbox: Outbox,
        consumer: BatchConsumer,
        settings: Settings,
        metrics_partitions: int,
    ) -> None:
        self._metrics_partitions = metrics_partitions
        self._grace_ms = round(settings.grace * 1000)
        self._rows: dict[bytes, MinuteRow] = {}
        self._touched: list[MinuteRow] = []
        self._all_published_ms = 0
        self._unsaved: list[MinuteRow] = []
        self._stubs: dict[bytes, dict[int, list[int]]] = {}
        margin_ms = round(settings.idle_after * 1000)
        self._kinds = {
            name: KindState(
                kind, Rollups(kind, state, self._find_minute(name), _labels, self._grace_ms), margin_ms
            )
            for name, kind in KINDS.items()
        }
        self._inherited_end: int | None = None
        """The partials partition's end when we began to read: a former owner has read no further."""
        super().__init__(tp, state, outbox, consumer, settings)
        for of in self._kinds.values():
            self._bury(of)
            self._load_open(of)

    def _bury(self, of: KindState) -> None:
        """Rows behind the last sweep left tombstones; what stands there again was written by a worker that
        had lost the partition without knowing it.
        """
        risen: dict[bytes, bytes | None] = {}
        for what, size_ms in ((MINUTE, MINUTE_MS), (HOUR, HOUR_MS), (DAY, DAY_MS)):
            prefix = tag(what, of.kind.name)
            for key, _ in self.state.scan(prefix):
                if key_parts(prefix, key)[0] + size_ms > of.swept_ms:
                    break
                risen[key] = None
        if risen:
            log.warning("%s: %d rows of a former owner came back and are deleted", self.tp, len(risen))
            self.state.write(risen, self.receipt)

    def _load_open(self, of: KindState) -> None:
        prefix = tag(MINUTE, of.kind.name)
        for key, stored in self.state.scan(prefix):
            start_ms, series = key_parts(prefix, key)
            of.inherited_ms = max(of.inherited_ms, start_ms + MINUTE_MS)
            if not is_closed(start_ms, of.closed_ms, self._grace_ms):
                of.open.setdefault(start_ms, set()).add(series)
                row = self._rows[key] = MinuteRow(of.kind, key, series, start_ms, stored)
                row.touched = True  # the checkpoint may have come before its result
                self._touched.append(row)
            if start_ms + MINUTE_MS > of.merged.until_ms:
                for partition, _, records, _ in wire.row_in(stored)["parts"]:
                    of.merged.add(start_ms + MINUTE_MS, partition, records)
        prefix = tag(STUB, of.kind.name)
        for key, stored in self.state.scan(prefix):
            end_ms = key_parts(prefix, key)[0] + MINUTE_MS
            if end_ms > of.late.until_ms:
                for partition, (_, _, late) in wire.row_in(stored)["parts"]:
                    of.late.add(end_ms, partition, late)
        of.rollups.load(of.closed_ms)

    # Meta row

    def restore(self, meta: dict[str, Any]) -> None:
        for name, plain in meta["kinds"].items():
            self._kinds[name].restore(plain)

    def meta(self) -> dict[str, Any]:
        return {"kinds": {name: of.meta() for name, of in self._kinds.items()}}

    def on_committed(self, meta: dict[str, Any]) -> None:
        for name, plain in meta["kinds"].items():
            self._kinds[name].on_committed(plain)

    def merged(self) -> Iterator[tuple[str, str, int, int]]:
        """(kind, outcome, source partition, log records): `published`, or `late` for a retired window."""
        for name, of in self._kinds.items():
            for outcome, ledger in (("published", of.merged), ("late", of.late)):
                for partition, records in ledger.totals().items():
                    yield name, outcome, partition, records

    # Records

    def process(self, records: Sequence[Any]) -> None:
        if self._inherited_end is None:
            self._inherited_end = max(self.end() or 0, records[-1].offset + 1)
        for record in records:
            try:
                item = wire.partials_in(record.value)
            except wire.ForeignRecordError as error:
                self._reject(error, record)
                continue
            of = self._of(item.kind)
            if record.offset < self._inherited_end and isinstance(item, wire.Partial):
                of.inherited_ms = max(of.inherited_ms, item.start_ms + MINUTE_MS)
            if isinstance(item, wire.Tick):
                progress = PartitionProgress(
                    item.position, item.watermark_ms, item.frontier_ms, item.idle, item.at_ms
                )
                of.progress.update(item.partition, item.partitions, progress)
                of.clock_ms = max(of.clock_ms, item.at_ms)
                of.retire(self._grace_ms)
            elif item.start_ms + MINUTE_MS <= of.retired_ms:
                self._late(of, item)
            else:
                self._take(of, item)
        self.position = records[-1].offset + 1
        self.count("read", len(records))
        self._advance()
        self._publish_touched()

    def _of(self, kind: str) -> KindState:
        of = self._kinds.get(kind)
        if of is None:
            raise wire.UnknownVersionError(f"a partial of kind {kind!r}, which this release does not know")
        return of

    def _reject(self, error: wire.ForeignRecordError, record: Any) -> None:
        self.count("not_internal")
        source = (self.tp.topic, self.tp.partition, record.offset, record.timestamp)
        key, value = wire.dlq_record(Rejected("not_internal", str(error)), "partials", source, record.value)
        self.outbox.send(self.settings.topic("dlq"), 0, key, value, self.receipt)

    def _take(self, of: KindState, partial: wire.Partial) -> None:
        series = partial.series
        key = row_key(tag(MINUTE, partial.kind), partial.start_ms, series)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = MinuteRow(of.kind, key, series, partial.start_ms, self.state.get(key))
            if not is_closed(partial.start_ms, of.closed_ms, self._grace_ms):
                of.open.setdefault(partial.start_ms, set()).add(series)
        of.merged.add(partial.start_ms + MINUTE_MS, partial.partition, row.take(partial))
        if not row.touched:
            row.touched = True
            self._touched.append(row)
            of.rollups.note(series, partial.start_ms, of.closed_ms)
        if not row.unsaved:
            row.unsaved = True
            self._unsaved.append(row)

    def _late(self, of: KindState, partial: wire.Partial) -> None:
        """Its window has retired: the records that it adds to what was merged go to the DLQ, as one.

        An owner sends nothing for what it has retired itself, so such a partial is an old one.
        """
        said, end_ms = of.progress.partitions.get(partial.partition), partial.start_ms + MINUTE_MS
        if said is not None and end_ms <= said.frontier_ms:
            return
        stub = self._stub(of, partial.series, partial.start_ms)
        base, offset, late = stub.get(partial.partition, [0, -1, 0])
        now_late = partial.records - base
        if partial.offset < offset or not now_late:
            return
        stub[partial.partition] = [base, partial.offset, now_late]  # the same one again: a replay sends it again
        of.late.add(end_ms, partial.partition, now_late - late)
        source = (self.settings.topic(f"logs.{partial.kind}"), partial.partition, partial.offset)
        dlq_key, value = wire.dlq_late_partial(
            of.kind, _labels(partial.series), partial.start_ms, source, now_late
        )
        self.outbox.send(self.settings.topic("dlq"), 0, dlq_key, value, self.receipt)

    def _stub(self, of: KindState, series: bytes, start_ms: int) -> dict[int, list[int]]:
        """What is left of a retired minute: by source partition [records merged, last offset, records late]."""
        key = row_key(tag(STUB, of.kind.name), start_ms, series)
        if key not in self._stubs:
            stored = self.state.get(key)
            if stored is not None:
                self._stubs[key] = dict(wire.row_in(stored)["parts"])
            else:
                row = self._find_minute(of.kind.name)(series, start_ms)
                parts = {} if row is None else row.parts
                self._stubs[key] = {p: [records, offset, 0] for p, (offset, records, _) in parts.items()}
        return self._stubs[key]

    # Results

    def flush(self, now_ms: int, idle_at_ms: int | None) -> None:  # noqa: ARG002
        """Publish what arrival left, now and then."""
        if now_ms - self._all_published_ms >= _BACKLOG_FLUSH_MS:
            self._all_published_ms = now_ms
            self._publish_touched(all_of_them=True)

    def _advance(self) -> None:
        for of in self._kinds.values():
            closing_ms = of.progress.closing_ms()
            if closing_ms <= of.closed_ms:
                continue
            of.closed_ms = closing_ms
            over = [start for start in of.open if is_closed(start, closing_ms, self._grace_ms)]
            for start_ms in sorted(over):
                for series in of.open.pop(start_ms):
                    row = self._find_minute(of.kind.name)(series, start_ms)
                    if row is not None:
                        row.touched = False
                        self._publish_minute(row, final=True)
            for metric in of.rollups.close(closing_ms):
                self._publish(metric, _TOPICS[metric.size_ms])

    def _publish_touched(self, *, all_of_them: bool = False) -> None:
        """Publish the minutes that changed: what has closed, and of the open ones those of now."""
        left = []
        for row in self._touched:
            if not row.touched:
                continue
            of = self._kinds[row.kind.name]
            final = is_closed(row.start_ms, of.closed_ms, self._grace_ms)
            if final or all_of_them or row.start_ms + 2 * MINUTE_MS >= of.clock_ms:
                row.touched = False
                self._publish_minute(row, final=final)
            else:
                left.append(row)
        self._touched = left

    def _publish_minute(self, row: MinuteRow, *, final: bool) -> None:
        metric = Metric(row.kind, _labels(row.series), row.start_ms, MINUTE_MS, final, row.whole())
        self._publish(metric, "metrics.1m" if final else "metrics.live", row.series)

    def _publish(self, metric: Metric, topic: str, series: bytes | None = None) -> None:
        series = series or wire.series_key(metric.kind.name, metric.labels)
        self.outbox.send(
            self.settings.topic(topic),
            wire.partition_for(series, self._metrics_partitions),
            wire.metric_key(series, metric.start_ms),
            wire.metric_value(metric, self.settings.topic(f"logs.{metric.kind.name}")),
            self.receipt,
            metric.start_ms,
        )
        failpoint.reach("metrics_sent")

    def _find_minute(self, kind: str) -> Any:
        """(series, start) → the minute's row, from memory or from the table; None where there is none."""
        prefix = tag(MINUTE, kind)

        def find(series: bytes, start_ms: int) -> MinuteRow | None:
            key = row_key(prefix, start_ms, series)
            row = self._rows.get(key)
            if row is None:
                stored = self.state.get(key)
                if stored is not None:
                    row = MinuteRow(KINDS[kind], key, series, start_ms, stored)
            return row

        return find

    # Checkpoint

    def open_windows(self) -> int:
        """How many minutes of a series are not closed."""
        return sum(len(series) for of in self._kinds.values() for series in of.open.values())

    def unsaved_rows(self) -> int:
        return len(self._unsaved)

    def dirty_rows(self) -> dict[bytes, bytes | None]:
        rows: dict[bytes, bytes | None] = {}
        swept: dict[bytes, bytes | None] = {}
        for row in self._unsaved:
            row.unsaved = False
            rows[row.key] = stamped(self.position or 0, row.out())
        self._unsaved = []
        for of in self._kinds.values():
            for metric in of.rollups.corrections():
                self._publish(metric, _TOPICS[metric.size_ms])
            gone = self._retire_minutes(of)
            over, results = of.rollups.dirty_rows(of.committed_retired_ms, of.inherited_ms)
            rows |= over
            for metric in results:
                self._publish(metric, _TOPICS[metric.size_ms])
            swept |= gone
        rows |= self._dirty_stubs()
        self._evict()
        rows = {key: row for key, row in rows.items() if key not in swept}
        return rows | swept  # after the hours that took them in and the stubs, also in the changelog

    def _retire_minutes(self, of: KindState) -> dict[bytes, bytes | None]:
        """Minutes whose retirement is committed go into their hours, and leave a tombstone.

        What a former owner may have published too is published once more: a worker that was paused may have sent
        an older result behind ours, and Kafka compacts to the last record of a key.
        """
        gone: dict[bytes, bytes | None] = {}
        prefix = tag(MINUTE, of.kind.name)
        for key, stored in self.state.scan(prefix):
            start_ms, series = key_parts(prefix, key)
            if start_ms + MINUTE_MS > of.committed_retired_ms:
                break
            row = self._rows.pop(key, None) or MinuteRow(of.kind, key, series, start_ms, stored)
            if start_ms < of.inherited_ms:
                self._publish_minute(row, final=True)
            of.rollups.retire_minute(row)
            if not of.is_over(start_ms + MINUTE_MS, [(p, [0, 0, 0]) for p in row.parts]):
                self._stub(of, series, start_ms)
            gone[key] = None
        return gone

    def _dirty_stubs(self) -> dict[bytes, bytes | None]:
        rows: dict[bytes, bytes | None] = {}
        for key, parts in self._stubs.items():
            rows[key] = stamped(self.position or 0, wire.row_out({"parts": [*parts.items()]}))
        self._stubs = {}
        for of in self._kinds.values():
            prefix = tag(STUB, of.kind.name)
            for key, stored in self.state.scan(prefix):
                end_ms = key_parts(prefix, key)[0] + MINUTE_MS
                if key not in rows and of.is_over(end_ms, wire.row_in(stored)["parts"]):
                    rows[key] = None
        return rows

    def _evict(self) -> None:
        """Closed minutes leave memory; a correction reads its row back from the table."""
        closed = [
            key
            for key, row in self._rows.items()
            if not row.touched and is_closed(row.start_ms, self._kinds[row.kind.name].closed_ms, self._grace_ms)
        ]
        for key in closed:
            del self._rows[key]
