"""The raw log records behind a spike: the record at an exemplar's coordinates, its key, headers and neighbours."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from typing import ClassVar

import orjson
from confluent_kafka import KafkaException
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from stream_monitor import clients
from stream_monitor.board.item import Place
from stream_monitor.board.words import clock, moment, span
from stream_monitor.errors import MonitorError
from stream_monitor.feed import Excerpt, RawRecord
from stream_monitor.tui.palette import Palette, palette_in
from stream_monitor.tui.table import Cell, Column, Table
from stream_monitor.tui.text import clean
from stream_monitor.tui.widget import Hints, Ribbon, Word

MOST_CHARS = 20_000
"""Of a record's value that are shown."""

Fetch = Callable[[str, int, int], Excerpt]
"""(kind, partition, offset) → the records there."""


def _first_line(record: RawRecord) -> str:
    return clean((record.value or b"").decode("utf-8", "replace")[:400])


def _mark(record: RawRecord, _: int, palette: Palette) -> Cell:
    return f"{record.offset}", palette.dim


NEIGHBOURS = (
    Column[RawRecord]("offset", "offset", _mark, None, 9),
    Column[RawRecord](
        "time", "in Kafka", lambda r, _, p: (clock(r.timestamp_ms), p.dim), None, 9, need=2, right=False
    ),
    Column[RawRecord]("value", "record", lambda r, _, p: (_first_line(r), p.text), None, 20, flex=1, right=False),
)


def pretty(value: bytes | None) -> str:
    """A record's value for reading: JSON is indented, other text is as it is; harmless, and not without end."""
    if value is None:
        return "(no value)"
    text = value.decode("utf-8", "replace")
    with contextlib.suppress(RecursionError, ValueError):
        text = json.dumps(orjson.loads(value), indent=2, ensure_ascii=False)
    text = text.replace("\\n", "\n    ").replace("\\t", "    ")
    shown = "\n".join(clean(line) for line in text[:MOST_CHARS].split("\n"))
    rest = len(text) - MOST_CHARS
    return shown + (f"\n… and {rest:,} characters more" if rest > 0 else "")


def described(record: RawRecord, topic: str) -> str:
    """Coordinates, time, key and headers."""
    key = "(none)" if record.key is None else clean(record.key.decode("utf-8", "replace"))
    lines = [
        f"{topic}  partition {record.partition}  offset {record.offset}",
        f"in Kafka at {moment(record.timestamp_ms)} UTC",
        f"key      {key}",
    ]
    for name, value in record.headers[:50]:
        shown = "(none)" if value is None else clean(value.decode("utf-8", "replace"))
        lines.append(f"header   {clean(name)} = {shown}")
    return "\n".join(lines)


