"""What was, over a range of time: the results of each series, put together without overlap.

    days     |==============|                                  whole days that have a row
    hours                    |===|===|===|                     whole hours that have one, outside those days
    minutes  |--|                         |-|-|-|-|            the rest: the edges, and what has not closed

Merging aggregates is exact, so a quantile over thirty days is as good as one over a minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from stream_monitor.core.aggregate import Aggregate, merged
from stream_monitor.core.metric import SeriesId
from stream_monitor.core.record import Kind
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, window_start

_Row = TypeVar("_Row")

ACTIVE_MS = 5 * MINUTE_MS
"""A component with data this close to a range's end is active."""


@dataclass(frozen=True, slots=True)
class Range:
    """Half-open, in UTC milliseconds."""

    from_ms: int
    to_ms: int

    def holds(self, start_ms: int, size_ms: int) -> bool:
        """The window begins in the range; a longer one than a minute also ends in it."""
        if size_ms == MINUTE_MS:
            return self.from_ms <= start_ms < self.to_ms
        return self.from_ms <= start_ms and start_ms + size_ms <= self.to_ms


@dataclass(slots=True)
class HourLine:
    """One hour of one series, for time lines."""

    volume: float = 0.0
    errors: int = 0
    of: int = 0


@dataclass(slots=True)
class SeriesSnapshot:
    """One series over a range."""

    kind: Kind
    labels: tuple[str, ...]
    whole: Aggregate
    hours: dict[int, HourLine] = field(default_factory=dict)
    last_ms: int | None = None
    """Start of its latest minute (or longer window) with data."""

    @property
    def entity(self) -> str:
        """Its name for people."""
        return self.kind.entity(self.labels)


@dataclass(slots=True)
class Snapshot:
    """All series with data in a range."""

    range: Range
    series: dict[SeriesId, SeriesSnapshot] = field(default_factory=dict)
    unreadable: int = 0
    """Records of the metrics topics that could not be read; they are left out."""

    def of_kind(self, kind: str) -> list[SeriesSnapshot]:
        """The kind's series, by their names."""
        return sorted((s for s in self.series.values() if s.kind.name == kind), key=lambda s: s.labels)

    def is_active(self, series: SeriesSnapshot) -> bool:
        """It has data within the last five minutes of the range."""
        return series.last_ms is not None and series.last_ms + MINUTE_MS > self.range.to_ms - ACTIVE_MS


def whole_of(kind: Kind, series: Iterable[SeriesSnapshot]) -> Aggregate:
    """Several series of a kind as one."""
    return merged(kind, (one.whole for one in series))


def is_covered(start_ms: int, days: Iterable[int], hours: Iterable[int]) -> bool:
    """A day or an hour that is taken holds this minute (or hour)."""
    return window_start(start_ms, DAY_MS) in days or window_start(start_ms, HOUR_MS) in hours


def select(
    within: Range, days: Mapping[int, _Row], hours: Mapping[int, _Row], minutes: Mapping[int, _Row]
) -> list[tuple[int, int, _Row]]:
    """One series' rows by start → those that make up the range, as (start, size, row), without overlap.

    A row is taken where it lies in the range and no longer one that is taken holds it.
    """
    taken = [(start, DAY_MS, row) for start, row in days.items() if within.holds(start, DAY_MS)]
    taken_days = {start for start, _, _ in taken}
    taken_hours = set()
    for start, row in hours.items():
        if within.holds(start, HOUR_MS) and not is_covered(start, taken_days, ()):
            taken_hours.add(start)
            taken.append((start, HOUR_MS, row))
    for start, row in minutes.items():
        if within.holds(start, MINUTE_MS) and not is_covered(start, taken_days, taken_hours):
            taken.append((start, MINUTE_MS, row))
    return taken
