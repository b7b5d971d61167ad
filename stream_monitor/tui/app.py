"""The dashboard's keys, and what each does."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from confluent_kafka import KafkaException
from rich.text import Text
from textual import work
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Input

from stream_monitor import wire
from stream_monitor.board import export
from stream_monitor.board.item import Item, Place
from stream_monitor.board.places import places_in
from stream_monitor.board.when import INTERVALS_S, RANGES_MS, length_of, moment_of
from stream_monitor.board.words import length, moment
from stream_monitor.errors import MonitorError
from stream_monitor.plural import counted
from stream_monitor.tui.ask import Ask, Commands, Help
from stream_monitor.tui.dashboard import Dashboard
from stream_monitor.tui.memory import saved
from stream_monitor.tui.palette import DARK, LIGHT
from stream_monitor.tui.pane import TABS, TITLES, AlertsPane, KindPane, LogsPane, columns_of
from stream_monitor.tui.raw import RawScreen, described, pretty
from stream_monitor.tui.table import Table
from stream_monitor.tui.widget import Panel


class MonitorApp(Dashboard):
    """The dashboard with its keys. `?` shows them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(n), f"tab('{name}')", TITLES[name], show=False) for n, name in enumerate(TABS, 1)),
        Binding("question_mark", "help", "help"),
        Binding("slash", "filter", "filter"),
        Binding("t", "time_machine", "time"),
        Binding("w", "range", "range"),
        Binding("p", "pause", "pause"),
        Binding("s", "sort(1)", "sort"),
        Binding("space", "pick", show=False),
        Binding("e", "export", "export"),
        Binding("q", "quit", "quit"),
        Binding("S", "sort(0)", show=False),
        Binding("colon,ctrl+p", "command_palette", show=False),
        Binding("plus,equals_sign", "longer(1)", show=False),
        Binding("minus", "longer(-1)", show=False),
        Binding("r", "refresh", show=False),
        Binding("i", "interval", show=False),
        Binding("comma", "step(-1)", show=False),
        Binding("full_stop", "step(1)", show=False),
        Binding("greater_than_sign", "speed(1)", show=False),
        Binding("less_than_sign", "speed(-1)", show=False),
        Binding("l", "live", show=False),
        Binding("y", "copy", show=False),
        Binding("v", "charts", show=False),
        Binding("d", "dark", show=False),
        Binding("x", "clear", show=False),
        Binding("escape", "back", show=False),
        Binding("ctrl+z", "suspend_process", show=False),
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """What is about the tabs does nothing while a log record is in front of them."""
        is_ours = hasattr(MonitorApp, f"action_{action}") and f"action_{action}" in vars(MonitorApp)
        return not (isinstance(self.screen, RawScreen) and is_ours and action not in ("help", "dark"))

    # --- Where to look ----------------------------------------------------------------------------

    def action_tab(self, tab: str) -> None:
        """Show a tab."""
        self.tab, self.cursor = tab, None
        self.query_one("#panes", ContentSwitcher).current = tab
        self.pane.table.focus()
        self.draft()

    def action_help(self) -> None:
        """All keys."""
        self.push_screen(Help())

    def action_longer(self, by: int) -> None:
        """A longer or a shorter range."""
        self.when, self.cursor = self.when.longer(by), None
        self.want()

    def action_range(self) -> None:
        """Choose a range, or type one."""

        def check(text: str) -> str | None:
            return None if length_of(text) is not None else f"{text!r} is no length; say 90m, 2h, 3d or 1d 6h"

        def answer(text: str | None) -> None:
            found = None if text is None else length_of(text)
            if found is not None:
                self.when, self.cursor = replace(self.when, length_ms=found), None
                self.want_soon()

        answers = [(length(ms), f"{ms // 60_000}m") for ms in RANGES_MS]
        self.push_screen(Ask("range", "any other: 90m, 2h, 3d, 1d 6h", answers, check), answer)

    def action_time_machine(self) -> None:
        """Go to a moment."""

        def check(text: str) -> str | None:
            now = self.feed.now_ms()
            found = moment_of(text, now)
            if found is not None:
                return None if found <= now else f"{text!r} is not past; it is {moment(now)} UTC"
            return f"{text!r} is no moment; say -2h, 14:30, yesterday 14:30 or 2024-01-15 10:30 (UTC)"

        def answer(text: str | None) -> None:
            now = self.feed.now_ms()
            found = None if text is None else moment_of(text, now)
            if found is not None:
                self.when, self.cursor, self.paused_ms = self.when.jump(found, now), None, None
                self.want_soon()

        answers = [(f"{back} ago", back) for back in ("15m", "1h", "6h", "1d", "7d")]
        hint = "-2h, 14:30, yesterday 14:30, 2024-01-15 10:30 (UTC)"
        self.push_screen(Ask("time machine: to which moment?", hint, [*answers, ("now", "now")], check), answer)

    def action_pause(self) -> None:
        """Stand still, or go on; in the past, play."""
        if not self.when.is_live:
            self.when = replace(self.when, plays=not self.when.plays)
        elif self.paused_ms is None:
            self.paused_ms = self.feed.now_ms()
        else:
            self.paused_ms = None
        self.say()
        self.want()

    def action_step(self, by: int) -> None:
        """One step back or on, in time."""
        step_ms = self.board.view.query.step_ms if self.board else 60_000
        now = self.feed.now_ms()
        if self.when.is_live:
            at = now - now % step_ms
            self.when = self.when.jump(at + (by + 1) * step_ms if by < 0 else now, now)
        else:
            self.when = self.when.step(by, step_ms, now)
        self.paused_ms = None
        self.want()

    def action_speed(self, by: int) -> None:
        """Play faster or slower."""
        self.when = self.when.faster(by)
        self.say()

    def action_live(self) -> None:
        """Now again."""
        self.when, self.paused_ms = self.when.now(), None
        self.want()

    def action_refresh(self) -> None:
        """Once, at once."""
        self.want()

    def action_interval(self) -> None:
        """The next of the intervals."""
        later = [seconds for seconds in INTERVALS_S if seconds > self.memory.interval_s]
        self.memory.interval_s = later[0] if later else INTERVALS_S[0]
        self.say()

    # --- What to look at --------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Type a filter."""
        box = self.query_one("#filter", Input)
        box.display = True
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        if event.input.id == "filter" and event.value != self.filter_text:
            self.filter_text, self.cursor = event.value, None
            self.draft()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The filter stays; back to the rows."""
        if event.input.id == "filter":
            event.input.display = False
            self.pane.table.focus()

    def action_pick(self) -> None:
        """The component under the cursor: in, or out."""
        item = self.pane.table.item
        if isinstance(item, Item):
            self.picked = self.picked ^ {item.key}
            self.want()

    def action_clear(self) -> None:
        """No filter, nothing picked."""
        self.query_one("#filter", Input).value = ""
        self.query_one("#filter", Input).display = False
        self.filter_text, self.picked = "", frozenset()
        self.pane.table.focus()
        self.draft()

    async def action_back(self) -> None:
        """One thing less: the typing, the chart's cursor, the filter, the past."""
        box = self.query_one("#filter", Input)
        if box.has_focus or (self.filter_text and self.focused is self.pane.table) or self.picked:
            self.action_clear()
        elif self.cursor is not None or isinstance(self.focused, Panel):
            self.cursor = None
            self.pane.table.focus()
            self.redraw()
        elif not self.when.is_live or self.paused_ms is not None:
            self.action_live()

    def action_sort(self, by: int) -> None:
        """By the next column (1), or the other way round (0)."""
        name, falling = self.sort
        shown = [column for column, _ in self.pane.table.layout_for(self.pane.table.size.width) if column.order]
        if by:
            names = [column.name for column in shown]
            column = shown[(names.index(name) + 1) % len(names) if name in names else 0]
            self.sort = (column.name, column.falling)
        else:
            self.sort = (name, not falling)
        self.draft()

    def on_table_sorted(self, event: Table.Sorted) -> None:
        """A title was clicked."""
        name, falling = self.sort
        column = next((c for c in columns_of(self.tab) if c.name == event.column), None)
        if column is not None and column.order is not None:
            self.sort = (name, not falling) if name == event.column else (event.column, column.falling)
            self.draft()

    def on_table_moved(self, event: Table.Moved) -> None:
        """What stands beside the table is of the row under the cursor."""
        pane = self.pane
        if isinstance(pane, KindPane | AlertsPane):
            pane.show_detail(self.palette, self.cursor)
        elif isinstance(pane, LogsPane):
            self._show_log(event.item)

    def on_panel_stepped(self, event: Panel.Stepped) -> None:
        """All charts have their cursor there."""
        self.cursor = event.step
        self.redraw()

    def action_charts(self) -> None:
        """The other charts, where there is no room for all."""
        self.memory.charts = 1 - self.memory.charts
        self.set_class(self.memory.charts == 1, "-other-charts")

    def action_dark(self) -> None:
        """Dark or light."""
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    # --- From a spike to the log ------------------------------------------------------------------

    def on_table_opened(self, event: Table.Opened) -> None:
        """The log records behind a row."""
        if isinstance(event.item, Item):
            self.open_raw(event.item.places)
        elif isinstance(event.item, wire.AlertRecord):
            self.open_raw(self._places_of(event.item))
        elif isinstance(event.item, Place) and self.board is not None:
            others = [place for place in self.board.logs if place != event.item]
            self.open_raw([event.item, *others])

    def _places_of(self, alert: wire.AlertRecord) -> list[Place]:
        """Of the alert's series; of all of its kind, where it is about no single one."""
        items = self.board.items if self.board is not None else []
        mine = [item for item in items if item.kind == alert.kind and item.line.labels == alert.label_values]
        mine = mine or [item for item in items if item.kind == alert.kind and alert.entity in ("", item.entity)]
        return [place for item in mine for place in item.places]

    def on_panel_opened(self, event: Panel.Opened) -> None:
        """The log records behind one step of a chart."""
        if self.board is not None and event.step is not None:
            self.open_raw(places_in(self.pane.lines(self.board), event.step))

    def open_raw(self, places: list[Place]) -> None:
        """Show them, where there are any."""
        if not places:
            self.notify("no log record is pointed to there", severity="warning", markup=False)
            return
        self.push_screen(RawScreen(places, self.feed.excerpt, inline=self.inline))

    def _show_log(self, place: Place) -> None:
        """The record under the Logs tab's cursor, a moment after the cursor stands still."""
        if self.inline:
            self._say_log(*self._read_log(place))
        else:
            self._read_log_apart(place)

    @work(thread=True, exclusive=True, group="log")
    def _read_log_apart(self, place: Place) -> None:
        self.call_from_thread(self._say_log, *self._read_log(place))

    def _read_log(self, place: Place) -> tuple[Place, str, str]:
        try:
            excerpt = self.feed.excerpt(place.kind, place.partition, place.offset)
        except (MonitorError, KafkaException) as error:
            return place, f"it could not be read: {error}", ""
        record = next((r for r in excerpt.records if r.offset == place.offset), None)
        if record is None:
            return place, "the record is no longer in Kafka: retention took it", ""
        return place, described(record, excerpt.topic), pretty(record.value)

    def _say_log(self, place: Place, about: str, value: str) -> None:
        pane = self.pane
        if isinstance(pane, LogsPane) and pane.place == place:
            text = Text(f"{about}\n\n", style=self.palette.dim)
            pane.say(text.append(value, style=self.palette.text))

    # --- Out of it --------------------------------------------------------------------------------

    def action_export(self) -> None:
        """What is shown: all rows as CSV, the screen as SVG."""
        if self.board is None:
            return
        name = f"stream-monitor-{self.tab}-{moment(self.feed.now_ms()).replace(' ', '-').replace(':', '')}"
        rows: Any = {"alerts": self.board.alerts, "logs": self.board.logs}.get(self.tab, self.board.shown)
        columns = {"alerts": export.ALERTS, "logs": export.LOGS}.get(self.tab, export.SERIES)
        text = export.csv_of(rows, columns)
        files = {f"{name}.csv": (text, "text/csv"), f"{name}.svg": (self.export_screenshot(), "image/svg+xml")}
        for file, (content, mime) in files.items():
            if self.is_web:
                self.deliver_text(io.StringIO(content), save_filename=file, mime_type=mime)
            elif (why := saved(self.folder / file, content)) is not None:
                self.notify(
                    f"{file} in {self.folder}: {why}", title="not exported", severity="error", markup=False
                )
                return
        where = "" if self.is_web else f", in {self.folder}"
        self.notify(
            f"{counted(len(rows), 'row')} in {name}.csv, the screen in {name}.svg{where}",
            title="exported",
            markup=False,
        )

    def action_copy(self) -> None:
        """The row under the cursor."""
        item: Any = self.pane.table.item
        if isinstance(item, Item):
            rows: Any = [item]
            text = export.csv_of(rows, export.SERIES)
        elif isinstance(item, wire.AlertRecord):
            text = export.csv_of([item], export.ALERTS)
        elif isinstance(item, Place):
            text = f"logs.{item.kind} partition {item.partition} offset {item.offset}"
        else:
            return
        self.copy_to_clipboard(text)
        self.notify("the row is on the clipboard", timeout=2, markup=False)

    def action_command_palette(self) -> None:
        """All commands."""
        if not isinstance(self.screen, Commands):
            self.push_screen(Commands(id="--command-palette"))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:  # noqa: ARG002  (Textual's)
        """What : and Ctrl+P offer."""
        for name in TABS:
            yield SystemCommand(f"Tab: {TITLES[name]}", "show this tab", lambda tab=name: self.action_tab(tab))
        for ms in RANGES_MS:
            yield SystemCommand(f"Range: {length(ms)}", "show this long", lambda ms=ms: self.set_length(ms))
        for theme in (DARK.name, LIGHT.name):
            yield SystemCommand(f"Theme: {theme}", "its own colours", lambda name=theme: self.set_theme(name))
        for title, about, action in (
            ("Range: other", "type a range", self.action_range),
            ("Time machine", "go to a past moment", self.action_time_machine),
            ("Live", "now again", self.action_live),
            ("Pause or play", "stand still, or go on", self.action_pause),
            ("Refresh", "once, at once", self.action_refresh),
            ("Filter", "type words", self.action_filter),
            ("Clear", "no filter, nothing picked", self.action_clear),
            ("Export", "CSV and SVG of what is shown", self.action_export),
            ("Copy", "the row under the cursor", self.action_copy),
            ("Other themes", "Textual's own", self.action_change_theme),
            ("Help", "all keys", self.action_help),
        ):
            yield SystemCommand(title, about, action)
        yield SystemCommand("Quit", "leave", self.exit)

    def set_length(self, length_ms: int) -> None:
        """Another range."""
        self.when, self.cursor = replace(self.when, length_ms=length_ms), None
        self.want()

    def set_theme(self, name: str) -> None:
        """Another theme."""
        self.theme = name
