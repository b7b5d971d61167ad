"""A view as cards, charts and rows: everything that is on the overview, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from stream_monitor import wire
from stream_monitor.core.distribution import Distribution
from stream_monitor.core.record import Kind
from stream_monitor.core.timeline import LineView, Merged, Part
from stream_monitor.core.view import Query, View, matches
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS
from stream_monitor.feed import FeedState
from stream_monitor.tui.drawing import Axis, Bands, Bars, Curve, Drawing, Lines, Share, Shares, Stack
from stream_monitor.tui.item import Item, Place, places_of, whole_steps
from stream_monitor.tui.palette import Palette
from stream_monitor.tui.text import DASH, clock, day, length, percent, short, span

LATENCY = "latency_ms"

_CURVES = 6
"""More series than this are shown as their kinds."""
_MOST_LOGS = 500


class Card(NamedTuple):
    """One number: its name, the number, a word about it, a level that colours it, and its line in time."""

    title: str
    brief: str
    """Its title where there is little room."""
    value: str
    said: str = ""
    level: str = ""
    values: Sequence[float | None] = ()


class Chart(NamedTuple):
    """A titled drawing. `has_steps`: it may have a cursor."""

    title: str
    said: str
    drawing: Drawing
    has_steps: bool = True


@dataclass
class Board:
    """All that is on the screen at one time."""

    view: View
    state: FeedState
    items: list[Item] = field(default_factory=list)
    shown: list[Item] = field(default_factory=list)
    """Those of the tab, in its order."""
    cards: list[Card] = field(default_factory=list)
    alerts: list[wire.AlertRecord] = field(default_factory=list)
    logs: list[Place] = field(default_factory=list)
    is_warm: bool = True
    """Every window that the totals are of has been decoded."""


def unit_of(kind: Kind) -> str:
    """What its volume counts, in a word."""
    return kind.volume.split()[0]


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


def _is_ready(part: Part | None) -> bool:
    return part is not None and (not isinstance(part, Merged) or part.is_ready)


def latency_lines(view: View) -> list[tuple[LineView, int]]:
    """The totals with a latency, and which of their measures it is; the first measures of all where none has."""
    found = [
        (line, index)
        for line in view.totals.values()
        for index, (name, _) in enumerate(line.kind.measures)
        if name == LATENCY
    ]
    return found or [(line, 0) for line in view.totals.values()]


def latency_steps(lines: Sequence[tuple[LineView, int]]) -> list[Distribution | None]:
    """By step, the lines' measures as one; None where nothing is there, or nothing is decoded yet."""
    steps: list[Distribution | None] = []
    for parts in zip(*(line.parts for line, _ in lines), strict=True):
        whole: Distribution | None = None
        for part, (line, index) in zip(parts, lines, strict=True):
            if part is None or not _is_ready(part) or not part.aggregate.measures[index].counts:
                continue
            whole = line.kind.measures[index][1]() if whole is None else whole
            whole.merge(part.aggregate.measures[index])
        steps.append(whole)
    return steps


def merged_steps(steps: Iterable[Distribution | None]) -> Distribution | None:
    """All steps as one."""
    whole: Distribution | None = None
    for step in steps:
        if step is not None:
            whole = type(step)() if whole is None else whole
            whole.merge(step)
    return whole


def bands(steps: Iterable[Distribution | None]) -> list[tuple[float, float, float] | None]:
    """p50, p95, p99 of each step."""
    out: list[tuple[float, float, float] | None] = []
    for step in steps:
        p50, p95, p99 = step.at_quantiles((0.5, 0.95, 0.99)) if step is not None else (None, None, None)
        out.append(None if p50 is None or p95 is None or p99 is None else (p50, p95, p99))
    return out


def axis_of(query: Query) -> Axis:
    """The steps' times."""
    long = query.range.to_ms - query.from_ms > 2 * DAY_MS
    if not long:
        return Axis([clock(start, seconds=False) for start in query.starts])
    if query.step_ms >= DAY_MS:
        return Axis([day(start) for start in query.starts])
    return Axis([f"{day(start)} {clock(start, seconds=False)}" for start in query.starts])


def error_steps(lines: Iterable[LineView]) -> list[float | None]:
    """By step errors / of, over the lines."""
    out: list[float | None] = []
    for parts in zip(*(line.parts for line in lines), strict=True):
        of = sum(part.of for part in parts if part is not None)
        out.append(sum(part.errors for part in parts if part is not None) / of if of else None)
    return out


def record_steps(lines: Iterable[LineView]) -> list[float | None]:
    """By step the log records, over the lines."""
    return [
        None if all(part is None for part in parts) else sum(part.records for part in parts if part is not None)
        for parts in zip(*(line.parts for line in lines), strict=True)
    ]


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
             f"in {length(len(view.query.starts[1:]) * view.query.step_ms)}", "", record_steps(totals)),
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


