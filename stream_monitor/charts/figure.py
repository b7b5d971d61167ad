"""What figures have in common: the scene that is drawn, axes, lines, labels that stay text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stream_monitor.board.colours import Colours
from stream_monitor.board.item import Item
from stream_monitor.board.name import name_of
from stream_monitor.board.words import length
from stream_monitor.core.view import View

Plain = dict[str, Any]

LINES = 6
"""Of more components those with the most, and the rest as one line."""
NAME_MOST = 44
NOTHING = "There is no data in this range."
COUNTING = "The windows are being read."

_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif'


class Chart(NamedTuple):
    """A figure, its title, a word about it; `empty` says why there is nothing to draw, else it is ''."""

    name: str
    title: str
    said: str
    figure: Plain
    empty: str = ""


@dataclass(frozen=True)
class Scene:
    """What is drawn: the view, its counted series, a theme. `is_warm`: all windows are decoded."""

    view: View
    items: Sequence[Item]
    colours: Colours
    is_warm: bool = True

    @property
    def times(self) -> list[int]:
        """The steps' starts."""
        return list(self.view.query.starts)

    @property
    def per(self) -> str:
        """`per 5 min`."""
        return f"per {length(self.view.query.step_ms)}"

    def of_kind(self, kind: str) -> list[Item]:
        """The kind's series."""
        return [item for item in self.items if item.kind == kind]


def plain(text: str) -> str:
    """Text for a label of plotly: no tag in it is read as one, no control character, not too long."""
    shown = "".join(char if char.isprintable() else "�" for char in text[: 2 * NAME_MOST])
    if len(shown) > NAME_MOST:
        shown = f"{shown[: NAME_MOST // 2]}…{text[-NAME_MOST // 2 + 1 :]}"
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def layout_of(scene: Scene, **more: Any) -> Plain:
    of = scene.colours
    query = scene.view.query
    axis = {
        "gridcolor": of.panel, "linecolor": of.faint, "zeroline": False, "tickfont": {"color": of.dim, "size": 11},
        "fixedrange": True,
    }  # fmt: skip
    layout: Plain = {
        "font": {"family": _FONT, "size": 12, "color": of.foreground},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 48, "r": 12, "t": 8, "b": 32},
        "hovermode": "x unified",
        "hoverlabel": {
            "bgcolor": of.surface, "bordercolor": of.faint, "namelength": -1,
            "font": {"family": _FONT, "size": 12, "color": of.foreground},
        },
        "legend": {
            "orientation": "h", "x": 0, "y": -0.16, "yanchor": "top", "font": {"color": of.dim, "size": 11},
        },
        "xaxis": {**axis, "type": "date", "showgrid": False, "ticks": "outside", "tickcolor": of.faint,
                  "range": [query.from_ms, query.range.to_ms], "hoverformat": "%d %b %H:%M UTC"},
        "yaxis": {**axis, "rangemode": "tozero", "nticks": 5, "exponentformat": "SI"},
        "showlegend": True,
        "meta": {"step_ms": query.step_ms},
    }  # fmt: skip
    for name, value in more.items():
        layout[name] = {**layout[name], **value} if isinstance(layout.get(name), dict) else value
    return layout


def meta_of(items: Iterable[Item]) -> Plain:
    found = list(items)
    return {"kind": found[0].kind if found else "", "names": [name_of(*item.key) for item in found][:100]}


def _lonely(values: Sequence[float | None]) -> list[int]:
    """Marker sizes: a value between two gaps would be no line."""
    padded = [None, *values, None]
    return [6 if padded[n] is None and padded[n + 2] is None else 0 for n in range(len(values))]


def line_of(
    scene: Scene, name: str, values: Sequence[float | None], colour: str, said: Callable[[float | None], str],
    **more: Any,
) -> Plain:  # fmt: skip
    """A line over the steps. Where a value stands alone, it is a dot."""
    sizes = _lonely(values)
    marked: Plain = {"mode": "lines"}
    if any(sizes):
        marked = {"mode": "lines+markers", "marker": {"size": sizes, "color": colour, "line": {"width": 0}}}
    return {
        "type": "scatter", **marked, "x": scene.times, "y": list(values), "name": plain(name),
        "line": {"color": colour, "width": 1.8}, "customdata": [said(value) for value in values],
        "hovertemplate": "%{customdata}", **more,
    }  # fmt: skip


def ranked(items: Sequence[Item], size: Callable[[Item], float]) -> tuple[list[Item], list[Item]]:
    """(the first ones, the rest)."""
    found = sorted(items, key=lambda item: (-size(item), item.entity))
    return (found, []) if len(found) <= LINES else (found[: LINES - 1], found[LINES - 1 :])


def added(rows: Iterable[Sequence[float | None]]) -> list[float | None]:
    """Several lines as one; a step without any value is none."""
    out: list[float | None] = []
    for column in zip(*rows, strict=True):
        values = [value for value in column if value is not None]
        out.append(sum(values) if values else None)
    return out


def faded(colour: str, share: float) -> str:
    """`#rrggbb` with an opacity."""
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share:g})"


def unique(names: Iterable[str]) -> list[str]:
    """Labels that differ: plotly takes equal ones for one."""
    seen: dict[str, int] = {}
    out = []
    for name in map(plain, names):
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out
