"""The small widgets: a ribbon of words, the cards, a panel with a chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from stream_monitor.board.cards import Card
from stream_monitor.tui.board import Chart
from stream_monitor.tui.canvas import Line, spark
from stream_monitor.tui.chart import draw, plot_left, step_at
from stream_monitor.tui.palette import Palette, palette_in
from stream_monitor.tui.text import clean, fit


class Word(NamedTuple):
    """A piece of a ribbon, and the action that a click on it runs."""

    text: str
    style: Style
    action: str = ""


class Ribbon(Widget):
    """Lines of words: some on the left, some on the right, which go first where there is no room."""

    def __init__(self, id: str | None = None) -> None:  # noqa: A002  (Textual's name)
        super().__init__(id=id)
        self._lines: list[tuple[Sequence[Word], Sequence[Word]]] = []
        self._hits: dict[int, list[tuple[int, int, str]]] = {}

    def show(self, *lines: tuple[Sequence[Word], Sequence[Word]]) -> None:
        """Other words."""
        if list(lines) != self._lines:
            is_other_height = len(lines) != len(self._lines)
            self._lines = list(lines)
            self.refresh(layout=is_other_height)

    @property
    def text(self) -> str:
        """All its words, for tests and screen readers."""
        return "\n".join("".join(word.text for side in line for word in side) for line in self._lines)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """A row for each line."""
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        """One line."""
        return self._strip(y).apply_style(self.rich_style)

    def _strip(self, y: int) -> Strip:
        width = self.size.width
        if y >= len(self._lines):
            return Strip.blank(width)
        left, right = self._lines[y]
        needed = sum(cell_len(word.text) for word in left)
        ends: list[Word] = list(right)
        while ends and needed + sum(cell_len(word.text) for word in ends) + 1 > width:
            ends.pop(0)
        gap = width - needed - sum(cell_len(word.text) for word in ends)
        line: Line = []
        hits: list[tuple[int, int, str]] = []
        x = 0
        for word in [*left, Word(" " * max(0, gap), Style()), *ends]:
            line.append(Segment(word.text, word.style))
            hits.append((x, x + cell_len(word.text), word.action))
            x += cell_len(word.text)
        self._hits[y] = hits
        return Strip(line).adjust_cell_length(width)

    async def on_click(self, event: events.Click) -> None:
        """A word's action."""
        for start, end, action in self._hits.get(event.y, ()):
            if action and start <= event.x < end:
                await self.app.run_action(action)


class Hints(Ribbon):
    """The keys that do something where the focus is; a click is a press.

    Textual's Footer has a widget for each, made and styled anew whenever the focus moves: 20 ms of each such key.
    """

    def on_mount(self) -> None:
        """Look whenever the focus or the theme may be another."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.look())
        self.app.theme_changed_signal.subscribe(self, lambda _: self.look())

    def look(self) -> None:
        """Name the keys that are to be shown, each action once."""
        palette = palette_in(self.app)
        found: dict[str, Binding] = {}
        for active in self.screen.active_bindings.values():
            if active.binding.show and active.enabled:
                found.setdefault(active.binding.action, active.binding)
        words = []
        for binding in found.values():
            press = f"simulate_key({binding.key!r})"
            words.append(Word(f" {self.app.get_key_display(binding)}", palette.key, press))
            words.append(Word(f" {binding.description}", palette.text, press))
        self.show((words, []))


class Cards(Widget):
    """The numbers in a row: title, number with its line in time, a word about it."""

    def __init__(self, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._cards: Sequence[Card] = ()
        self._palette: Palette | None = None

    def show(self, cards: Sequence[Card], palette: Palette) -> None:
        """Other numbers."""
        self._cards, self._palette = cards, palette
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One of three lines of all cards."""
        return self._strip(y).apply_style(self.rich_style)

    def _strip(self, y: int) -> Strip:
        width, palette = self.size.width, self._palette
        if palette is None or not self._cards:
            return Strip.blank(width)
        count = len(self._cards)
        line: Line = []
        for index, card in enumerate(self._cards):
            start, end = index * width // count, (index + 1) * width // count
            line += self._cell(card, y, end - start, palette)
        return Strip(line).adjust_cell_length(width)

    def _cell(self, card: Card, y: int, width: int, palette: Palette) -> Line:
        edge = palette.level(card.level) if card.level else palette.faint
        room = width - 3
        line: Line = [Segment("▌ ", edge)]
        if y == 0:
            line.append(Segment(fit(card.title if len(card.title) <= room else card.brief, room), palette.dim))
        elif y == 1:
            style = palette.level(card.level) + Style(bold=True) if card.level else palette.strong
            beside = room - len(card.value) - 1
            if card.values and beside >= 4:
                line.append(Segment(card.value + " ", style))
                line.append(Segment(spark(card.values, beside), palette.bands[0]))
            else:
                line.append(Segment(fit(card.value, room), style))
        else:
            line.append(Segment(fit(clean(card.said), room), palette.dim))
        return [*line, Segment(" ")]


