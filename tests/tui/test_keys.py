"""Every key, by Textual's pilot; the last test says whether any is left out."""

from __future__ import annotations

import ast
import csv
import errno
import io
import itertools
import os
from dataclasses import replace
from pathlib import Path

import pytest
from textual.command import CommandList, CommandPalette
from textual.widgets import Input, OptionList, Static

from stream_monitor.board.when import LEAST_MS, MOST_MS
from stream_monitor.core.window import HOUR_MS, MINUTE_MS
from stream_monitor.feed import FeedState
from stream_monitor.tui.app import MonitorApp
from stream_monitor.tui.ask import HELP, Ask, Commands, Help
from stream_monitor.tui.memory import recall, saved
from stream_monitor.tui.palette import palette_of
from stream_monitor.tui.pane import TABS
from stream_monitor.tui.raw import RawScreen
from stream_monitor.tui.table import Table
from stream_monitor.tui.widget import Hints, Panel, Ribbon
from tests.tui import data
from tests.tui.apps import app_of, run

ALERTS, LOGS = (str(TABS.index(name) + 1) for name in ("alerts", "logs"))


class Hands:
    """Presses keys, one after the other."""

    def __init__(self, app, pilot):
        self.app, self._pilot = app, pilot

    async def press(self, *keys):
        for key in keys:
            await self._pilot.press(key)
            await self._pilot.pause()
            await self.until(lambda: self.app.screen.is_mounted)

    async def until(self, what):
        """Wait for something that takes its time."""
        for _ in range(500):
            if what():
                return
            await self._pilot.pause(0.01)
        raise AssertionError("it did not come")

    async def click(self, widget, x):
        await self._pilot.click(widget, offset=(x, 0))
        await self._pilot.pause()

    async def type(self, text):
        await self._pilot.press(*text)
        await self._pilot.pause()


pytestmark = pytest.mark.screen


def driven(test, *, size=(120, 40), **options):
    """Run a test with hands on an app."""

    async def look(app, pilot):
        await test(Hands(app, pilot), app)

    run(app_of(**options), look, size)


def test_tabs_and_help():
    async def go(hands, app):
        for number, tab in reversed(list(enumerate(TABS, 1))):
            await hands.press(str(number))
            assert app.tab == tab
            assert app.query_one("#panes").current == tab
            assert app.focused is app.pane.table
        for leave in ("escape", "question_mark", "q", "enter"):
            await hands.press("question_mark")
            assert isinstance(app.screen, Help)
            await hands.press("down", "j", "up", "k", leave)
            assert not isinstance(app.screen, Help)
        for palette in ("colon", "ctrl+p"):
            await hands.press(palette)
            await hands.until(lambda: CommandPalette.is_open(app))
            await hands.press("escape")
            await hands.until(lambda: not CommandPalette.is_open(app))

    driven(go)


def test_the_keys_that_are_named_are_those_of_what_has_the_focus_and_can_be_clicked():
    async def go(hands, app):
        named = app.screen.query_one(Hints).text
        assert " ? help" in named
        assert " q quit" in named
        await hands.click(Hints, named.index("help"))
        assert isinstance(app.screen, Help)
        await hands.press("escape", "slash")
        await hands.until(lambda: "raw logs" not in app.screen.query_one(Hints).text)
        await hands.press("escape", "enter")
        await hands.until(lambda: "next exemplar" in app.screen.query_one(Hints).text)
        assert "quit" not in app.screen.query_one(Hints).text
        await hands.click(Hints, app.screen.query_one(Hints).text.index("back"))
        assert not isinstance(app.screen, RawScreen)

    driven(go)


def test_the_cursor_of_a_table():
    async def go(hands, app):
        table = app.pane.table
        entities = [item.entity for item in table.items]
        for key, at in (("down", 1), ("j", 2), ("up", 1), ("k", 0), ("end", -1), ("home", 0), ("G", -1), ("g", 0)):
            await hands.press(key)
            assert table.item.entity == entities[at], key
        await hands.press("pagedown")
        assert 3 < entities.index(table.item.entity) < len(entities)
        await hands.press("pageup")
        assert table.item.entity == entities[0]
        await hands.press("down", "s", "s")
        assert table.item.entity == entities[1], "the cursor stays on its row when it is sorted otherwise"

    driven(go)


