"""What a chart shows, as plain data. How it is drawn stands in chart.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.style import Style

Values = Sequence[float | None]
Format = Callable[[float | None], str]

NO_DATA = "no data in this range"


@dataclass(frozen=True)
class Curve:
    """One line: its name, its values (one for each step), its colour."""

    name: str
    values: Values
    style: Style
    unit: str = ""


@dataclass(frozen=True)
class Axis:
    """What stands below a chart in time: of each step its start, as it is written."""

    labels: Sequence[str]


@dataclass(frozen=True)
class Lines:
    """Curves on one scale."""

    curves: Sequence[Curve]
    axis: Axis
    show: Format


@dataclass(frozen=True)
class Stack:
    """Curves, each with a scale of its own, one above the other: their units differ."""

    curves: Sequence[Curve]
    axis: Axis
    show: Format


@dataclass(frozen=True)
class Bands:
    """Of each step p50, p95 and p99, or None."""

    values: Sequence[tuple[float, float, float] | None]
    axis: Axis
    show: Format
    empty: str = NO_DATA


@dataclass(frozen=True)
class Bars:
    """One column for each value; a zero is a low mark, None is nothing."""

    values: Values
    axis: Axis
    show: Format
    style: Style
    top: float | None = None


@dataclass(frozen=True)
class Share:
    """One horizontal bar: its name, how full it is, what is written at its end."""

    name: str
    ratio: float | None
    said: str
    style: Style
    mark: str = ""


@dataclass(frozen=True)
class Shares:
    """Rows of horizontal bars; what does not fit is counted in the last row."""

    rows: Sequence[Share]
    empty: str = "nothing"


Drawing = Lines | Stack | Bands | Bars | Shares
