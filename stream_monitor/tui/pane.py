"""The tabs' contents: each draws a board into its widgets."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import Static

from stream_monitor import wire
from stream_monitor.board.item import Item, Place
from stream_monitor.board.words import moment, short, span
from stream_monitor.core.timeline import LineView
from stream_monitor.kinds import KINDS
from stream_monitor.tui import columns
from stream_monitor.tui.board import Board, overview_charts
from stream_monitor.tui.detail import detail_charts
from stream_monitor.tui.palette import MARKS, Palette
from stream_monitor.tui.table import Column, Table
from stream_monitor.tui.text import clean
from stream_monitor.tui.widget import Cards, Panel

KIND_TABS = tuple(KINDS)
TABS = ("overview", *KIND_TABS, "alerts", "logs")
TITLES = {
    "overview": "Overview",
    **{name: row.title.split()[0] for name, row in KINDS.rows.items()},
    "alerts": "Alerts",
    "logs": "Logs",
}
SORTS = {
    "overview": ("status", False),
    **dict.fromkeys(KIND_TABS, ("status", False)),
    "kafka": ("lag", True),
    "alerts": ("", False),
    "logs": ("time", True),
}
"""By which column each tab is sorted at first, and whether from the highest."""

_KIND_COLUMNS = {name: columns.of_kind(name, row) for name, row in KINDS.rows.items()}


class Pane(Vertical):
    """A tab. `tab` is its name."""

    def __init__(self, tab: str) -> None:
        super().__init__(id=tab)
        self.tab = tab

    @property
    def table(self) -> Table[Any]:
        """Its rows."""
        return self.query_one(Table)

    @property
    def panels(self) -> list[Panel]:
        """Its charts."""
        return list(self.query(Panel))

    def show(self, board: Board, palette: Palette, cursor: int | None, *, is_dimmed: bool) -> None:
        """Draw."""
        raise NotImplementedError

    def lines(self, board: Board) -> list[LineView]:
        """What its charts are about."""
        return list(board.view.totals.values())


class OverviewPane(Pane):
    """Cards, four charts, all series."""

    def compose(self) -> ComposeResult:
        """Laid out like the screen."""
        yield Cards(id="cards")
        with Container(classes="charts"):
            for index in range(4):
                yield Panel(classes=f"chart chart-{index}")
        yield Table(columns.OVERVIEW, lambda item: item.key, empty="no series in this range")

    def show(self, board: Board, palette: Palette, cursor: int | None, *, is_dimmed: bool) -> None:
        """Draw."""
        self.query_one(Cards).show(board.cards, palette)
        if board.figures is not None:
            charts = overview_charts(board.view, board.figures, palette, is_warm=board.is_warm)
            for panel, chart in zip(self.panels, charts, strict=True):
                panel.show(chart, palette, cursor)
        self.table.show(board.shown, palette, is_dimmed=is_dimmed)


class KindPane(Pane):
    """A kind's series, and the charts of the one under the cursor."""

    def compose(self) -> ComposeResult:
        """The table, then the charts."""
        yield Table(_KIND_COLUMNS[self.tab], lambda item: item.key, empty=f"no {self.tab} logs in this range")
        with Container(classes="charts"):
            for index in range(4):
                yield Panel(classes=f"chart chart-{index}")

    def show(self, board: Board, palette: Palette, cursor: int | None, *, is_dimmed: bool) -> None:
        """Draw."""
        self.table.styles.height = max(4, min(len(board.shown) + 2, self._room - self._least))
        self.table.show(board.shown, palette, is_dimmed=is_dimmed)
        self.show_detail(palette, cursor)

    @property
    def _room(self) -> int:
        """Rows of the pane, also before it is laid out: all but the lines above and below."""
        return self.screen.size.height - 3

    @property
    def _least(self) -> int:
        """Rows that the charts have in any case."""
        return 9 if self._room < 30 else self._room // 2

    def show_detail(self, palette: Palette, cursor: int | None) -> None:
        """The charts of the row under the cursor."""
        item: Item | None = self.table.item
        charts = detail_charts(item, palette) if item is not None else [None] * 4
        for panel, chart in zip(self.panels, charts, strict=True):
            panel.show(chart, palette, cursor)
        self.table.border_subtitle = clean(item.status.why) if item is not None else ""

    def lines(self, board: Board) -> list[LineView]:  # noqa: ARG002  (as its siblings)
        """The row under the cursor."""
        item: Item | None = self.table.item
        return [item.line] if item is not None else []


class AlertsPane(Pane):
    """Alerts: firing first, then what was; and all words of the one under the cursor."""

    def compose(self) -> ComposeResult:
        """The table, then the words."""
        yield Table(columns.ALERTS, lambda alert: alert.key, empty="no alerts")
        with VerticalScroll(classes="words"):
            yield Static("", classes="said")

    def show(self, board: Board, palette: Palette, cursor: int | None, *, is_dimmed: bool) -> None:
        """Draw."""
        self.table.show(board.alerts, palette, is_dimmed=is_dimmed)
        self.show_detail(palette, cursor)

    def show_detail(self, palette: Palette, cursor: int | None) -> None:  # noqa: ARG002  (as its siblings)
        """The alert under the cursor."""
        alert: wire.AlertRecord | None = self.table.item
        text = Text("", style=palette.text)
        if alert is not None:
            mark = MARKS.get(alert.severity, "◆") if alert.is_firing else "✓"
            text.append(f"{mark} {clean(alert.rule)}", style=palette.level(alert.severity))
            text.append(f"  {alert.kind}  {clean(alert.entity)}\n", style=palette.strong)
            value = "" if alert.value is None else f", value {short(alert.value)}"
            text.append(f"{_when(alert)}{value}\n", style=palette.dim)
            text.append(clean(alert.summary))
        self.query_one(".said", Static).update(text)


def _when(alert: wire.AlertRecord) -> str:
    if alert.is_firing:
        return f"{clean(alert.state)} since {moment(alert.since_ms)} UTC"
    took = span(alert.at_ms - alert.since_ms)
    return f"{clean(alert.state)}: it fired from {moment(alert.since_ms)} to {moment(alert.at_ms)} UTC, for {took}"


class LogsPane(Pane):
    """The log records that the range's windows point to."""

    def compose(self) -> ComposeResult:
        """The table, then the record."""
        yield Table(columns.LOGS, lambda place: place[:3], empty="no log record is pointed to in this range")
        with VerticalScroll(classes="words"):
            yield Static("", classes="said")

    def show(self, board: Board, palette: Palette, cursor: int | None, *, is_dimmed: bool) -> None:  # noqa: ARG002
        """Draw."""
        self.table.show(board.logs, palette, is_dimmed=is_dimmed)

    def say(self, text: Text) -> None:
        """What stands under the table."""
        self.query_one(".said", Static).update(text)

    @property
    def place(self) -> Place | None:
        """Under the cursor."""
        place: Place | None = self.table.item
        return place


def columns_of(tab: str) -> tuple[Column[Any], ...]:
    """A tab's columns."""
    others: dict[str, tuple[Column[Any], ...]] = {
        "overview": columns.OVERVIEW,
        "alerts": columns.ALERTS,
        "logs": columns.LOGS,
    }
    return others[tab] if tab in others else _KIND_COLUMNS[tab]


def pane_of(tab: str) -> Pane:
    """A tab's pane."""
    if tab in KIND_TABS:
        return KindPane(tab)
    return {"overview": OverviewPane, "alerts": AlertsPane, "logs": LogsPane}[tab](tab)
