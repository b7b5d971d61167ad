"""A series as a row: what its columns show and are sorted by. What costs decoding is read when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from stream_monitor.core import drift
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.distribution import Distribution
from stream_monitor.core.metric import SeriesId
from stream_monitor.core.part import Part
from stream_monitor.core.status import Status, status_of
from stream_monitor.core.timeline import LineView
from stream_monitor.core.view import View
from stream_monitor.core.window import MINUTE_MS

RECENT_MS = 5 * MINUTE_MS
"""What a rate of now is taken over, or one step, where that is longer."""


RECENT_PARTS = 5
"""Steps that a gauge of now is looked for in: not the whole range, which would have to be decoded for a sort."""


class Place(NamedTuple):
    """Where a log record stands, and why it is looked at."""

    kind: str
    partition: int
    offset: int
    timestamp_ms: int
    why: str
    value_ms: float | None
    entity: str


@dataclass
class Item:
    """One series in a view."""

    view: View
    line: LineView
    is_picked: bool = False

    @property
    def key(self) -> SeriesId:
        """Its identity."""
        return self.line.series

    @property
    def kind(self) -> str:
        """Its kind's name."""
        return self.line.kind.name

    @cached_property
    def entity(self) -> str:
        """Its name."""
        return self.line.entity

    @cached_property
    def status(self) -> Status:
        """How it is."""
        return status_of(self.view, self.line)

    @cached_property
    def volumes(self) -> list[float | None]:
        """By step; of a kind that reports none, its log records."""
        parts = whole_steps(self.view, self.line)
        if self.line.sums.volume:
            return [None if part is None else part.volume for part in parts]
        return [None if part is None else part.records for part in parts]

    @property
    def volume(self) -> float | None:
        """Over the range; None where nobody has reported any."""
        return self.line.volume

    @cached_property
    def rate(self) -> float | None:
        """Volume a minute, of the last steps."""
        step_ms = self.view.query.step_ms
        steps = max(1, RECENT_MS // step_ms)
        parts = [part for part in self.line.parts[-steps - 1 :] if part is not None]
        if not parts or self.volume is None or not self.view.is_active(self.line):
            return None
        span_ms = self.view.query.range.to_ms - self.view.query.starts[-min(steps + 1, len(self.line.parts))]
        return sum(part.volume for part in parts) * MINUTE_MS / max(MINUTE_MS, span_ms)

    @cached_property
    def times(self) -> tuple[float, float, float] | None:
        """p50, p95, p99 of its first measure, in ms."""
        return times_of(self.line.whole)

    @property
    def error_ratio(self) -> float | None:
        """errors / of."""
        return self.line.sums.error_ratio

    def peak(self, name: str) -> float | None:
        """A gauge's highest value of each key in the range, added up."""
        if name not in self.line.kind.gauges:
            return None
        gauge = self.line.whole.gauges[self.line.kind.gauges.index(name)]
        return sum(value[2] for value in gauge.values()) if gauge else None

    def latest(self, name: str) -> float | None:
        """A gauge's latest value of each key in the last RECENT_PARTS steps with data, added up."""
        if name not in self.line.kind.gauges:
            return None
        index = self.line.kind.gauges.index(name)
        found: dict[str, float] = {}
        recent = islice((part for part in reversed(self.line.parts) if part is not None), RECENT_PARTS)
        for part in recent:
            for key, value in part.aggregate.gauges[index].items():
                found.setdefault(key, value[1])
        return sum(found.values()) if found else None

    @cached_property
    def lag(self) -> float | None:
        """The latest of each partition, added up."""
        return self.latest("consumer_lag")

    @cached_property
    def throughput(self) -> float | None:
        """Messages per second: the latest of each partition, added up."""
        return self.latest("messages_per_second")

    @cached_property
    def lag_seconds(self) -> float | None:
        """An estimate: how long the lag takes at the present throughput."""
        if self.lag is None or not self.throughput:
            return None
        return self.lag / self.throughput

    @cached_property
    def lags(self) -> list[float | None]:
        """By step: the lag at its end, over the partitions that reported in it."""
        return [_lag_of(self.line, part) for part in self.line.parts]

    @cached_property
    def confidence(self) -> Distribution | None:
        """Its distribution."""
        return measure_of(self.line.whole, self.line, "confidence")

    @cached_property
    def drift(self) -> float | None:
        """The share of the range's last quarter whose class has moved by more than chance; None: too few."""
        if not self.line.kind.classes:
            return None
        parts = self.line.parts
        cut = len(parts) * 3 // 4
        found = drift.compare_classes(_classes(parts[:cut]), _classes(parts[cut:]))
        return None if found is None else found.moved

    @cached_property
    def last_run_ms(self) -> float | None:
        """Mean duration in the latest step that has one."""
        for part in reversed(self.line.parts):
            if part is not None and part.aggregate.measures[0].counts:
                return part.aggregate.measures[0].mean
        return None

    @cached_property
    def usual_ratio(self) -> float | None:
        """The last duration against the range's median."""
        times = self.times
        return None if times is None or self.last_run_ms is None or not times[0] else self.last_run_ms / times[0]

    @property
    def age_ms(self) -> float | None:
        """From the end of its last minute with data to the range's end."""
        last = self.line.last_ms
        return None if last is None else max(0, self.view.query.range.to_ms - last - MINUTE_MS)

    @property
    def places(self) -> list[Place]:
        """The log records behind it: its slowest, and its latest errors."""
        return places_of(self.line.whole, self.kind, self.entity)


def whole_steps(view: View, line: LineView) -> list[Part | None]:
    """By step its part; of the last one nothing while it is not over: a sum of half a step is no step's sum."""
    parts = line.parts
    if len(parts) > 2 and view.query.starts[-1] + view.query.step_ms > view.query.range.to_ms:
        parts[-1] = None
    return parts


def times_of(whole: Aggregate) -> tuple[float, float, float] | None:
    """p50, p95, p99 of the first measure; None without values."""
    p50, p95, p99 = whole.measures[0].at_quantiles((0.5, 0.95, 0.99))
    return None if p50 is None or p95 is None or p99 is None else (p50, p95, p99)


def measure_of(whole: Aggregate, line: LineView, name: str) -> Distribution | None:
    """A measure by its name; None without values."""
    for (measure, _), found in zip(line.kind.measures, whole.measures, strict=True):
        if measure == name and found.counts:
            return found
    return None


def places_of(whole: Aggregate, kind: str, entity: str) -> list[Place]:
    """An aggregate's exemplars: the latest errors, then the slowest."""
    places = [Place(kind, e[2], e[3], e[1], "error", None, entity) for e in whole.failures]
    if whole.slowest is not None:
        value, at, partition, offset = whole.slowest
        places.append(Place(kind, partition, offset, at, "slowest", value, entity))
    return places


def _lag_of(line: LineView, part: Part | None) -> float | None:
    if part is None or "consumer_lag" not in line.kind.gauges:
        return None
    gauge = part.aggregate.gauges[line.kind.gauges.index("consumer_lag")]
    return sum(value[1] for value in gauge.values()) if gauge else None


def _classes(parts: list[Part | None]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for name, count in part.aggregate.classes.items() if part is not None else ():
            found[name] = found.get(name, 0) + count
    return found
