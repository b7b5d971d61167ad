"""Marks finer than a character: braille dots for lines, eighths of a block for areas and bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from rich.style import Style

EIGHTHS = " ▁▂▃▄▅▆▇█"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Braille: bits by row and column of a cell."""

Line = list[Segment]


class Canvas:
    """`width` × `height` cells of 2 × 4 dots; a cell has the style of its last dot."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._bits = [[0] * width for _ in range(height)]
        self._styles: list[list[Style | None]] = [[None] * width for _ in range(height)]

    def dot(self, x: int, y: int, style: Style) -> None:
        """Set the dot; (0, 0) is at the top left; outside is nothing."""
        row, column = y // 4, x // 2
        if 0 <= row < self.height and 0 <= column < self.width:
            self._bits[row][column] |= _DOTS[y % 4][x % 2]
            self._styles[row][column] = style

    def stroke(self, x0: int, y0: int, x1: int, y1: int, style: Style) -> None:
        """A line of dots (Bresenham)."""
        dx, dy = abs(x1 - x0), -abs(y1 - y0)
        step_x, step_y = (1 if x0 < x1 else -1), (1 if y0 < y1 else -1)
        error = dx + dy
        while True:
            self.dot(x0, y0, style)
            if (x0, y0) == (x1, y1):
                return
            twice = 2 * error
            if twice >= dy:
                error += dy
                x0 += step_x
            if twice <= dx:
                error += dx
                y0 += step_y

    def plot(self, values: Sequence[float | None], top: float, style: Style, bottom: float = 0.0) -> None:
        """A line through the values, from the left edge to the right one; a None interrupts it."""
        dots_x, dots_y = self.width * 2, self.height * 4
        last: tuple[int, int] | None = None
        reach = (top - bottom) or 1.0
        for index, value in enumerate(values):
            if value is None:
                last = None
                continue
            x = min(dots_x - 1, int((index + 0.5) * dots_x / len(values)))
            level = min(1.0, max(0.0, (value - bottom) / reach))
            y = round((1.0 - level) * (dots_y - 1))
            self.stroke(*(last or (x, y)), x, y, style)
            last = (x, y)

    def lines(self) -> list[Line]:
        """The cells, row by row; runs of one style are one segment."""
        return [
            runs((chr(0x2800 + bits) if bits else " ", style) for bits, style in zip(row, styles, strict=True))
            for row, styles in zip(self._bits, self._styles, strict=True)
        ]


def runs(cells: Iterable[tuple[str, Style | None]]) -> Line:
    """(character, style) pairs as segments, one for each run of a style."""
    line: Line = []
    text = ""
    current: Style | None = None
    for char, style in cells:
        if text and style != current:
            line.append(Segment(text, current))
            text = ""
        text, current = text + char, style
    if text:
        line.append(Segment(text, current))
    return line


def bar(ratio: float, width: int) -> str:
    """A horizontal bar, `width` cells when it is full; exactly that many cells. What is more than 0 is seen."""
    full = round(min(1.0, max(0.0, ratio)) * width)
    return ("▇" * (max(full, 1) if ratio > 0 else 0)).ljust(width)


def spark(values: Sequence[float | None], width: int, top: float | None = None) -> str:
    """A line of bars of exactly `width` cells: a dot is a zero, a space has no data."""
    merged = squeeze(values, width)
    top = top or max((value for value in merged if value is not None), default=0.0)
    marks = []
    for value in merged:
        if value is None:
            marks.append(" ")
        elif value <= 0 or top <= 0:
            marks.append("·")
        else:
            marks.append(EIGHTHS[1 + min(6, int(value / top * 6.999))])
    return "".join(marks).rjust(width)


def squeeze(values: Sequence[float | None], width: int) -> list[float | None]:
    """At most `width` values: neighbours by their greatest, so that a spike stays; fewer stay as they are."""
    count = len(values)
    if count <= width or width <= 0:
        return list(values)
    merged: list[float | None] = []
    for column in range(width):
        some = [v for v in values[column * count // width : (column + 1) * count // width] if v is not None]
        merged.append(max(some) if some else None)
    return merged