def test_rows_in_another_order_do_not_take_the_cursor_out_of_sight():
    async def go(hands, app):
        table = app.pane.table

        def line():
            return table.items.index(table.item) - table.scroll_offset.y

        app.sort = ("trend", True)
        await hands.press("down", "r")
        mine, rows = table.item.entity, table.size.height - 1
        assert len(table.items) > 2 * rows
        await hands.press("S")
        assert table.item.entity == mine
        assert table.scroll_offset.y > 0, "it has gone far"
        assert 0 <= line() < rows
        table.scroll_to(y=0, animate=False)
        await hands.press("r")
        assert table.scroll_offset.y == 0, "whoever scrolls away from it stays where they look"
        await hands.press("g", "S")
        assert (table.items.index(table.item), table.scroll_offset.y) == (0, 0), "the first is the first"

    driven(go, size=(80, 24))


def test_sorting():
    async def go(hands, app):
        names = [column.name for column, _ in app.pane.table.layout_for(118) if column.order]
        seen = []
        for _ in names:
            await hands.press("s")
            seen.append(app.sort[0])
            column = next(c for c in app.pane.table.columns if c.name == app.sort[0])
            values = [column.order(item) for item in app.pane.table.items]
            found = [value for value in values if value is not None]
            assert values[: len(found)] == found, "what has no value is last"
            assert found == sorted(found, reverse=app.sort[1])
        assert sorted(seen) == sorted(names)
        before = app.sort
        await hands.press("S")
        assert app.sort == (before[0], not before[1])

    driven(go)


def test_filter_pick_and_clear():
    async def go(hands, app):
        everything = len(app.board.view.series)
        await hands.press("slash")
        assert app.query_one("#filter", Input).has_focus
        await hands.type("etl load, fraud")
        assert {item.entity for item in app.pane.table.items} == {"etl_orders/load", "ml.fraud/v2.0.1"}
        assert set(app.board.view.totals) == {"airflow", "ml"}
        await hands.press("enter")
        assert app.focused is app.pane.table
        assert len(app.pane.table.items) == 2
        await hands.press("space")
        assert len(app.board.view.totals) == 1, "cards and charts are of what is picked"
        assert len(app.pane.table.items) == 2, "the table still shows what could be picked"
        await hands.press("space", "x")
        assert len(app.pane.table.items) == everything
        await hands.press("slash")
        await hands.type("kafka:")
        await hands.press("escape")
        assert not app.filter_text
        await hands.press("space", "escape")
        assert not app.picked

    driven(go)


def test_ranges_and_intervals():
    async def go(hands, app):
        await hands.press("plus")
        assert app.when.length_ms == 6 * HOUR_MS
        await hands.press("minus", "minus")
        assert app.when.length_ms == 15 * MINUTE_MS
        assert len(app.board.view.query.starts) in (15, 16)
        await hands.press("equals_sign", "w")
        assert isinstance(app.screen, Ask)
        await hands.type("soon")
        await hands.press("enter")
        assert "no length" in str(app.screen.query_one("#ask-wrong", Static).content)
        await hands.press("escape", "w")
        await hands.type("90m")
        await hands.press("enter")
        assert app.when.length_ms == 90 * MINUTE_MS
        await hands.press("w", "down", "down", "enter")
        assert app.when.length_ms in (15 * MINUTE_MS, HOUR_MS)
        await hands.press("w")
        app.screen.action_options()
        assert app.focused is app.screen.query_one(OptionList)  # not a moment later: the next key is typed ahead
        await hands.press("escape")
        await hands.press("i")
        assert app.memory.interval_s == 2.0
        for _ in range(5):
            await hands.press("i")
        assert app.memory.interval_s == 1.0

    driven(go)


def test_pause_refresh_and_the_time_machine():
    async def go(hands, app):
        await hands.press("p")
        assert app.paused_ms == data.NOW
        assert "paused" in app.query_one("#banner", Ribbon).text
        await hands.press("r", "p")
        assert app.paused_ms is None
        records = app.board.view.totals["ml"].sums.records
        await hands.press("t")
        await hands.type("2031-01-01")
        await hands.press("enter")
        assert "is not past" in str(app.screen.query_one("#ask-wrong", Static).content)
        await hands.press("escape", "t")
        await hands.type("10:15")
        await hands.press("enter")
        assert app.when.at_ms == data.NOW - 15 * MINUTE_MS - 42_000
        assert "not live" in app.query_one("#banner", Ribbon).text
        assert 0 < app.board.view.totals["ml"].sums.records < records
        at = app.when.at_ms
        await hands.press("full_stop")
        assert app.when.at_ms == at + MINUTE_MS
        await hands.press("comma", "comma")
        assert app.when.at_ms == at - MINUTE_MS
        await hands.press("greater_than_sign", "greater_than_sign", "less_than_sign", "p")
        assert (app.when.plays, app.when.speed) == (True, 2)
        await hands.press("p", "l")
        assert app.when.is_live
        assert app.board.view.totals["ml"].sums.records == records
        await hands.press("comma")
        assert not app.when.is_live
        await hands.press("escape")
        assert app.when.is_live

    driven(go)


