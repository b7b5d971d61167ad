"""How a series is, in one word, until it is judged by more (lag, drift, its own usual).

1  no data for five minutes at the range's end                         stale
2  of the latest steps with at least 5 counted, 10 % or more failed    failing
3  else                                                                ok
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from stream_monitor.core.timeline import LineView
from stream_monitor.core.view import View

Level = Literal["ok", "failing", "lagging", "stale"]

FAILING_RATIO = 0.10
LEAST = 5
STEPS = 5


LAGGING_S = 120


class Status(NamedTuple):
    """A level, and why, in a few words."""

    level: Level
    why: str


def status_of(view: View, line: LineView) -> Status:
    """The rules above, the first that holds."""
    if not view.is_active(line):
        return Status("stale", "no data for five minutes")
    errors = of = 0
    for part in line.parts[-STEPS:]:
        if part is not None:
            errors, of = errors + part.errors, of + part.of
    if of >= LEAST and errors / of >= FAILING_RATIO:
        return Status("failing", f"{errors} of {of} failed")
    behind_s = _behind_s(line)
    if behind_s is not None and behind_s >= LAGGING_S:
        return Status("lagging", f"about {behind_s:.0f} s behind")
    return Status("ok", "")


def _behind_s(line: LineView) -> float | None:
    """The latest lags over the latest rates; an estimate. None where the kind or the step has none."""
    names = line.kind.gauges
    if "consumer_lag" not in names or line.kind.rate_index is None:
        return None
    part = next((part for part in reversed(line.parts[-STEPS:]) if part is not None), None)
    if part is None:
        return None
    gauges = part.aggregate.gauges
    lags, rates = gauges[names.index("consumer_lag")], gauges[line.kind.rate_index]
    rate = sum(value[1] for value in rates.values())
    return sum(value[1] for value in lags.values()) / rate if lags and rate else None


CLASSES_LEAST = 30


def class_shift(before: Mapping[str, int], after: Mapping[str, int]) -> float | None:
    """Half the sum of the differences of shares: 0, the same classes; 1, none in common.

    None where either holds fewer than CLASSES_LEAST: a difference would be chance.
    """
    n, m = sum(before.values()), sum(after.values())
    if n < CLASSES_LEAST or m < CLASSES_LEAST:
        return None
    return sum(abs(before.get(c, 0) / n - after.get(c, 0) / m) for c in {*before, *after}) / 2