def _scope(measured: Sequence[tuple[LineView, int]]) -> str:
    return " and ".join(line.kind.name for line, _ in measured)


def _active(view: View, items: Sequence[Item], known: Sequence[str]) -> tuple[int, int]:
    counted = [item for item in items if view.is_counted(item.line)]
    active = {f"{item.kind}:{item.entity}" for item in counted if view.is_active(item.line)}
    wanted = {name for name in known if matches(view.query.words, *name.split(":", 1))}
    expected = wanted if wanted and not view.query.picked else {f"{item.kind}:{item.entity}" for item in counted}
    return len(active & expected), len(expected)


def overview_charts(view: View, items: Sequence[Item], palette: Palette) -> list[Chart]:
    """Volume, latency, error rate, share of activity."""
    axis = axis_of(view.query)
    totals = list(view.totals.values())
    per = length(view.query.step_ms)
    steps = latency_steps(latency_lines(view))
    errors = error_steps(totals)
    counted = [item for item in items if view.is_counted(item.line)]
    return [
        Chart("volume", f"per {per}", _volume(view, counted, axis, palette)),
        Chart("latency p50 ▸ p95 ▸ p99" if steps else "latency", f"per {per}", Bands(bands(steps), axis, span)),
        Chart("error rate", f"per {per}", Bars(errors, axis, percent, palette.bad)),
        Chart("share of activity", f"{short(sum(t.sums.records for t in totals))} log records",
              _activity(counted, palette), has_steps=False),
    ]  # fmt: skip


def _volume(view: View, items: Sequence[Item], axis: Axis, palette: Palette) -> Drawing:
    """A line for each component that is chosen; else one for each kind, on its own scale."""
    chosen = (view.query.picked or view.query.words) and len(items) <= _CURVES
    if chosen and len({item.kind for item in items}) == 1:
        ranked = sorted(items, key=lambda item: -item.line.sums.volume)
        return Lines(
            [Curve(i.entity, i.volumes, palette.series[n % len(palette.series)]) for n, i in enumerate(ranked)],
            axis,
            short,
        )
    curves = []
    for name, line in view.totals.items():
        values = [None if part is None else part.volume for part in whole_steps(view, line)]
        curves.append(Curve(name, values, palette.kind(name), unit_of(line.kind)))
    return Stack(curves, axis, short)


def _activity(items: Sequence[Item], palette: Palette) -> Shares:
    whole = sum(item.line.sums.records for item in items)
    ranked = sorted(items, key=lambda item: (-item.line.sums.records, item.entity))
    top = ranked[0].line.sums.records if ranked else 1
    return Shares(
        [
            Share(
                item.entity,
                item.line.sums.records / top,
                percent(item.line.sums.records / whole),
                palette.kind(item.kind),
            )
            for item in ranked[:60]
        ],
        "no activity in this range",
    )


def logs_of(items: Iterable[Item]) -> list[Place]:
    """The log records that the range's windows point to, latest first: errors, and the slowest of each series."""
    found: dict[tuple[str, int, int], Place] = {}
    for item in sorted(items, key=lambda item: -item.line.sums.errors):
        if len(found) >= _MOST_LOGS:
            break
        if not item.view.is_counted(item.line):
            continue
        for place in item.places:
            found.setdefault(place[:3], place)
        for part in reversed(item.line.parts):
            if part is not None and part.errors and len(found) < _MOST_LOGS:
                for place in places_of(part.aggregate, item.kind, item.entity):
                    if place.why == "error":
                        found.setdefault(place[:3], place)
    return sorted(found.values(), key=lambda place: -place.timestamp_ms)


def places_in(lines: Iterable[LineView], step: int) -> list[Place]:
    """The log records behind one step of these lines: errors first, then the slowest."""
    found: list[Place] = []
    for line in lines:
        part = line.parts[step] if step < len(line.parts) else None
        if part is not None:
            found += places_of(part.aggregate, line.kind.name, line.entity or f"all of {line.kind.name}")
    return sorted(found, key=lambda p: (p.why != "error", -(p.value_ms or 0.0), -p.timestamp_ms))


def range_words(query: Query) -> str:
    """`10:31–11:31`, `14 Jan 10:31 – 15 Jan 10:31`."""
    first, last = query.from_ms, query.range.to_ms
    if last - first <= 12 * HOUR_MS:
        return f"{clock(first, seconds=False)}–{clock(last, seconds=last % MINUTE_MS != 0 and not query.live)}"
    return f"{day(first)} {clock(first, seconds=False)} – {day(last)} {clock(last, seconds=False)}"