@pytest.mark.parametrize("keys", [("l",), ("escape",), ("t", "n", "o", "w", "enter")])
def test_now_is_live_also_while_the_clock_goes_on(keys):
    ticks = itertools.count(data.NOW)

    async def go(hands, app):
        await hands.press("comma")
        assert not app.when.is_live
        await hands.press(*keys)
        assert app.when.is_live

    driven(go, feed=data.feed(clock=lambda: next(ticks)))


def test_from_a_row_a_step_and_an_alert_to_the_log():
    async def go(hands, app):
        await hands.press("3", "end")
        item = app.pane.table.item
        assert item.entity == "event-processor/events"
        await hands.press("enter")
        screen = app.screen
        assert isinstance(screen, RawScreen)
        assert [place.why for place in screen.places] == ["error"] * 3 + ["slowest"]
        table = screen.query_one(Table)
        assert table.item.offset == screen.places[0].offset
        assert b'"level":"ERROR"' in table.item.value
        assert "ce_type = log.kafka" in str(screen.query_one("#raw-text", Static).content)
        await hands.press("up")
        assert table.item.offset == screen.places[0].offset - 1
        for key, index in (("right_square_bracket", 1), ("n", 2), ("left_square_bracket", 1), ("b", 0)):
            await hands.press(key)
            assert screen.index == index
        await hands.press("r", "y")
        assert app.clipboard == table.item.value.decode()
        await hands.press("t", ALERTS, "s", "question_mark", "escape")
        assert app.screen is screen, "keys of the tabs do nothing here"
        await hands.press("q")
        assert app.tab == "kafka"
        await hands.press("1", "tab")
        assert isinstance(app.focused, Panel)
        await hands.press("end", "left", "home", "right")
        assert app.cursor == 1
        await hands.press("enter")
        minute = app.screen.places[0].timestamp_ms - app.screen.places[0].timestamp_ms % MINUTE_MS
        assert minute - app.board.view.query.from_ms == MINUTE_MS
        await hands.press("escape", "shift+tab", "escape", ALERTS, "enter")
        assert app.screen.places[0].entity == "event-processor/events"
        await hands.press("escape", LOGS, "down", "enter")
        assert isinstance(app.screen, RawScreen)

    driven(go)


def test_export_and_copy(tmp_path):
    async def go(hands, app):
        await hands.press("e")
        await hands.until(lambda: sum(file.stat().st_size > 0 for file in tmp_path.iterdir()) == 2)
        text = next(tmp_path.glob("*.csv")).read_text()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert len(rows) == len(app.board.view.series)
        assert sum(int(row["records"]) for row in rows) == sum(
            t.sums.records for t in app.board.view.totals.values()
        )
        assert next(tmp_path.glob("*.svg")).read_text().startswith("<svg")
        await hands.press("y")
        assert app.pane.table.item.entity in app.clipboard
        await hands.press(ALERTS, "y")
        assert "consumer-lag" in app.clipboard
        await hands.press(LOGS, "y")
        assert app.clipboard.startswith("logs.")

    driven(go, folder=tmp_path)


def test_an_export_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(MonitorApp, "notify", lambda _, text, **about: said.append((about.get("title"), text)))

    async def go(hands, app):
        await hands.press("e")

    driven(go, folder=tmp_path / "not" / "there")
    assert [title for title, _ in said] == ["not exported"]
    assert "No such file or directory" in said[0][1]

    def full(path, *_, **__):
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    driven(go, folder=tmp_path)
    assert "No space left on device" in said[1][1]
    assert not list(tmp_path.iterdir()), "no half a file is left"


def test_a_page_up_in_commands_that_are_not_there_yet():
    async def go(hands, app):
        await hands.press("colon")
        await hands.until(lambda: isinstance(app.screen, Commands) and app.screen.query(CommandList))
        commands = app.screen.query_one(CommandList)
        await hands.until(lambda: commands.option_count)
        commands.clear_options()
        await hands.press("pageup", "pagedown")
        assert isinstance(app.screen, Commands)

    driven(go)


