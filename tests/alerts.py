"""Minutes for the alert rules: made by hand, or the example day's; and what an alerts topic comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from stream_monitor import wire
from stream_monitor.core.judge import Judge
from stream_monitor.core.metric import Metric
from stream_monitor.core.window import MINUTE_MS
from tests.expected import FIXTURES
from tests.test_fixtures import fold

START = 1_705_276_800_000 + 86_400_000


class Measured(NamedTuple):
    """A distribution of a minute."""

    count: int = 1
    sum: float = 0.0
    min: float = 0.0
    max: float = 0.0
    mean: float = 0.0
    p50: float | None = None
    p99: float | None = None


class Seen(NamedTuple):
    """A gauge of a minute."""

    last: float
    max: float
    at_ms: int


class Made(NamedTuple):
    """A minute made by hand: what core/measure.py reads of one."""

    kind: str
    labels: tuple[str, ...]
    start_ms: int
    records: int = 1
    error_records: int = 0
    errors: int = 0
    of: int = 1
    volume: float = 1.0
    measures: Mapping[str, Measured] = {}
    gauges: Mapping[str, Mapping[str, Seen]] = {}
    classes: Mapping[str, int] = {}
    exceptions: Mapping[str, int] = {}
    bins: Mapping[int, int] = {}


def at(minute: int) -> int:
    """The start of the n-th minute."""
    return START + minute * MINUTE_MS


def judged(judge: Judge, minutes: Iterable[Made]) -> list[tuple[str, str, int, int]]:
    """What came out: (state, rule, since, at), in minutes."""
    found = []
    for minute in minutes:
        key = wire.series_key(minute.kind, minute.labels)
        found += told(judge.take(key, minute.labels, minute))
    return found


def told(transitions: Iterable[Any]) -> list[tuple[str, str, float, float]]:
    """(state, rule, since, at), in minutes."""
    return [
        (t.state, t.rule.name, (t.since_ms - START) / MINUTE_MS, (t.at_ms - START) / MINUTE_MS)
        for t in transitions
    ]


@cache
def day() -> tuple[bytes, ...]:
    """The example day's closed minutes, as the metrics topic has them, in its order."""
    found = [metric for (_, _, size_s, _), metric in fold(FIXTURES).items() if size_s == 60]
    found.sort(key=lambda metric: (metric.start_ms, metric.kind.name, metric.labels))
    return tuple(wire.metric_value(metric, "logs") for metric in found)


def values(metrics: Iterable[Metric]) -> list[bytes]:
    """Metrics records."""
    return [wire.metric_value(metric, "logs") for metric in metrics]


def winning(records: Iterable[tuple[bytes | None, bytes | None]]) -> dict[bytes, wire.AlertRecord]:
    """Of (key, value) of the alerts topic the record that counts of each key."""
    best: dict[bytes, wire.AlertRecord] = {}
    for key, value in records:
        record = wire.alert_in(value)
        assert key == record.key
        if key not in best or record.rank > best[key].rank:
            best[key] = record
    return best
