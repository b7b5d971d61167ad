"""The six numbers on top of a dashboard, and the alerts of a range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from stream_monitor import wire
from stream_monitor.board.item import Item
from stream_monitor.board.steps import (
    LATENCY,
    error_steps,
    latency_lines,
    latency_steps,
    merged_steps,
    record_steps,
)
from stream_monitor.board.words import DASH, length, percent, short, span
from stream_monitor.core.record import Kind
from stream_monitor.core.timeline import LineView
from stream_monitor.core.view import Query, View, matches


def unit_of(kind: Kind) -> str:
    """What its volume counts, in a word."""
    return kind.volume.split()[0]


class Card(NamedTuple):
    """One number: its name, the number, a word about it, a level that colours it, and its line in time."""

    title: str
    brief: str
    """Its title where there is little room."""
    value: str
    said: str = ""
    level: str = ""
    values: Sequence[float | None] = ()


def items_of(view: View) -> list[Item]:
    """All series as rows."""
    return [Item(view, line, key in view.query.picked) for key, line in view.series.items()]


def alerts_of(alerts: Iterable[wire.AlertRecord], query: Query) -> list[wire.AlertRecord]:
    """Those that match the filter, as they were at the range's end."""
    found = []
    for alert in alerts:
        if not matches(query.words, alert.kind, alert.entity) and not matches(query.words, "alert", alert.rule):
            continue
        if not query.live:
            if alert.since_ms > query.range.to_ms:
                continue
            if not alert.is_firing and alert.at_ms > query.range.to_ms:
                alert = _firing(alert)  # noqa: PLW2901
        found.append(alert)
    return sorted(found, key=lambda a: (not a.is_firing, -a.at_ms))


def _firing(alert: wire.AlertRecord) -> wire.AlertRecord:
    return msgspec.structs.replace(alert, state="firing", at=alert.since)


def cards_of(
    view: View, items: Sequence[Item], alerts: Sequence[wire.AlertRecord], known: Sequence[str]
) -> list[Card]:
    """Records, average and p99 latency, error rate, active components, alerts."""
    totals = list(view.totals.values())
    measured = latency_lines(view)
    steps = latency_steps(measured)
    whole = merged_steps(steps)
    name = (
        "latency" if any(line.kind.measures[i][0] == LATENCY for line, i in measured) or not totals else "duration"
    )
    errors, of = sum(t.sums.errors for t in totals), sum(t.sums.of for t in totals)
    ratio = errors / of if of else None
    active, expected = _active(view, items, known)
    firing = [alert for alert in alerts if alert.is_firing]
    worst = "critical" if any(a.severity == "critical" for a in firing) else "warning" if firing else "ok"
    said = f"{short(errors)} of {short(of)}" if of else ""
    return [
        Card("log records", "records", short(sum(t.sums.records for t in totals)) if totals else DASH,
             f"in {length(_whole_ms(view.query))}", "", record_steps(totals)),
        Card(f"average {name}", name, span(whole.mean if whole else None), _scope(measured), "",
             [step.mean if step else None for step in steps]),
        Card(f"p99 {name}", "p99", span(whole.quantile(0.99) if whole else None),
             f"p50 {span(whole.quantile(0.5))}" if whole else "", "",
             [step.quantile(0.99) if step else None for step in steps]),
        Card("error rate", "errors", percent(ratio), said,
             "failing" if ratio is not None and ratio >= 0.05 else "", error_steps(totals)),
        Card("active", "active", f"{active}/{expected}" if expected else DASH,
             f"{expected - active} silent" if expected > active else "all of them" if expected else "",
             "warning" if expected > active else "ok" if expected else ""),
        Card("alerts firing", "alerts", str(len(firing)), firing[0].rule if firing else "none", worst),
    ]  # fmt: skip


def _whole_ms(query: Query) -> int:
    """The range in whole steps: the one that is not over is in the numbers, and no length of its own."""
    return (query.range.to_ms - query.from_ms) // query.step_ms * query.step_ms


def _scope(measured: Sequence[tuple[LineView, int]]) -> str:
    return " and ".join(line.kind.name for line, _ in measured)


def _active(view: View, items: Sequence[Item], known: Sequence[str]) -> tuple[int, int]:
    counted = [item for item in items if view.is_counted(item.line)]
    active = {f"{item.kind}:{item.entity}" for item in counted if view.is_active(item.line)}
    wanted = {name for name in known if matches(view.query.words, *name.split(":", 1))}
    expected = wanted if wanted and not view.query.picked else {f"{item.kind}:{item.entity}" for item in counted}
    return len(active & expected), len(expected)
