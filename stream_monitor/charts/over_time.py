"""Charts over time: volume, latency, error rate, lag, confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle

from stream_monitor.board.cards import unit_of
from stream_monitor.board.colours import shades
from stream_monitor.board.item import Item
from stream_monitor.board.steps import LATENCY, error_steps, latency_lines, latency_steps, merged_steps
from stream_monitor.board.words import percent, short, span
from stream_monitor.charts.figure import (
    COUNTING,
    LINES,
    NOTHING,
    Chart,
    Plain,
    Scene,
    added,
    faded,
    layout_of,
    line_of,
    meta_of,
    ranked,
)
from stream_monitor.core.distribution import Distribution

BOXES = 72
"""Of more steps several are one box."""
_DASHES = ("solid", "solid", "dash", "dashdot", "longdash")
"""Beside the colour, for whoever does not see it."""
QUANTILES = (0.05, 0.25, 0.50, 0.75, 0.95, 0.99)

_UNITS_MS = ((3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms"))


def volume(scene: Scene) -> Chart:
    """A row for each kind, each in its unit and on its scale; a line for each component."""
    there = [item for item in scene.items if item.volume is not None]
    members = {name: [item for item in there if item.kind == name] for name in scene.view.totals}
    kinds = [name for name, items in members.items() if items]
    data: list[Plain] = []
    layout = layout_of(scene, height=120 + 130 * max(1, len(kinds)), yaxis={"nticks": 4})
    gap = 0.09 if len(kinds) > 1 else 0.0
    size = (1 - gap * (len(kinds) - 1)) / max(1, len(kinds))
    notes = []
    for row, kind in enumerate(kinds):
        number = "" if row == 0 else str(row + 1)
        top = 1 - row * (size + gap)
        layout[f"yaxis{number}"] = {**layout["yaxis"], "domain": [max(0.0, top - size), top]}
        first, rest = ranked(members[kind], lambda item: item.line.sums.volume)
        base = _base(scene, kind, kinds)
        looks = list(zip(shades(base, scene.colours.surface, len(first)), cycle(_DASHES), strict=False))
        lines = [(item.entity, item.volumes, [item], *look) for item, look in zip(first, looks, strict=True)]
        if rest:
            lines.append((f"{len(rest)} others", added(i.volumes for i in rest), rest, scene.colours.dim, "dot"))
        for name, values, items, colour, dash in lines:
            line = line_of(scene, name, values, colour, short, yaxis=f"y{number}", meta=meta_of(items))
            line["line"]["dash"] = dash
            data.append(line)
        notes.append({
            "text": f"{kind} {unit_of(scene.view.totals[kind].kind)}", "x": 0, "y": top, "xref": "paper",
            "yref": "paper", "xanchor": "left", "yanchor": "bottom", "showarrow": False,
            "font": {"color": base, "size": 12, "weight": 600},
        })  # fmt: skip
    layout["xaxis"]["anchor"] = f"y{len(kinds)}" if len(kinds) > 1 else "y"
    layout["annotations"], layout["margin"]["t"] = notes, 24
    layout["legend"]["y"] = -40 / max(1, layout["height"])
    empty = "No component has reported a volume." if scene.items else NOTHING
    return Chart("volume", "Volume", scene.per, {"data": data, "layout": layout}, "" if data else empty)


def _base(scene: Scene, kind: str, kinds: Sequence[str]) -> str:
    """The kind's colour; of a kind that has none, one that no kind has."""
    own = scene.colours.kinds
    spare = [colour for colour in scene.colours.series if colour not in own.values()]
    others = [name for name in kinds if name not in own]
    return own.get(kind) or spare[others.index(kind) % len(spare)]


