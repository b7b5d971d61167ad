"""Charts as plain data, and how each is drawn into a rectangle. No widget: `draw` is a function.

top ┤ marks …                 Lines      braille, one line for each series, named at its end
    │                         Bands      p50, p95, p99 as areas that stand on zero
  0 ┤                         Bars       one column for each step
     10:30      11:00         Shares     horizontal bars with their words
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style

from stream_monitor.board.words import DASH
from stream_monitor.tui.canvas import EIGHTHS, Canvas, Line, bar, runs, squeeze
from stream_monitor.tui.drawing import NO_DATA, Axis, Bands, Bars, Curve, Drawing, Lines, Shares, Stack, Values
from stream_monitor.tui.palette import Palette
from stream_monitor.tui.text import clean, fit


def draw(drawing: Drawing, width: int, height: int, palette: Palette, cursor: int | None = None) -> list[Line]:
    """`height` lines of `width` cells. `cursor`: the step that is looked at, in charts that have steps."""
    if width < 4 or height < 1:
        return [[Segment(" " * max(0, width))] for _ in range(max(0, height))]
    if isinstance(drawing, Shares):
        lines = _shares(drawing, width, height, palette)
    elif isinstance(drawing, Stack):
        lines = _stack(drawing, width, height, palette, cursor)
    elif not _has_data(drawing):
        lines = _nothing(width, height, palette, drawing.empty if isinstance(drawing, Bands) else NO_DATA)
    else:
        lines = _plotted(drawing, width, height, palette, cursor)
    lines = [Segment.adjust_line_length(line, width) for line in lines[:height]]
    return [*lines, *([[Segment(" " * width)]] * (height - len(lines)))]


def nice_top(value: float) -> float:
    """The least of 1, 1.5, 2, 3, 5, 7.5 times a power of ten that is not below the value."""
    if value <= 0:
        return 1.0
    base = 10.0 ** math.floor(math.log10(value))
    return next((base * step for step in (1, 1.5, 2, 3, 5, 7.5) if base * step >= value * 0.999), base * 10)


def step_at(x: int, width: int, steps: int) -> int:
    """The step that a column of a plot of this width shows."""
    return min(steps - 1, max(0, x * steps // max(1, width)))


def plot_left(drawing: Drawing) -> int:
    """How many columns stand left of the plot."""
    if isinstance(drawing, Lines | Bands | Bars):
        return len(drawing.show(_top(drawing))) + 1
    return 0


def _has_data(drawing: Lines | Bands | Bars) -> bool:
    if isinstance(drawing, Lines):
        return any(value is not None for curve in drawing.curves for value in curve.values)
    return any(value is not None for value in drawing.values)


def _nothing(width: int, height: int, palette: Palette, said: str = NO_DATA) -> list[Line]:
    blank = [Segment(" " * width)]
    return [blank] * ((height - 1) // 2) + [[Segment(fit(said.center(width), width), palette.dim)]]


def _top(drawing: Lines | Bands | Bars) -> float:
    if isinstance(drawing, Bands):
        values: list[float | None] = [value[2] if value else None for value in drawing.values]
    elif isinstance(drawing, Bars):
        if drawing.top is not None:
            return drawing.top
        values = list(drawing.values)
    else:
        values = [value for curve in drawing.curves for value in curve.values]
    return nice_top(max((value for value in values if value is not None), default=0.0))


def _plotted(
    drawing: Lines | Bands | Bars, width: int, height: int, palette: Palette, cursor: int | None
) -> list[Line]:
    top, left = _top(drawing), plot_left(drawing)
    with_axis = height >= 4
    rows = height - with_axis
    plot_width = width - left
    steps = len(drawing.axis.labels)
    if isinstance(drawing, Lines):
        names = _names_width(drawing, plot_width)
        plot_width -= names
        plot = _curves(drawing.curves, plot_width, rows, top)
    elif isinstance(drawing, Bands):
        names, plot = 0, _bands(drawing, plot_width, rows, top, palette)
    else:
        names, plot = 0, _columns(drawing, plot_width, rows, top, palette)
    if cursor is not None and 0 <= cursor < steps:
        plot = [_marked(line, _column_of(cursor, plot_width, steps), palette) for line in plot]
    labels = [drawing.show(top), *[""] * (rows - 1)]
    if rows >= 2:
        labels[-1] = drawing.show(0.0)
    lines = [
        [
            Segment(fit(label, left - 1, right=True) + "┤"[:1] if label else " " * (left - 1) + "│", palette.dim),
            *line,
        ]
        for label, line in zip(labels, plot, strict=True)
    ]
    if isinstance(drawing, Lines) and names:
        lines = _named(lines, drawing, names, rows, top)
    if with_axis:
        lines.append(
            [Segment(" " * left), *_axis(drawing.axis, plot_width, palette, cursor), Segment(" " * names)]
        )
    return lines


def _column_of(step: int, width: int, steps: int) -> int:
    return min(width - 1, (2 * step + 1) * width // (2 * steps))


def _marked(line: Line, column: int, palette: Palette) -> Line:
    """The line with the cursor's column lit."""
    before, at, after = Segment.divide(line, [column, column + 1, sum(s.cell_length for s in line)])
    return [*before, *(Segment(s.text if s.text.strip() else "┆", (s.style or palette.dim) + palette.cursor)
                       for s in at), *after]  # fmt: skip


