"""What a view asks for, and what it gets: series over a range in steps, their totals, who is well.

Time is an argument: a range that ends in the past is the same question as one that ends now.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_monitor.core.metric import SeriesId
from stream_monitor.core.snapshot import ACTIVE_MS, Range
from stream_monitor.core.timeline import STEPS_MS, LineView
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS

MAX_STEPS = 180
"""More than a wide terminal has columns for."""

MINUTES_KEPT_MS = 3 * DAY_MS
"""Closed minutes are in Kafka for about this long; see topics/metrics.1m.yaml."""


@dataclass(frozen=True, slots=True)
class Query:
    """A range in steps; of the series those that match, and of these, for the totals, those that are picked."""

    range: Range
    step_ms: int
    live: bool = True
    words: tuple[tuple[str, ...], ...] = ()
    picked: frozenset[SeriesId] = frozenset()

    @property
    def from_ms(self) -> int:
        """Where the first step begins."""
        return self.range.from_ms - self.range.from_ms % self.step_ms

    @property
    def starts(self) -> Sequence[int]:
        """The steps' starts."""
        return builtins.range(self.from_ms, self.range.to_ms, self.step_ms)


@dataclass(slots=True)
class View:
    """The answer to a query."""

    query: Query
    series: dict[SeriesId, LineView] = field(default_factory=dict)
    """Those with data in the range."""
    totals: dict[str, LineView] = field(default_factory=dict)
    """By kind, over the picked series (all, if none is)."""
    memo: dict[Any, Any] = field(default_factory=dict)
    """What was found out about parts, for whoever asks again about the same parts; of all views of a feed."""
    complete: bool = True
    """All that Kafka holds of the range has been read."""
    unreadable: int = 0

    def is_active(self, line: LineView) -> bool:
        """It has data within the last five minutes of the range."""
        last = line.last_ms
        return last is not None and last + MINUTE_MS > self.query.range.to_ms - ACTIVE_MS

    def is_counted(self, line: LineView) -> bool:
        """It is part of the totals."""
        return not self.query.picked or line.series in self.query.picked


def words_of(text: str) -> tuple[tuple[str, ...], ...]:
    """A filter as it is typed: commas part alternatives, spaces part words that must all be there."""
    alternatives = (tuple(part.casefold().split()) for part in text.split(","))
    return tuple(words for words in alternatives if words)


def matches(words: tuple[tuple[str, ...], ...], kind: str, entity: str) -> bool:
    """The series is what the filter names; every series is what an empty one names."""
    if not words:
        return True
    name = f"{kind}:{entity}".casefold()
    return any(all(word in name for word in some) for some in words)


def step_for(length_ms: int, age_ms: int, series: int = 0, *, most_rows: int = 400_000) -> int:
    """The step in which a range is shown: at most MAX_STEPS of them, and no more rows than memory is for.

    `age_ms` is how long ago the range begins: minutes are not kept as long as hours.
    """
    for step in STEPS_MS:
        size = MINUTE_MS if step < HOUR_MS else HOUR_MS if step < DAY_MS else DAY_MS
        fits = length_ms // step <= MAX_STEPS and series * (length_ms // size) <= most_rows
        if fits and (size > MINUTE_MS or age_ms <= MINUTES_KEPT_MS):
            return step
    return STEPS_MS[-1]