def _grouped(
    times: Sequence[int], steps: Sequence[Distribution | None], step_ms: int
) -> tuple[list[float], float, list[list[float | None]]]:
    """At most BOXES of them, each of several steps: (their middles, the width of one, QUANTILES of each)."""
    per = -(-len(steps) // BOXES) or 1
    found = [merged_steps(steps[n : n + per]) for n in range(0, len(steps), per)]
    width = step_ms * per
    middles = [times[n * per] + width / 2 for n in range(len(found))]
    return (
        middles,
        width,
        [[None] * len(QUANTILES) if one is None else one.at_quantiles(QUANTILES) for one in found],
    )


def _unit_of(top_ms: float) -> tuple[int, str]:
    """What an axis is in: the longest unit of which the top has two or more."""
    return next(((size, unit) for size, unit in _UNITS_MS if top_ms >= 2 * size), (1, "ms"))


def latency(scene: Scene) -> Chart:
    """Boxes from p25 to p75 with whiskers from p5 to p95, and p50, p95 and p99 as lines."""
    lines = latency_lines(scene.view)
    at, width, rows = _grouped(scene.times, latency_steps(lines), scene.view.query.step_ms)
    title = "Latency" if any(line.kind.measures[i][0] == LATENCY for line, i in lines) or not lines else "Duration"
    size, unit = _unit_of(max((row[5] or 0.0 for row in rows), default=0.0))
    there = [n for n, row in enumerate(rows) if row[0] is not None]
    quantiles = [
        [None if value is None else value / size for value in column] for column in zip(*rows, strict=True)
    ]
    of = scene.colours
    boxes = zip(("lowerfence", "q1", "median", "q3", "upperfence"), quantiles, strict=False)
    box = {
        "type": "box", "x": [at[n] for n in there], "line": {"color": of.bands[0], "width": 1},
        "fillcolor": faded(of.bands[0], 0.25), "hoverinfo": "skip", "showlegend": False, "width": width * 0.6,
        **{name: [column[n] for n in there] for name, column in boxes},
    }  # fmt: skip
    data: list[Plain] = [box] if there else []
    names = (
        ("p50", 2, of.bands[0], "solid", 2.0),
        ("p95", 4, of.accent, "dot", 1.4),
        ("p99", 5, of.error, "dot", 1.0),
    )
    for name, index, colour, dash, width in names if there else ():
        data.append({
            "type": "scatter", "mode": "lines+markers", "x": at, "y": quantiles[index], "name": name,
            "line": {"color": colour, "dash": dash, "width": width}, "marker": {"size": 3, "color": colour},
            "customdata": [span(row[index]) for row in rows], "hovertemplate": "%{customdata}",
            "connectgaps": False, "meta": {"kind": "", "names": []},
        })  # fmt: skip
    layout = layout_of(scene, yaxis={"ticksuffix": f" {unit}"})
    said = f"box p25–p75, whiskers p5–p95, {scene.per}"
    missing = NOTHING if scene.is_warm else COUNTING
    return Chart("latency", title, said, {"data": data, "layout": layout}, "" if data else missing)


def errors(scene: Scene) -> Chart:
    """Failed / what could fail, by step, as bars."""
    totals = list(scene.view.totals.values())
    ratios = error_steps(totals)
    parts = zip(*(line.parts for line in totals), strict=True)
    counts = [(sum(part.errors for part in step if part), sum(part.of for part in step if part)) for step in parts]
    said = [f"{percent(r)} ({short(e)} of {short(of)})" for r, (e, of) in zip(ratios, counts, strict=True)]
    bars = {
        "type": "bar", "x": scene.times, "y": ratios, "name": "error rate", "offset": 0,
        "width": scene.view.query.step_ms * 0.85, "marker": {"color": scene.colours.error}, "customdata": said,
        "hovertemplate": "%{customdata}<extra></extra>",
        "meta": meta_of(item for item in scene.items if item.line.sums.errors),
    }  # fmt: skip
    top = max((ratio for ratio in ratios if ratio is not None), default=0.0)
    layout = layout_of(
        scene, showlegend=False,
        yaxis={"tickformat": ".1%" if top < 0.1 else ".0%", "range": [0, max(0.01, top * 1.1)]},
    )  # fmt: skip
    nothing = "" if any(ratio is not None for ratio in ratios) else NOTHING
    return Chart("errors", "Error rate", scene.per, {"data": [bars], "layout": layout}, nothing)


def _lines(
    scene: Scene, rows: Sequence[tuple[Item, Sequence[float | None]]], said: Callable[[float | None], str]
) -> list[Plain]:
    series = scene.colours.series
    return [
        line_of(scene, item.entity, values, series[n % len(series)], said, meta=meta_of([item]))
        for n, (item, values) in enumerate(rows)
    ]


def lag(scene: Scene) -> Chart:
    """Messages behind, by consumer group and topic: those with the highest peak."""
    rows = [(item, item.lags) for item in scene.of_kind("kafka")]
    rows.sort(key=lambda row: (-max((value for value in row[1] if value is not None), default=0), row[0].entity))
    data = _lines(scene, rows[:LINES], short)
    said = "messages behind, at each step's end"
    if len(rows) > LINES:
        said += f"; the highest {LINES} of {len(rows)}"
    empty = "" if any(any(v is not None for v in row) for _, row in rows) else "No consumer has reported its lag."
    return Chart("lag", "Consumer lag", said, {"data": data, "layout": layout_of(scene)}, empty)


def confidence(scene: Scene) -> Chart:
    """Each model's mean confidence: those with the most predictions."""
    rows = sorted(scene.of_kind("ml"), key=lambda item: (-item.line.sums.volume, item.entity))[:LINES]

    def show(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    data = _lines(scene, [(item, _means(item, "confidence")) for item in rows], show)
    least = min((v for one in data for v in one["y"] if v is not None), default=0.5)
    bottom = max(0.0, min(0.8, least - 0.05))
    layout = layout_of(scene, yaxis={"range": [bottom, 1], "rangemode": "normal", "tickformat": ".2f"})
    empty = "" if any(v is not None for one in data for v in one["y"]) else "No model has reported its confidence."
    return Chart("confidence", "Confidence", f"mean, {scene.per}", {"data": data, "layout": layout}, empty)


def _means(item: Item, measure: str) -> list[float | None]:
    index = next(n for n, (name, _) in enumerate(item.line.kind.measures) if name == measure)
    return [part.aggregate.measures[index].mean if part is not None else None for part in item.line.parts]