def _axis(axis: Axis, width: int, palette: Palette, cursor: int | None) -> Line:
    """The first step's time, the last's, one between; the cursor's, where there is one."""
    count = len(axis.labels)
    text = [" "] * width
    wanted = [0, count - 1, count // 2] if cursor is None else [cursor, 0, count - 1]
    taken: list[range] = []
    for step in wanted:
        if not 0 <= step < count:
            continue
        label = axis.labels[step]
        start = max(0, min(width - len(label), _column_of(step, width, count) - len(label) // 2))
        place = range(start - 1, start + len(label) + 1)
        if len(label) > width or any(place.start < other.stop and other.start < place.stop for other in taken):
            continue
        taken.append(place)
        text[start : start + len(label)] = label
    return [Segment("".join(text), palette.dim)]


def _curves(curves: Sequence[Curve], width: int, rows: int, top: float) -> list[Line]:
    canvas = Canvas(width, rows)
    for curve in reversed(curves):
        canvas.plot(squeeze(curve.values, width * 2), top, curve.style)
    return [_filled(line, width) for line in canvas.lines()]


def _filled(line: Line, width: int) -> Line:
    missing = width - sum(segment.cell_length for segment in line)
    return [*line, Segment(" " * missing)] if missing > 0 else line


def _last(values: Values) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def _names_width(drawing: Lines, width: int) -> int:
    """Of the names at the curves' ends; none where there is one curve, or little room."""
    if len(drawing.curves) < 2 or width < 26:
        return 0
    return min(26, max(13, width // 3))


def _named(lines: list[Line], drawing: Lines, width: int, rows: int, top: float) -> list[Line]:
    """Each curve's name and last value at the height where it ends, or the nearest free one."""
    free = list(range(rows))
    named: dict[int, Curve] = {}
    for curve in drawing.curves:
        if not free:
            break
        level = 1.0 - min(1.0, (_last(curve.values) or 0.0) / (top or 1.0))
        row = min(free, key=lambda r: abs(r - level * (rows - 1)))
        free.remove(row)
        named[row] = curve
    out = []
    for row, line in enumerate(lines):
        curve = named.get(row)  # type: ignore[assignment]
        said = ""
        if curve is not None:
            value = drawing.show(_last(curve.values))
            said = f" {fit(clean(curve.name), width - len(value) - 2)} {value}"
        out.append([*line, Segment(fit(said, width), curve.style if curve else None)])
    return out


def _bands(drawing: Bands, width: int, rows: int, top: float, palette: Palette) -> list[Line]:
    """Areas that stand on zero, to an eighth of a cell: up to p50, on to p95, on to p99."""
    steps = len(drawing.values)
    merged = _columns_of(drawing.values, width)
    grid: list[list[tuple[str, Style | None]]] = [[(" ", None)] * width for _ in range(rows)]
    for column, step in enumerate(merged if steps else []):
        if step is None:
            continue
        levels = [min(rows * 8, round(value / top * rows * 8)) for value in step]
        levels[0] = max(levels[0], 1)
        for row in range(rows):
            grid[row][column] = _band_cell((rows - 1 - row) * 8, levels, palette)
    return [runs(line) for line in grid]


def _band_cell(floor: int, levels: list[int], palette: Palette) -> tuple[str, Style | None]:
    """The cell whose lower edge is at `floor` eighths: the lowest area that begins in it, over the next one."""
    for index, level in enumerate(levels):
        if level <= floor:
            continue
        style = palette.bands[index]
        if level >= floor + 8:
            return "█", style
        above = next((i for i, other in enumerate(levels) if other > max(level, floor + 4)), None)
        if above is None:
            return EIGHTHS[level - floor], style
        return EIGHTHS[level - floor], style + Style(bgcolor=palette.bands[above].color)
    return " ", None


def _columns_of(
    values: Sequence[tuple[float, float, float] | None], width: int
) -> list[tuple[float, float, float] | None]:
    """One for each column: a step stands in several, or the highest of several steps in one."""
    steps = len(values)
    out: list[tuple[float, float, float] | None] = []
    for column in range(width):
        first = column * steps // width
        last = max(first + 1, (column + 1) * steps // width)
        some = [value for value in values[first:last] if value is not None]
        out.append(max(some, key=lambda value: value[2]) if some else None)
    return out


def _columns(drawing: Bars, width: int, rows: int, top: float, palette: Palette) -> list[Line]:
    steps = len(drawing.values)
    grid: list[list[tuple[str, Style | None]]] = [[(" ", None)] * width for _ in range(rows)]
    for column in range(width):
        first = column * steps // width
        last = max(first + 1, (column + 1) * steps // width)
        some = [value for value in drawing.values[first:last] if value is not None]
        if not some:
            continue
        value = max(some)
        if value <= 0:
            grid[rows - 1][column] = ("▁", palette.faint)
            continue
        eighths = max(1, min(rows * 8, round(value / top * rows * 8)))
        for row in range(rows):
            level = eighths - (rows - 1 - row) * 8
            if level > 0:
                grid[row][column] = (EIGHTHS[min(8, level)], drawing.style)
    return [runs(line) for line in grid]


def _stack(drawing: Stack, width: int, height: int, palette: Palette, cursor: int | None) -> list[Line]:
    """Each curve with a heading of its own: name, last value, highest value."""
    curves = [curve for curve in drawing.curves if any(value is not None for value in curve.values)]
    if not curves:
        return _nothing(width, height, palette)
    with_axis = height >= 5
    room = height - with_axis
    each = max(1, room // len(curves))
    lines: list[Line] = []
    for index, curve in enumerate(curves):
        rows = each + (1 if index < room - each * len(curves) else 0)
        lines += _stacked(curve, drawing, width, rows, palette, cursor)
    lines = lines[:room]
    if with_axis:
        lines.append(_axis(drawing.axis, width, palette, cursor))
    return lines


def _stacked(
    curve: Curve, drawing: Stack, width: int, rows: int, palette: Palette, cursor: int | None
) -> list[Line]:
    top = nice_top(max(value for value in curve.values if value is not None))
    index = cursor if cursor is not None and 0 <= cursor < len(curve.values) else None
    now = _last(curve.values) if index is None else curve.values[index]
    label = 16 if width >= 50 else 9
    plot_width = width - label
    canvas = Canvas(plot_width, rows)
    canvas.plot(squeeze(curve.values, plot_width * 2), top, curve.style)
    plot = [_filled(line, plot_width) for line in canvas.lines()]
    if index is not None:
        plot = [_marked(line, _column_of(index, plot_width, len(curve.values)), palette) for line in plot]
    name = clean(f"{curve.name} {curve.unit}" if label > 10 else curve.name)
    value, most = drawing.show(now), drawing.show(top)
    words = [(name, curve.style), (value, palette.strong), (f"of {most}", palette.dim)]
    if rows == 1:
        words = [(f"{fit(clean(curve.name), label - len(value) - 2)} {value}", curve.style)]
    elif rows == 2:
        words = [words[0], (f"{value} of {most}" if label > 10 else value, palette.dim)]
    heads = [*words, *[("", palette.dim)] * rows][:rows]
    return [
        [Segment(fit(text, label - 1) + " ", style), *line]
        for (text, style), line in zip(heads, plot, strict=True)
    ]


def _shares(drawing: Shares, width: int, height: int, palette: Palette) -> list[Line]:
    rows = list(drawing.rows)
    if not rows:
        return [[Segment(fit(f" {drawing.empty}", width), palette.dim)]]
    left_out = len(rows) - height + 1 if len(rows) > height > 1 else 0
    rows = rows[: len(rows) - left_out]
    said = max(len(row.said) for row in rows)
    names = min(max(len(row.name) + len(row.mark) + 1 for row in rows), max(8, width * 45 // 100))
    room = width - names - said - 2
    said = said if room >= 3 else max(0, width - names - 2)
    lines: list[Line] = []
    for row in rows:
        name = f"{row.mark} {clean(row.name)}" if row.mark else clean(row.name)
        line = [Segment(fit(name, names) + " ", row.style if row.mark else palette.text)]
        if room >= 3:
            line.append(Segment(bar(row.ratio or 0.0, room), row.style))
        line.append(Segment(" " + fit(row.said or DASH, said, right=True), palette.dim))
        lines.append(line)
    if left_out:
        lines.append([Segment(fit(f"and {left_out} more", width), palette.dim)])
    return lines
