"""Faust as its documentation has it: Record models, `async for`, a tumbling RocksDB table, one result an event.

The state is a Record in a windowed table on event time (`relative_to_field`), with its changelog; the result goes
to a topic whenever the table changes. Nothing of the project is used.

python faust_app.py BROKER PREFIX
"""

from __future__ import annotations

import sys
import tempfile
from datetime import datetime
from typing import Any

import faust
from reading import KINDS, MINUTE_MS, add, empty, reading, result

broker, prefix = sys.argv[1], sys.argv[2]
app = faust.App(
    f"{prefix}.faust",
    broker=f"kafka://{broker}",
    store="rocksdb://",
    datadir=tempfile.mkdtemp(),
    topic_partitions=4,
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
    web_enabled=False,
)


class Log(faust.Record, serializer="json", coerce=True):
    """A log of any of the three systems."""

    timestamp: datetime
    level: str
    message: str | None = None
    dag_id: str | None = None
    task_id: str | None = None
    consumer_group: str | None = None
    topic: str | None = None
    service: str | None = None
    model_version: str | None = None
    latency_ms: float | None = None


class Window(faust.Record, serializer="json"):
    """A window's state."""

    n: int
    e: int
    s: float
    b: dict[str, int]


results = app.topic(f"{prefix}.peer.faust", value_serializer="json")


def add_agent(kind: str) -> None:
    """One agent and one table a topic."""
    logs = app.topic(f"{prefix}.logs.{kind}", value_type=Log)
    table: Any = (
        app.Table(f"{kind}-windows", default=lambda: Window(**empty()), value_type=Window, partitions=4)
        .tumbling(60.0, expires=3600.0)
        .relative_to_field(Log.timestamp)
    )

    async def aggregate(stream: Any) -> None:
        async for log in stream:
            found = reading(kind, {**log.asdict(), "timestamp": log.timestamp.isoformat()})
            state = table[found.series].value()
            plain = add({"n": state.n, "e": state.e, "s": state.s, "b": state.b}, found.latency_ms, found.is_error)
            table[found.series] = Window(**plain)
            start_ms = found.at_ms // MINUTE_MS * MINUTE_MS
            await results.send(key=found.series, value=result(found.series, start_ms, plain))

    app.agent(logs, name=f"aggregate-{kind}")(aggregate)


for each in KINDS:
    add_agent(each)

if __name__ == "__main__":
    sys.argv[1:] = ["worker", "-l", "warn", "--without-web"]
    app.main()
