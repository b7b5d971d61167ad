"""What a window of a series holds: counts, sums, distributions, gauges, exemplars.

The same three verbs as every aggregate here: `fold` one record in, `merge` another aggregate in, read
the fields. Every field is a sum of integers, an extreme, or a bounded choice by a total order, so a merge
is exact, commutative and associative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from stream_monitor.core import tally
from stream_monitor.core.distribution import Distribution
from stream_monitor.core.record import OTHER, Kind

ERROR_EXEMPLARS = 3
MAX_GAUGE_KEYS = 256
"""Partitions of a topic that are told apart; of more the rest are one, by the rule of core/tally.py."""
UNKNOWN_EXCEPTION = "unknown"

Exemplar = tuple[float, int, int, int]
"""(value, timestamp_ms, partition, offset) of a source record; the value of an error's is 0."""

Gauge = list[Any]
"""[timestamp_ms of last, last, max, sum in millionths, how many]. Last is by (event time, value): no order of
arrival in it. The last two are kept for the rate gauge only, until `settle` turns them into volume.
"""


class Aggregate:
    """One window of one series. `volume_micro` leaves out the rates until `settle`."""

    __slots__ = (
        "classes",
        "error_records",
        "errors",
        "exceptions",
        "failures",
        "gauges",
        "measures",
        "of",
        "records",
        "slowest",
        "volume_micro",
    )

    def __init__(self, measures: list[Distribution], gauges: int) -> None:
        self.records = 0
        self.error_records = 0
        self.of = 0
        self.errors = 0
        self.volume_micro = 0
        self.measures = measures
        self.gauges: list[dict[str, Gauge]] = [{} for _ in range(gauges)]
        self.exceptions: dict[str, int] = {}
        self.classes: dict[str, int] = {}
        self.slowest: Exemplar | None = None
        self.failures: list[Exemplar] = []
        """Coordinates of the latest error records, newest first."""

    @classmethod
    def empty(cls, kind: Kind) -> Aggregate:
        """No records yet."""
        return cls([family() for _, family in kind.measures], len(kind.gauges))

    def keep_slowest(self, candidate: Exemplar) -> None:
        """The slowest record so far: the greatest exemplar."""
        if self.slowest is None or candidate > self.slowest:
            self.slowest = candidate

    def keep_failures(self, candidates: Iterable[Exemplar]) -> None:
        """The latest error records so far: the ERROR_EXEMPLARS greatest exemplars."""
        self.failures = sorted({*self.failures, *candidates}, reverse=True)[:ERROR_EXEMPLARS]

    def take_gauge(self, index: int, key: str, value: Gauge) -> None:
        """Merge what was seen of a key into a gauge; `value` is kept."""
        gauge = self.gauges[index]
        seen = gauge.get(key)
        if seen is not None:
            _add(seen, value)
            return
        gauge[key] = value
        if len(gauge) > MAX_GAUGE_KEYS:
            _bound(gauge)

    def merge(self, other: Aggregate) -> None:
        """Add another aggregate of the same kind to this one; `other` stays as it is."""
        self.records += other.records
        self.error_records += other.error_records
        self.of += other.of
        self.errors += other.errors
        self.volume_micro += other.volume_micro
        for mine, theirs in zip(self.measures, other.measures, strict=True):
            if theirs.counts:
                mine.merge(theirs)
        for gauge, their_gauge in zip(self.gauges, other.gauges, strict=True):
            for key, value in their_gauge.items():
                seen = gauge.get(key)
                if seen is None:
                    gauge[key] = value.copy()
                else:
                    _add(seen, value)
            if len(gauge) > MAX_GAUGE_KEYS:
                _bound(gauge)
        if other.exceptions:
            tally.merge(self.exceptions, other.exceptions)
        if other.classes:
            tally.merge(self.classes, other.classes)
        if other.slowest is not None:
            self.keep_slowest(other.slowest)
        if other.failures:
            self.keep_failures(other.failures)

    def settled_volume_micro(self, window_s: int = 60) -> int:
        """The volume in millionths, the rates' part included: Σ over keys of mean × window length, each to the
        nearest millionth (half up), in integers.
        """
        volume: int = self.volume_micro
        for gauge in self.gauges:
            for _, _, _, total, times in gauge.values():
                if times:
                    volume += (2 * total * window_s + times) // (2 * times)
        return volume

    def settle(self, window_s: int = 60) -> None:
        """Turn the rates of a whole window into volume. Only then may windows be merged into a longer one."""
        self.volume_micro = self.settled_volume_micro(window_s)
        for gauge in self.gauges:
            for value in gauge.values():
                value[3] = value[4] = 0

    @property
    def error_ratio(self) -> float | None:
        """errors / of; None where nothing was counted."""
        return self.errors / self.of if self.of else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Aggregate):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]


def reported(kind: Kind, volume: float, whole: Callable[[], Aggregate]) -> float | None:
    """A volume, in the kind's unit, or None where nobody has reported one.

    A volume of 0 is a report only where a rate of 0 is; what is added up out of lines is 0 if none said anything.
    `whole` is asked for only where that has to be looked up.
    """
    if volume or kind.rate_index is None:
        return volume or None
    return 0.0 if whole().gauges[kind.rate_index] else None


def merged(kind: Kind, parts: Iterable[Aggregate]) -> Aggregate:
    """A new aggregate that holds all parts."""
    whole = Aggregate.empty(kind)
    for part in parts:
        whole.merge(part)
    return whole


def _add(mine: Gauge, theirs: Gauge) -> None:
    """Merge what was seen of a key into this."""
    at, last, peak, total, times = theirs
    if at > mine[0] or (at == mine[0] and last > mine[1]):
        mine[0], mine[1] = at, last
    if peak > mine[2]:
        mine[2] = peak
    mine[3] += total
    mine[4] += times


def _bound(gauge: dict[str, Gauge]) -> None:
    """Of too many keys those that the tally would keep, and the rest as OTHER."""
    for key in tally.dropped(gauge, MAX_GAUGE_KEYS):
        value = gauge.pop(key)
        seen = gauge.get(OTHER)
        if seen is None:
            gauge[OTHER] = value
        else:
            _add(seen, value)
