"""Fixed data for the dashboard: a simulated pipeline, decoded, folded and published by the project's own code.

Seeded: the same records whenever they are asked for. The clock stands at NOW.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def folded(records: Sequence[Recorded], raw: dict[tuple[str, int], list[RawRecord]]) -> Folded:
    """Windows by (kind, labels, start), of records on partition 0 of their topics; `raw` gets the records."""
    found: Folded = {}
    for name, kind in KINDS.items():
        mine = [record for record in records if record.topic == f"logs.{name}"]
        headers = (("ce_type", b"log." + name.encode()),)
        raw[name, 0] = [
            RawRecord(0, n, r.timestamp_ms, (r.key or "").encode(), r.value, headers) for n, r in enumerate(mine)
        ]
        decoded = kind.decode([r.value for r in mine], np.array([r.timestamp_ms for r in mine]))
        lines, windows, which = decoded.lines, {}, []
        for row, at in enumerate(lines.timestamp_ms.tolist()):
            place = (name, tuple(column[row] for column in lines.labels), window_start(at))
            which.append(windows.setdefault(place, len(windows)))
        wholes = [Aggregate.empty(kind) for _ in windows]
        fold(kind, wholes, np.array(which), lines, 0, np.asarray(decoded.rows))
        found |= zip(windows, wholes, strict=True)
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
        {"v": 1, "rule": "error-rate", "kind": "airflow", "labels": {"dag_id": "etl_orders",
         "task_id": "transform"}, "entity": "etl_orders/transform", "state": "resolved", "severity": "warning",
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
    first = window_start(NOW - HOUR_MS)
    records = [record for start in range(first, NOW, MINUTE_MS) for record in pipeline.minute(start)]
    done = [record for record in records if record.timestamp_ms <= NOW]
    return values_of(folded(done, raw)), raw


def feed(
    values: Sequence[bytes] | None = None,
    alerts: Sequence[bytes] = ALERTS,
    clock: Callable[[], int] = lambda: NOW,
) -> FixedFeed:
    """A feed of the hour, or of other values, whose clock stands."""
    metrics, raw = hour()
    return FixedFeed(metrics if values is None else values, alerts, raw, clock=clock)
