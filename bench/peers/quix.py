"""Quix Streams: windows by `tumbling_window(...).reduce(...).final()`, RocksDB state with changelogs.

As its documentation recommends: event time by a timestamp extractor, one StreamingDataFrame a topic, JSON
deserializers; tuned with `closing_strategy="partition"` (no key waits for its own next record) and a longer commit
interval. Messages are keyed by series already, so nothing is repartitioned.

python quix.py BROKER PREFIX
"""

from __future__ import annotations

import sys
import tempfile

from quixstreams import Application
from reading import KINDS, MINUTE_MS, add, empty, reading, result


def main(broker: str, prefix: str) -> None:
    app = Application(
        broker_address=broker,
        consumer_group=f"{prefix}.quix",
        auto_offset_reset="earliest",
        commit_interval=5.0,
        state_dir=tempfile.mkdtemp(),
        loglevel="WARNING",
    )
    results = app.topic(f"{prefix}.peer.quix", value_serializer="json")
    for kind in KINDS:
        frame = app.dataframe(
            app.topic(
                f"{prefix}.logs.{kind}",
                value_deserializer="json",
                timestamp_extractor=lambda log, *_, kind=kind: reading(kind, log).at_ms,
            )
        )
        frame = frame.apply(lambda log, kind=kind: reading(kind, log)._asdict())
        frame = (
            frame.tumbling_window(MINUTE_MS, grace_ms=10_000)
            .reduce(
                initializer=lambda r: {"series": r["series"], **add(empty(), r["latency_ms"], r["is_error"])},
                reducer=lambda state, r: add(state, r["latency_ms"], r["is_error"]),
            )
            .final(closing_strategy="partition")
        )
        frame = frame.apply(lambda window: result(window["value"]["series"], window["start"], window["value"]))
        frame.to_topic(results)
    app.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
