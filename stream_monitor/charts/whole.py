"""Charts of the range as a whole: who wrote how much, how fast each is, how far each has drifted."""

from __future__ import annotations

from stream_monitor.board.words import percent, short, span
from stream_monitor.charts.figure import (
    LINES,
    NOTHING,
    Chart,
    Plain,
    Scene,
    faded,
    layout_of,
    meta_of,
    ranked,
    unique,
)
from stream_monitor.charts.over_time import QUANTILES

_TICKS = {
    0.1: "0.1 ms", 1: "1 ms", 10: "10 ms", 100: "100 ms", 1000: "1 s", 10_000: "10 s", 60_000: "1 min",
    600_000: "10 min", 3_600_000: "1 h", 36_000_000: "10 h", 360_000_000: "100 h",
}  # fmt: skip
_TALLEST = 2 * LINES


def share(scene: Scene) -> Chart:
    """What part of the log records each component wrote."""
    whole = sum(item.line.sums.records for item in scene.items)
    first, rest = ranked(scene.items, lambda item: item.line.sums.records)
    values = [item.line.sums.records for item in first]
    names = unique(item.entity for item in first)
    colours = [scene.colours.series[n % len(scene.colours.series)] for n in range(len(first))]
    if rest:
        values.append(sum(item.line.sums.records for item in rest))
        names.append(f"{len(rest)} others")
        colours.append(scene.colours.dim)
    pie = {
        "type": "pie", "hole": 0.64, "values": values, "labels": names, "sort": False, "direction": "clockwise",
        "textinfo": "none", "marker": {"colors": colours, "line": {"color": scene.colours.surface, "width": 2}},
        "customdata": [f"{percent(value / whole)} · {short(value)}" for value in values] if whole else [],
        "hovertemplate": "%{label}<br>%{customdata}<extra></extra>", "domain": {"x": [0, 0.46]},
    }  # fmt: skip
    layout = layout_of(
        scene, hovermode="closest",
        legend={"orientation": "v", "x": 0.52, "y": 0.5, "yanchor": "middle", "itemclick": False,
                "itemdoubleclick": False},
        annotations=[{
            "text": f"{short(whole)}<br>log records", "x": 0.23, "y": 0.5, "xref": "paper", "yref": "paper",
            "xanchor": "center", "yanchor": "middle", "showarrow": False, "font": {"size": 14, "weight": 600},
        }],
    )  # fmt: skip
    for axis in ("xaxis", "yaxis"):
        del layout[axis]
    return Chart("share", "Share of activity", f"{short(whole)} log records", {"data": [pie], "layout": layout},
                 "" if whole else NOTHING)  # fmt: skip


def latency_by(scene: Scene) -> Chart:
    """A box for each component over the range, the slowest first; the axis is logarithmic."""
    found = [(item, item.line.whole.measures[0]) for item in scene.items if item.line.whole.measures[0].counts]
    rows = [(item, of.at_quantiles(QUANTILES)) for item, of in found]
    rows.sort(key=lambda row: -(row[1][5] or 0.0))
    rows = rows[:_TALLEST]
    names = unique(item.entity for item, _ in rows)
    data: list[Plain] = []
    for (item, row), name in zip(rows, names, strict=True):
        colour = scene.colours.kind(item.kind)
        low, q1, median, q3, high, top = (max(value or 0.0, 1e-3) for value in row)
        said = f"p50 {span(row[2])} · p95 {span(row[4])} · p99 {span(row[5])}"
        data.append({
            "type": "box", "orientation": "h", "y": [name], "lowerfence": [low], "q1": [q1], "median": [median],
            "q3": [q3], "upperfence": [high], "line": {"color": colour, "width": 1.4}, "width": 0.55,
            "fillcolor": faded(colour, 0.25), "hoverinfo": "skip", "showlegend": False,
        })  # fmt: skip
        data.append({
            "type": "scatter", "mode": "markers", "x": [top], "y": [name], "name": name, "showlegend": False,
            "marker": {"color": colour, "size": 7, "symbol": "diamond"}, "text": [said],
            "hovertemplate": "%{text}<extra></extra>", "meta": meta_of([item]),
        })  # fmt: skip
    layout = layout_of(
        scene, hovermode="closest", height=80 + 26 * max(4, len(rows)), showlegend=False,
        yaxis={"type": "category", "autorange": "reversed", "showgrid": False, "nticks": 0},
    )  # fmt: skip
    layout["xaxis"] = {
        **layout["yaxis"], "type": "log", "autorange": True, "showgrid": True, "rangemode": "normal",
        "tickvals": list(_TICKS), "ticktext": list(_TICKS.values()),
    }  # fmt: skip
    said = "box p25–p75, whiskers p5–p95, diamond p99, in the whole range"
    return Chart(
        "latency_by", "Latency by component", said, {"data": data, "layout": layout}, "" if data else NOTHING
    )


def drift(scene: Scene) -> Chart:
    """How far each model's classes in the range's last quarter are from those before."""
    found = [(item, item.drift) for item in scene.of_kind("ml") if item.drift is not None]
    found.sort(key=lambda row: (-(row[1] or 0.0), row[0].entity))
    found = found[:_TALLEST]
    of = scene.colours
    bars = {
        "type": "bar", "orientation": "h", "y": unique(item.entity for item, _ in found),
        "x": [drift for _, drift in found], "marker": {"color": of.kind("ml")}, "width": 0.5,
        "hovertemplate": "%{x:.3f}<extra></extra>", "meta": meta_of(item for item, _ in found),
    }  # fmt: skip
    layout = layout_of(
        scene, hovermode="closest", showlegend=False, height=80 + 26 * max(4, len(found)),
        yaxis={"type": "category", "autorange": "reversed", "showgrid": False, "nticks": 0},
    )  # fmt: skip
    layout["xaxis"] = {
        **layout["xaxis"], "type": "linear", "range": [0, max(0.2, *(d or 0 for _, d in found), 0.0) * 1.05],
        "showgrid": True, "hoverformat": ".3f",
    }  # fmt: skip
    said = "classes of the last quarter against those before: 0 none, 1 nothing in common"
    return Chart("drift", "Drift", said, {"data": [bars], "layout": layout},
                 "" if found else "Too few predictions to tell.")  # fmt: skip
