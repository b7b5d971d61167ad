"""What an alert rule is, and which series it judges. Plain data: the file is read by stream_monitor/rules.py.

A rule's condition is one of four:

    Threshold   a measure over some minutes is above or below a number, or so many times what is usual
    StatusIs    the status of core/health.py is one of some
    Absent      there has been no data for a time
    BurnRate    an error budget is used up too fast, over a long window and a short one at once
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from stream_monitor.core.health import Status
from stream_monitor.core.record import OTHER
from stream_monitor.core.window import HOUR_MS, MINUTE_MS

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")

COUNTS = ("records", "error_records", "errors", "of", "volume", "exceptions")
"""Measures of every kind that add up over minutes."""

RATIOS = {"error_rate": ("errors", "of")}
"""Measures that are one count by another."""

SHORT_MS = HOUR_MS
"""Windows up to here are made of minutes, longer ones of whole hours."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """`measure` over `over_ms` is above or below a limit; once it fires, until it is beyond `clear`."""

    measure: str
    above: float | None = None
    below: float | None = None
    clear: float | None = None
    """Hysteresis: a firing alert stays until the value has come back to this. None: the limit."""
    over_ms: int = MINUTE_MS
    usual_ms: int | None = None
    """The value is divided by what it was over this time before."""
    least: int = 1
    """To begin it takes so many of what the measure counts by (runs, values, records) in the window,"""
    least_errors: int = 0
    """and so many errors."""

    def is_beyond(self, value: float) -> bool:
        """The value is past the limit."""
        return value > self.above if self.above is not None else value < (self.below or 0.0)

    def is_still_beyond(self, value: float) -> bool:
        """The value has not come back."""
        if self.clear is None:
            return self.is_beyond(value)
        return value > self.clear if self.above is not None else value < self.clear


@dataclass(frozen=True, slots=True)
class StatusIs:
    """A consumer group's, DAG's or model's status is one of these."""

    statuses: frozenset[Status]
    floor: float = 0.0
    """Lag that is no fault."""


@dataclass(frozen=True, slots=True)
class Absent:
    """No data for `for_ms`; or, None, for three times its longest usual gap, at least `least_ms`."""

    for_ms: int | None
    least_ms: int = 15 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Tier:
    """Burns at `factor` times the rate that would just use the budget up, over the long window and the short
    one."""

    long_ms: int
    short_ms: int | None
    factor: float
    severity: Severity


@dataclass(frozen=True, slots=True)
class BurnRate:
    """The share of errors against what an objective allows (Google's SRE workbook, chapter 5, approach 6)."""

    objective: float
    tiers: tuple[Tier, ...]
    ratio: tuple[str, str] = ("errors", "of")
    least_errors: int = 1
    """In the long window; a single error is no trend."""


Condition = Threshold | StatusIs | Absent | BurnRate


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert rule. Times are in milliseconds."""

    name: str
    condition: Condition
    severity: Severity = "warning"
    summary: str = "{entity}: {rule}"
    kind: str | None = None
    match: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Label (or `entity`) → patterns of which one must fit."""
    for_ms: int = 0
    """It fires when the condition has held so long."""
    keep_firing_ms: int = 0
    """It resolves when the condition has not held for so long."""
    stale_ms: int = HOUR_MS
    """It resolves when there was no data for so long: nobody can say any more."""
    labels: Mapping[str, str] = field(default_factory=dict)
    runbook_url: str = ""

    def judges(self, kind: str, labels: Mapping[str, str], entity: str) -> bool:
        """It is about this series. What is over the series cap is judged only where its name is asked for."""
        if self.kind is not None and self.kind != kind:
            return False
        if OTHER in labels.values() and not any(OTHER in p for patterns in self.match.values() for p in patterns):
            return False
        named = {**labels, "entity": entity}
        return all(
            name in named and any(fnmatchcase(named[name], pattern) for pattern in patterns)
            for name, patterns in self.match.items()
        )
