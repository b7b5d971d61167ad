"""How a series is, in one word, until it is judged by more (lag, drift, its own usual).

1  no data for five minutes at the range's end                         stale
2  of the latest steps with at least 5 counted, 10 % or more failed    failing
3  else                                                                ok
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from stream_monitor.core.timeline import LineView
from stream_monitor.core.view import View

Level = Literal["ok", "failing", "stale"]

FAILING_RATIO = 0.10
LEAST = 5
STEPS = 5


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
    return Status("ok", "")