def test_what_is_remembered(tmp_path):
    path = tmp_path / "state" / "tui.json"

    async def go(hands, app):
        await hands.press("d", "v", "v", "v", "3", "s", "plus", "slash")
        await hands.type("events")
        await hands.press("enter", "space")

    driven(go, memory=path)
    kept = recall(path)
    assert (kept.tab, kept.length_ms, kept.theme, kept.filter, kept.charts) == (
        "kafka", 6 * HOUR_MS, "monitor-light", "events", 1,
    )  # fmt: skip
    assert kept.picked == [("kafka", ["event-processor", "events"])]

    async def again(hands, app):
        assert (app.tab, app.theme, app.filter_text) == ("kafka", "monitor-light", "events")
        assert [item.entity for item in app.pane.table.items] == ["event-processor/events"]
        assert app.has_class("-other-charts")

    driven(again, memory=path)
    path.write_bytes(b"{not json")
    assert recall(path).tab == "overview"
    path.write_bytes(b'{"length_ms":9223372036854775807,"interval_s":1e308,"charts":9}')
    kept = recall(path)
    assert (kept.length_ms, kept.interval_s, kept.charts) == (MOST_MS, 1.0, 0)
    path.write_bytes(b'{"length_ms":-5,"interval_s":0}')
    assert (recall(path).length_ms, recall(path).interval_s) == (LEAST_MS, 1.0)


def test_a_raw_record_follows_the_theme():
    async def go(hands, app):
        await hands.press("3", "end", "enter")
        table = app.screen.query_one(Table)
        await hands.press("down")
        at = table.item
        await hands.press("d")
        assert table.palette.text == palette_of(app.theme_variables, dark=False).text
        assert table.item == at
        text = app.screen.query_one("#raw-text", Static).content
        assert [span.style for span in text.spans] == [table.palette.text]

    driven(go)


STRANGE = {
    "deep": b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "huge": b'{"tab":"kafka"}' + b" " * 2_000_000,
}


@pytest.mark.parametrize("what", STRANGE)
def test_a_state_that_it_cannot_have_written_is_none(tmp_path, what):
    path = tmp_path / "tui.json"
    path.write_bytes(STRANGE[what])
    assert recall(path).tab == "overview"


def test_a_state_that_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "tui.json")
    assert recall(tmp_path / "tui.json").tab == "overview"


def test_a_remembered_filter_is_harmless(tmp_path):
    path = tmp_path / "tui.json"
    path.write_bytes(b'{"filter":"a\\u001b[31m\\nb"}')
    assert recall(path).filter == "a�[31m�b"


def test_what_stood_there_is_kept_where_it_cannot_be_written_anew(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "kept.csv"
    path.write_text("before")
    monkeypatch.setattr(Path, "write_text", full)
    assert saved(path, "after") == "No space left on device"
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_quit():
    app = app_of()

    async def go(hands, _):
        await hands.press("q")

    async def look(app, pilot):
        await go(Hands(app, pilot), app)

    run(app, look)
    assert not app.is_running


def test_a_lost_broker_dims_and_says_so_and_is_forgotten_when_it_is_back():
    feed = data.feed()

    async def go(hands, app):
        feed.now = FeedState("lost", data.NOW - 60_000, "gone", data.NOW - 61_000)
        await hands.press("r")
        banner = app.query_one("#banner", Ribbon)
        assert "broker lost since 10:29:42 (1m) · read until 10:29:41 · trying again: gone" in banner.text
        assert app.pane.table.is_dimmed
        feed.now = replace(feed.now, phase="live")
        await hands.press("r")
        assert not banner.display
        assert not app.pane.table.is_dimmed

    driven(go, feed=feed)


def test_no_key_is_left_out():
    """Every key that is bound stands in this file, in a press."""
    pressed = {
        constant.value
        for call in ast.walk(ast.parse(Path(__file__).read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "hands.press"
        for constant in ast.walk(call)
        if isinstance(constant, ast.Constant)
    }
    bound = {
        key
        for owner in (MonitorApp, Table, Panel, RawScreen, Ask, Help)
        for binding in vars(owner)["BINDINGS"]
        for key in binding.key.split(",")
    }
    assert bound - set(map(str, range(1, len(TABS) + 1))) <= pressed | IN_LOOPS
    for key in ("w", "s", "p", "t", "l", "e", "y", "v", "d", "q", "x", "r", "i"):
        assert f"{key} " in HELP


IN_LOOPS = {
    "escape", "question_mark", "q", "enter", "colon", "ctrl+p", "down", "j", "up", "k", "end", "home", "G", "g",
    "right_square_bracket", "n", "left_square_bracket", "b", "ctrl+z",
}  # fmt: skip
"""Keys that are pressed as a loop's variable, there to be read; ctrl+z in test_terminal.py."""
