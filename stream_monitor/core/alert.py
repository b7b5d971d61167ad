"""One alert: one rule about one series, from its first sign to its end.

                 holds                   has held for `for`              has not held for `keep_firing_for`
    (nothing) ──────────▶ pending ─────────────────────────▶ firing ─────────────────────────────▶ (nothing)
        ▲                    │ does not hold                  │  ▲ no data: nobody knows, it stays
        └────────────────────┘                                └──┘ … for `stale_after`, then it resolves, too

`since` is the start of the first minute in which the condition held: with the rule's name and the series it is the
alert's identity. All of it follows from the series' minutes and the clock that is handed in; nothing is read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from stream_monitor.core.rule import SEVERITIES, Rule, Severity

Reason = Literal["recovered", "no data", "rule removed", "component forgotten", ""]


State = Literal["firing", "resolved"]

Event = Literal["", "firing", "resolved"]
"""What a step did. Firing: it fires now, or got worse."""


class Verdict(NamedTuple):
    """What a condition says of a minute. None: nobody can say."""

    value: float | None
    begins: bool | None
    """It holds, and there is evidence enough to begin."""
    stays: bool | None
    """It holds well enough for an alert that fires to stay."""
    severity: Severity | None = None
    """Other than the rule's."""
    usual: float | None = None
    """What the value was divided by."""


NOTHING = Verdict(None, None, None)


@dataclass(slots=True)
class Alert:
    """A condition that holds, or held lately. `firing_ms` is None while it is pending."""

    since_ms: int
    held_ms: int
    """The end of the last minute in which it held."""
    severity: Severity
    value: float | None = None
    usual: float | None = None
    """As of `since`: an incident does not become its own reference."""
    firing_ms: int | None = None

    def out(self) -> list[Any]:
        """Plain values."""
        return [self.since_ms, self.held_ms, self.severity, self.value, self.usual, self.firing_ms]


class Transition(NamedTuple):
    """An alert fires (once more where it gets worse), or resolves."""

    rule: Rule
    kind: str
    labels: tuple[str, ...]
    state: State
    severity: Severity
    since_ms: int
    at_ms: int
    value: float | None
    reason: Reason = ""


def step(
    rule: Rule, alert: Alert | None, verdict: Verdict, start_ms: int, end_ms: int
) -> tuple[Alert | None, Event]:
    """Take a minute's verdict: (the alert now, what happened)."""
    if alert is None:
        if not verdict.begins:
            return None, ""
        alert = Alert(start_ms, end_ms, rule.severity, usual=verdict.usual)
    holds = verdict.begins if alert.firing_ms is None else verdict.stays
    if holds is None:
        return alert, ""
    if not holds:
        return _let_go(rule, alert, end_ms)
    alert.held_ms, alert.value = end_ms, verdict.value
    severity = verdict.severity or rule.severity
    if alert.firing_ms is None:
        alert.severity = severity
        if end_ms - alert.since_ms < rule.for_ms:
            return alert, ""
    elif SEVERITIES.index(severity) <= SEVERITIES.index(alert.severity):
        return alert, ""
    alert.severity, alert.firing_ms = severity, end_ms
    return alert, "firing"


def _let_go(rule: Rule, alert: Alert, end_ms: int) -> tuple[Alert | None, Event]:
    if alert.firing_ms is None:
        return None, ""
    if end_ms - alert.held_ms < rule.keep_firing_ms:
        return alert, ""
    return None, "resolved"


def stale_at_ms(rule: Rule, last_end_ms: int) -> int:
    """When an alert of a series whose last minute ended then is over for want of data."""
    return last_end_ms + rule.stale_ms
