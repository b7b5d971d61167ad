"""A view as cards, charts and rows: everything that is on the overview, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stream_monitor import wire
from stream_monitor.board.cards import Card, unit_of
from stream_monitor.board.item import Item, Place, whole_steps
from stream_monitor.board.steps import bands, error_steps, latency_lines, latency_steps
from stream_monitor.board.words import clock, day, length, percent, short, span
from stream_monitor.core.view import Query, View
from stream_monitor.core.window import DAY_MS
from stream_monitor.feed import FeedState
from stream_monitor.tui.drawing import Axis, Bands, Bars, Curve, Drawing, Lines, Share, Shares, Stack
from stream_monitor.tui.palette import Palette

_CURVES = 6
"""More series than this are shown as their kinds."""


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


def axis_of(query: Query) -> Axis:
    """The steps' times."""
    long = query.range.to_ms - query.from_ms > 2 * DAY_MS
    if not long:
        return Axis([clock(start, seconds=False) for start in query.starts])
    if query.step_ms >= DAY_MS:
        return Axis([day(start) for start in query.starts])
    return Axis([f"{day(start)} {clock(start, seconds=False)}" for start in query.starts])


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