class Panel(Widget, can_focus=True):
    """A frame with a chart. In focus, arrows move a cursor over its steps; Enter opens that window's logs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "step", show=False),
        Binding("right", "step(1)", "step", show=False),
        Binding("home", "step(-10000)", "first step", show=False),
        Binding("end", "step(10000)", "last step", show=False),
        Binding("enter", "open", "raw logs"),
    ]

    class Stepped(Message):
        """The cursor is on a step, or on none."""

        def __init__(self, panel: Panel, step: int | None) -> None:
            super().__init__()
            self.panel, self.step = panel, step

    class Opened(Stepped):
        """Enter, or a double click."""

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.chart: Chart | None = None
        self.cursor: int | None = None
        self._palette: Palette | None = None
        self._lines: list[Line] = []
        self._drawn: tuple[object, ...] = ()

    def show(self, chart: Chart | None, palette: Palette, cursor: int | None = None) -> None:
        """Another chart."""
        self.chart, self._palette = chart, palette
        self.cursor = cursor if chart is not None and chart.has_steps else None
        self.border_title = clean(chart.title) if chart else ""
        self.border_subtitle = clean(chart.said) if chart else ""
        self._drawn = ()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the chart, which is drawn once for a size."""
        return self._strip(y).apply_style(self.rich_style)

    def _strip(self, y: int) -> Strip:
        width, height = self.size.width, self.size.height
        if self.chart is None or self._palette is None:
            return Strip.blank(width)
        if self._drawn != (width, height):
            self._lines = draw(self.chart.drawing, width, height, self._palette, self.cursor)
            self._drawn = (width, height)
        return Strip(self._lines[y] if y < len(self._lines) else []).adjust_cell_length(width)

    @property
    def _steps(self) -> int:
        axis = getattr(self.chart.drawing, "axis", None) if self.chart and self.chart.has_steps else None
        return len(axis.labels) if axis else 0

    def action_step(self, by: int) -> None:
        """The cursor to another step."""
        if self._steps:
            at = self._steps - 1 if self.cursor is None else self.cursor + by
            self.post_message(self.Stepped(self, max(0, min(self._steps - 1, at))))

    def action_open(self) -> None:
        """The log records of the cursor's window; of the last one, where there is no cursor."""
        if self._steps:
            self.post_message(self.Opened(self, self._steps - 1 if self.cursor is None else self.cursor))

    def on_click(self, event: events.Click) -> None:
        """The cursor where the mouse is."""
        self.focus()
        if not self._steps or self.chart is None:
            return
        left = plot_left(self.chart.drawing)
        step = step_at(event.x - 1 - left, self.size.width - left, self._steps)
        self.post_message(self.Stepped(self, step))
        if event.chain >= 2:
            self.post_message(self.Opened(self, step))
