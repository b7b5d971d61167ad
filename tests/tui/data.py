"""Fixed data for the dashboard: a simulated pipeline, decoded, folded and published by the project's own code.

Seeded: the same records whenever they are asked for. The clock stands at NOW.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import orjson

from stream_monitor import wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.fold import fold
from stream_monitor.core.metric import Metric
from stream_monitor.core.window import HOUR_MS, MINUTE_MS, window_start
from stream_monitor.feed import FixedFeed, RawRecord
from stream_monitor.kinds import KINDS
from stream_monitor.recording import Recorded
from stream_monitor.simulate import Incident, SimulatedPipeline

NOW = 1_705_314_642_000
"""2024-01-15 10:30:42 UTC."""

Folded = dict[tuple[str, tuple[str, ...], int], Aggregate]


def folded(
    records: Iterable[Recorded], offsets: dict[str, int], raw: dict[tuple[str, int], list[RawRecord]]
) -> Folded:
    """Windows by (kind, labels, start), of records on partition 0 of their topics."""
    found: Folded = {}
    for record in records:
        name = record.topic.removeprefix("logs.")
        kind, offset = KINDS[name], offsets.get(name, 0)
        offsets[name] = offset + 1
        raw.setdefault((name, 0), []).append(
            RawRecord(0, offset, record.timestamp_ms, (record.key or "").encode(), record.value,
                      (("ce_type", b"log." + name.encode()),))
        )  # fmt: skip
        lines = kind.decode([record.value], np.array([record.timestamp_ms])).lines
        if not len(lines):
            continue
        labels = tuple(column[0] for column in lines.labels)
        place = (name, labels, window_start(int(lines.timestamp_ms[0])))
        whole = found.setdefault(place, Aggregate.empty(kind))
        fold(kind, [whole], np.zeros(1, np.int64), lines, 0, np.array([offset]))
    return found


def values_of(windows: Folded, *, now_ms: int = NOW) -> list[bytes]:
    """As the worker would publish them."""
    return [
        wire.metric_value(
            Metric(KINDS[kind], labels, start, MINUTE_MS, start + 70_000 < now_ms, whole), f"logs.{kind}"
        )
        for (kind, labels, start), whole in sorted(windows.items(), key=lambda pair: pair[0][2])
    ]


ALERTS = tuple(
    orjson.dumps(alert)
    for alert in (
        {"v": 1, "rule": "consumer-lag", "kind": "kafka", "labels": {"consumer_group": "event-processor",
         "topic": "events"}, "entity": "event-processor/events", "state": "firing", "severity": "critical",
         "since": "2024-01-15T10:12:00Z", "at": "2024-01-15T10:12:00Z", "value": 61250,
         "summary": "lag of event-processor/events is 61,250 and grows: about 4 minutes behind", "more": 1},
        {"v": 1, "rule": "error-rate", "kind": "airflow", "labels": {"dag_id": "etl_orders", "task_id": "transform"},
         "entity": "etl_orders/transform", "state": "resolved", "severity": "warning",
         "since": "2024-01-15T08:02:00Z", "at": "2024-01-15T08:41:00Z", "value": 0.02,
         "summary": "2.0 % of runs failed, below 5 % for 5 minutes"},
    )
)  # fmt: skip


@lru_cache(maxsize=1)
def hour() -> tuple[list[bytes], dict[tuple[str, int], list[RawRecord]]]:
    """An hour of the pipeline with a consumer that lags in its last half, and what was logged."""
    incident = Incident("consumer-lag", NOW - 30 * MINUTE_MS, NOW - 2 * MINUTE_MS)
    pipeline = SimulatedPipeline(7, (12.0, 60.0, 48.0), (incident,))
    raw: dict[tuple[str, int], list[RawRecord]] = {}
    offsets: dict[str, int] = {}
    first = window_start(NOW - HOUR_MS)
    records = [record for start in range(first, NOW, MINUTE_MS) for record in pipeline.minute(start)]
    done = [record for record in records if record.timestamp_ms <= NOW]
    return values_of(folded(done, offsets, raw)), raw


def feed(values: Sequence[bytes] | None = None, alerts: Sequence[bytes] = ALERTS) -> FixedFeed:
    """A feed of the hour, or of other values, whose clock stands."""
    metrics, raw = hour()
    return FixedFeed(metrics if values is None else values, alerts, raw, clock=lambda: NOW)