class RawScreen(Screen[None]):
    """One exemplar at a time; the arrows walk through its neighbours, [ and ] through the exemplars."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "back"),
        Binding("right_square_bracket,n", "exemplar(1)", "next exemplar"),
        Binding("left_square_bracket,b", "exemplar(-1)", "one before"),
        Binding("y", "copy", "copy"),
        Binding("r", "again", "fetch again", show=False),
        Binding("question_mark", "app.help", "help", show=False),
    ]

    def __init__(self, places: Sequence[Place], fetch: Fetch, *, inline: bool = False) -> None:
        super().__init__()
        self.places = list(places)
        self.index = 0
        self.excerpt: Excerpt | None = None
        self._fetch, self._inline = fetch, inline

    def compose(self) -> ComposeResult:
        """Which exemplar; the neighbours; the record."""
        yield Ribbon(id="raw-head")
        yield Table(NEIGHBOURS, lambda record: record.offset, empty="", id="raw-neighbours")
        with VerticalScroll(id="raw-record"):
            yield Static("", id="raw-text")
        yield Hints()

    def on_mount(self) -> None:
        """Fetch the first."""
        self.query_one("#raw-neighbours").border_title = "neighbours"
        self.query_one("#raw-record").border_title = "record"
        self.app.theme_changed_signal.subscribe(self, lambda _: self._recolour())
        self._load()
        self.query_one(Table).focus()

    @property
    def _palette(self) -> Palette:
        return palette_in(self.app)

    def _recolour(self) -> None:
        """The theme is another."""
        table: Table[RawRecord] = self.query_one(Table)
        table.show(table.items, self._palette)
        self._announce(self.places[self.index])
        if table.item is not None:
            self._tell(table.item)

    def _load(self) -> None:
        place = self.places[self.index]
        self._announce(place)
        self._say(f"fetching logs.{place.kind} partition {place.partition} offset {place.offset} …")
        if self._inline:
            self._got(*self._read(place))
        else:
            self._read_apart(place)

    def _announce(self, place: Place) -> None:
        what = "an error" if place.why == "error" else f"the slowest, {span(place.value_ms)}"
        palette = self._palette
        left = [
            Word(" raw log ", palette.strong),
            Word(f" {clean(place.entity)[:60]} ", palette.kind(place.kind)),
            Word(f" {what} at {clock(place.timestamp_ms)} UTC", palette.text),
        ]
        count = f"{self.index + 1} of {len(self.places)}  [ ] others "
        self.query_one("#raw-head", Ribbon).show((left, [Word(count, palette.dim)]))

    @work(thread=True, exclusive=True)
    def _read_apart(self, place: Place) -> None:
        self.app.call_from_thread(self._got, *self._read(place))

    def _read(self, place: Place) -> tuple[Place, Excerpt | None, str]:
        try:
            return place, self._fetch(place.kind, place.partition, place.offset), ""
        except MonitorError as error:
            return place, None, str(error)
        except KafkaException as error:
            return place, None, f"the broker failed: {clients.reason(error)}"

    def _got(self, place: Place, excerpt: Excerpt | None, why: str) -> None:
        if not self.is_attached or place != self.places[self.index]:
            return
        self.excerpt = excerpt
        table: Table[RawRecord] = self.query_one(Table)
        records = excerpt.records if excerpt else []
        table.show(records, self._palette)
        if excerpt is None:
            self._say(f"it could not be read: {why}")
        elif excerpt.is_gone:
            self._say(
                f"the record is no longer in Kafka: {excerpt.topic} partition {excerpt.partition} holds offsets "
                f"{excerpt.low} to {excerpt.high - 1}, and this one is {excerpt.offset}. "
                "Retention took it; the metrics are kept longer than the logs."
            )
        else:
            table.move_to(next(i for i, r in enumerate(records) if r.offset == excerpt.offset))

    def _say(self, text: str) -> None:
        self.query_one("#raw-text", Static).update(Text(text, style=self._palette.dim))

    def on_table_moved(self, event: Table.Moved) -> None:
        """Another neighbour."""
        event.stop()
        self._tell(event.item)
        self.query_one("#raw-record").scroll_home(animate=False)

    def _tell(self, record: RawRecord) -> None:
        excerpt = self.excerpt
        if excerpt is None:
            return
        is_it = record.offset == excerpt.offset
        text = Text(described(record, excerpt.topic) + "\n\n", style=self._palette.dim)
        text.append(pretty(record.value), style=self._palette.text)
        self.query_one("#raw-text", Static).update(text)
        away = record.offset - excerpt.offset
        self.query_one("#raw-record").border_title = "record" if is_it else f"neighbour {away:+d}"

    def action_exemplar(self, by: int) -> None:
        """The next one, or the one before."""
        self.index = (self.index + by) % len(self.places)
        self._load()

    def action_again(self) -> None:
        """Read it once more."""
        self._load()

    def action_copy(self) -> None:
        """The record under the cursor, as it stands in Kafka."""
        record = self.query_one(Table).item
        if record is not None:
            self.app.copy_to_clipboard((record.value or b"").decode("utf-8", "replace"))
            self.app.notify("the record is on the clipboard", timeout=2, markup=False)

    def action_leave(self) -> None:
        """Back."""
        self.dismiss(None)
