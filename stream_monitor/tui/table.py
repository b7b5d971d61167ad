"""A table that draws only the rows in sight: thousands of rows cost what a screenful costs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from stream_monitor.tui.canvas import Line
from stream_monitor.tui.palette import Palette
from stream_monitor.tui.text import fit

Item = TypeVar("Item")

Cell = tuple[str, Style | None]


@dataclass(frozen=True)
class Column(Generic[Item]):
    """One column. `draw` makes a cell for a width; `order` is what it is sorted by, None comes last."""

    name: str
    title: str
    draw: Callable[[Item, int, Palette], Cell]
    order: Callable[[Item], Any] | None = None
    width: int = 8
    flex: int = 0
    """Its part of the room that is left."""
    need: int = 0
    """Columns with a higher number go first where there is too little room."""
    right: bool = True
    falling: bool = True
    """Sorted from the highest at the first time."""


def ordered(items: Sequence[Item], column: Column[Item], *, falling: bool) -> list[Item]:
    """Sorted by a column; what has no value there is last, whichever way."""
    if column.order is None:
        return list(items)
    order = column.order
    keyed = [(order(item), item) for item in items]
    found = sorted((k for k in keyed if k[0] is not None), key=lambda k: k[0], reverse=falling)
    return [item for _, item in [*found, *(k for k in keyed if k[0] is None)]]


class Table(ScrollView, Generic[Item], can_focus=True):
    """Rows of a cursor; a click on a title sorts by it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home,g", "end(-1)", "first", show=False),
        Binding("end,G", "end(1)", "last", show=False),
        Binding("enter", "open", "raw logs"),
    ]

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, table: Table[Any], item: Any) -> None:
            super().__init__()
            self.table, self.item = table, item

    class Opened(Moved):
        """Enter, or a double click."""

    class Sorted(Message):
        """A title was clicked."""

        def __init__(self, table: Table[Any], column: str) -> None:
            super().__init__()
            self.table, self.column = table, column

    def __init__(
        self,
        columns: Sequence[Column[Item]],
        key: Callable[[Item], Hashable],
        *,
        empty: str = "nothing here",
        id: str | None = None,  # noqa: A002  (Textual's name)
    ) -> None:
        super().__init__(id=id)
        self.columns = columns
        self.items: list[Item] = []
        self.palette: Palette | None = None
        self.sort: tuple[str, bool] = ("", True)
        self.empty = empty
        self.is_dimmed = False
        self._key = key
        self._cursor_key: Hashable | None = None
        self._at = 0
        self._layout: list[tuple[Column[Item], int]] = []

    # --- What it shows ----------------------------------------------------------------------------

    def show(self, items: list[Item], palette: Palette, *, is_dimmed: bool = False) -> None:
        """Other items. The cursor stays on its row while that is there, and in sight if it was.

        Before it is moved, and after "first", it is on the first row, whichever that is.
        """
        was_in_sight = self._is_in_sight
        self.items, self.palette, self.is_dimmed = items, palette, is_dimmed
        if self._cursor_key is not None:
            self._at = next((i for i, item in enumerate(items) if self._key(item) == self._cursor_key), self._at)
        self._at = max(0, min(self._at, len(items) - 1))
        self.virtual_size = Size(self.size.width, len(items) + 1)
        if was_in_sight:
            self._into_sight()
        self.refresh()

    @property
    def item(self) -> Item | None:
        """The one under the cursor."""
        return self.items[self._at] if self.items else None

    @property
    def sight(self) -> tuple[int, int]:
        """The rows that are in sight, and a screenful before and behind: from, to."""
        first, height = int(self.scroll_offset.y), max(20, self.size.height)
        return max(0, first - height), first + 2 * height

    def layout_for(self, width: int) -> list[tuple[Column[Item], int]]:
        """The columns that fit, with their widths."""
        chosen = sorted(self.columns, key=lambda column: column.need)
        while len(chosen) > 1 and sum(column.width + 1 for column in chosen) > width:
            chosen.pop()
        shown = [column for column in self.columns if column in chosen]
        left = width - sum(column.width + 1 for column in shown)
        flexes = sum(column.flex for column in shown) or 1
        return [(column, column.width + max(0, left) * column.flex // flexes) for column in shown]

    def render_line(self, y: int) -> Strip:
        """The title line, then the rows in sight."""
        return self._strip(y).apply_style(self.rich_style)

    def _strip(self, y: int) -> Strip:
        width = self.size.width
        palette = self.palette
        if palette is None:
            return Strip.blank(width)
        self._layout = self.layout_for(width)
        if y == 0:
            return Strip(self._head(palette)).adjust_cell_length(width, palette.head)
        index = self.scroll_offset.y + y - 1
        if index >= len(self.items):
            said = self.empty if not self.items and y == 2 else ""
            return Strip([Segment(fit(f"  {said}", width), palette.dim)])
        line = self._row(self.items[index], palette)
        if index == self._at:
            style = palette.cursor if self.has_focus else palette.cursor_away
            return Strip(Segment.apply_style(line, None, style)).adjust_cell_length(width, style)
        return Strip(line).adjust_cell_length(width)

    def _head(self, palette: Palette) -> Line:
        line: Line = []
        for column, width in self._layout:
            is_sorted = column.name == self.sort[0]
            arrow = ("▼" if self.sort[1] else "▲") if is_sorted else ""
            title = arrow + column.title if column.right else column.title + arrow
            text = fit(title, width, right=column.right)
            line.append(Segment(text + " ", palette.strong if is_sorted else palette.head))
        return line

    def _row(self, item: Item, palette: Palette) -> Line:
        line: Line = []
        for column, width in self._layout:
            text, style = column.draw(item, width, palette)
            style = palette.dim if self.is_dimmed else style
            line.append(Segment(fit(text, width, right=column.right) + " ", style))
        return line

    # --- What it does -----------------------------------------------------------------------------

    def move_to(self, index: int) -> None:
        """The cursor to a row, which is scrolled into sight."""
        if not self.items:
            return
        self._at = max(0, min(index, len(self.items) - 1))
        self._cursor_key = self._key(self.items[self._at])
        self._into_sight()
        self.call_after_refresh(self._into_sight)  # it may not be laid out for these rows yet
        self.refresh()
        self.post_message(self.Moved(self, self.items[self._at]))

    @property
    def _is_in_sight(self) -> bool:
        return 0 <= self._at - self.scroll_offset.y < self.size.height - 1

    def _into_sight(self) -> None:
        height, top = max(1, self.size.height - 1), self.scroll_offset.y
        if self._at < top:
            self.scroll_to(y=self._at, animate=False)
        elif self._at >= top + height:
            self.scroll_to(y=self._at - height + 1, animate=False)

    def action_move(self, by: int) -> None:
        """Up or down."""
        self.move_to(self._at + by)

    def action_page(self, by: int) -> None:
        """A screenful."""
        self.move_to(self._at + by * max(1, self.size.height - 2))

    def action_end(self, which: int) -> None:
        """First, and it stays there; or last."""
        self.move_to(0 if which < 0 else len(self.items) - 1)
        if which < 0:
            self._cursor_key = None

    def action_open(self) -> None:
        """The row's own."""
        if self.item is not None:
            self.post_message(self.Opened(self, self.item))

    def on_click(self, event: events.Click) -> None:
        """A title sorts, a row gets the cursor, a double click opens."""
        self.focus()
        if event.y == 0:
            x = 0
            for column, width in self._layout:
                x += width + 1
                if event.x < x:
                    self.post_message(self.Sorted(self, column.name))
                    return
            return
        index = self.scroll_offset.y + event.y - 1
        if index < len(self.items):
            self.move_to(index)
            if event.chain >= 2:
                self.action_open()

    def on_focus(self) -> None:
        """The cursor is lit."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor is dimmed."""
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other rows are in sight."""
        super().watch_scroll_y(old_value, new_value)
        self.refresh(Region(0, 0, self.size.width, self.size.height))
