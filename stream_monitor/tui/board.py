"""A view as cards, charts and rows: everything that is on the overview, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import NamedTuple

from stream_monitor import wire
from stream_monitor.board.cards import Card, unit_of
from stream_monitor.board.item import Item, Place, whole_steps
from stream_monitor.board.steps import bands, error_steps, latency_lines, latency_steps
from stream_monitor.board.when import When
from stream_monitor.board.words import clock, day, length, percent, short, span
from stream_monitor.core.view import Query, View
from stream_monitor.core.window import DAY_MS
from stream_monitor.feed import FeedState
from stream_monitor.tui.drawing import Axis, Bands, Bars, Curve, Drawing, Lines, Share, Shares, Stack
from stream_monitor.tui.palette import Palette

_CURVES = 6
"""More series than this are shown as their kinds."""
_SHARES = 60
"""More than a screen has rows for."""


class Chart(NamedTuple):
    """A titled drawing. `has_steps`: it may have a cursor."""

    title: str
    said: str
    drawing: Drawing
    has_steps: bool = True


class Figures(NamedTuple):
    """What the overview's charts are of."""

    latency: list[tuple[float, float, float] | None]
    """By step p50, p95, p99."""
    errors: list[float | None]
    records: int
    active: list[Item]
    """Those with most records, the first ones of them all."""
    chosen: list[Item]
    """Those that are filtered or picked, where they are few and of one kind; each has a line of its own."""


@dataclass
class Board:
    """All that is on the screen at one time."""

    view: View
    state: FeedState
    when: When
    items: list[Item] = field(default_factory=list)
    shown: list[Item] = field(default_factory=list)
    """Those of the tab, in its order."""
    cards: list[Card] = field(default_factory=list)
    alerts: list[wire.AlertRecord] = field(default_factory=list)
    logs: list[Place] = field(default_factory=list)
    figures: Figures | None = None
    is_warm: bool = True
    """Every window that the totals are of has been decoded."""

    @property
    def is_whole(self) -> bool:
        """All of the range is in it."""
        return self.view.complete and self.is_warm


def axis_of(query: Query) -> Axis:
    """The steps' times."""
    long = query.range.to_ms - query.from_ms > 2 * DAY_MS
    if not long:
        return Axis([clock(start, seconds=False) for start in query.starts])
    if query.step_ms >= DAY_MS:
        return Axis([day(start) for start in query.starts])
    return Axis([f"{day(start)} {clock(start, seconds=False)}" for start in query.starts])


def figures_of(view: View, items: Sequence[Item]) -> Figures:
    """Counted from the view's totals, and from the series that are counted."""
    totals = list(view.totals.values())
    counted = [item for item in items if view.is_counted(item.line)]
    is_chosen = (view.query.picked or view.query.words) and len(counted) <= _CURVES
    return Figures(
        bands(latency_steps(latency_lines(view))),
        error_steps(totals),
        sum(total.sums.records for total in totals),
        nsmallest(_SHARES, counted, key=lambda item: (-item.line.sums.records, item.entity)),
        counted if is_chosen and len({item.kind for item in counted}) == 1 else [],
    )


def overview_charts(view: View, figures: Figures, palette: Palette, *, is_warm: bool) -> list[Chart]:
    """Volume, latency, error rate, share of activity."""
    axis = axis_of(view.query)
    per = length(view.query.step_ms)
    is_there = any(value is not None for value in figures.latency)
    latency = Bands(figures.latency, axis, span) if is_there or is_warm else Bands([], axis, span, "counting …")
    return [
        Chart("volume", f"per {per}", _volume(view, figures.chosen, axis, palette)),
        Chart("latency p50 ▸ p95 ▸ p99" if figures.latency else "latency", f"per {per}", latency),
        Chart("error rate", f"per {per}", Bars(figures.errors, axis, percent, palette.bad)),
        Chart("share of activity", f"{short(figures.records)} log records",
              _activity(figures, palette), has_steps=False),
    ]  # fmt: skip


def _volume(view: View, chosen: Sequence[Item], axis: Axis, palette: Palette) -> Drawing:
    """A line for each component that is chosen; else one for each kind, on its own scale."""
    if chosen:
        ranked = sorted(chosen, key=lambda item: -item.line.sums.volume)
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


def _activity(figures: Figures, palette: Palette) -> Shares:
    ranked = figures.active
    top = ranked[0].line.sums.records if ranked else 1
    return Shares(
        [
            Share(
                item.entity,
                item.line.sums.records / top,
                percent(item.line.sums.records / figures.records),
                palette.kind(item.kind),
            )
            for item in ranked
        ],
        "no activity in this range",
    )
