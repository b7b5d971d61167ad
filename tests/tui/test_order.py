"""Slices of time: what there was no time for keeps its place, comes next, and holds up no key."""

from __future__ import annotations

import math
import threading

import pytest
from textual.widgets import Input

from stream_monitor.board.cards import items_of
from stream_monitor.board.when import When
from stream_monitor.core.view import words_of
from stream_monitor.feed.store import warm
from stream_monitor.tui import columns
from stream_monitor.tui.app import MonitorApp
from stream_monitor.tui.compute import Wish, compute, drafted
from stream_monitor.tui.order import Orders
from tests.tui import data
from tests.tui.apps import run
from tests.tui.data import feed

WISH = Wish(When(), "overview", ("p99", True))


def after(looks):
    """Time for so many."""
    left = [looks]

    def over():
        left[0] -= 1
        return left[0] < 0

    return over


def items():
    return items_of(feed().view(When().query(data.NOW)))


def test_what_there_was_no_time_for_comes_next_and_keeps_its_place_until_then():
    orders, rows = Orders(), items()
    assert not orders.look(rows, columns.P99, after(5))
    first = orders.ordered(rows, columns.P99, falling=True)
    assert [item.times[2] for item in first[:5]] == sorted((item.times[2] for item in rows[:5]), reverse=True)
    assert {item.key for item in first} == {item.key for item in rows}, "none is left out"
    looks = 1
    while not orders.look(rows, columns.P99, after(5)):
        looks += 1
    assert looks == len(rows) // 5, "each look goes on where the last one was broken off"
    values = [item.times[2] for item in orders.ordered(rows, columns.P99, falling=True) if item.times]
    assert values == sorted(values, reverse=True)
    assert orders.ordered(items(), columns.P99, falling=True)[0].key == max(rows, key=lambda i: i.times[2]).key
    orders.about("another range")
    assert [i.entity for i in orders.ordered(rows, columns.P99, falling=True)] == sorted(i.entity for i in rows)


def test_a_board_in_a_hurry_has_all_rows_and_says_that_it_is_not_warm():
    orders = Orders()
    board = compute(WISH, feed(), orders, lambda: True)
    assert not board.is_warm
    assert len(board.shown) == len(items())
    rounds = 0
    while not (board := compute(WISH, feed(), orders, after(600))).is_warm:
        rounds += 1
        assert rounds < 100
    patient = compute(WISH, feed(), Orders(), patience=math.inf)
    assert [item.key for item in board.shown] == [item.key for item in patient.shown]


def test_a_draft_asks_no_feed_and_shows_what_is_wished():
    orders = Orders()
    board = compute(WISH, feed(), orders, patience=math.inf)
    kafka = drafted(board, Wish(When(), "kafka", ("lag", True)), orders)
    assert {item.kind for item in kafka.shown} == {"kafka"}
    some = drafted(board, Wish(When(), "overview", ("p99", True), words_of("fraud")), orders)
    assert [item.entity for item in some.shown] == [i.entity for i in board.shown if "fraud" in i.entity]
    assert some.view is board.view
    logs = drafted(board, Wish(When(), "logs", ("time", True)), orders)
    assert logs.logs


def test_warming_that_is_broken_off_again_and_again_comes_to_an_end():
    """Every second something changes in the open hour; what else it is made of stays put together."""
    source = feed()
    query = When(6 * 3_600_000).query(data.NOW, 0, 2_000)  # so many series that the steps are hours
    assert query.step_ms == 3_600_000
    newest = source.store.newest_ms
    for _ in range(60):
        for total in source.store._totals.values():
            total.touch(newest)
        work, over = warm(list(source.view(query).totals.values())), after(30)
        if all(not over() for _ in work):
            return
    pytest.fail("it begins anew each time")


class Slow:
    """A feed whose answers wait for a gate."""

    def __init__(self):
        self._feed, self.gate, self.asked = feed(), threading.Event(), threading.Event()
        self.gate.set()

    def __getattr__(self, name):
        return getattr(self._feed, name)

    def view(self, query):
        self.asked.set()
        self.gate.wait(60)
        return self._feed.view(query)


@pytest.mark.screen
def test_keys_are_answered_while_the_feed_is_busy():
    slow = Slow()

    async def look(app, pilot):
        while app.board is None or not app.board.is_warm:
            await pilot.pause(0.01)
        slow.gate.clear()
        slow.asked.clear()
        try:
            app.want()
            while not slow.asked.is_set():
                await pilot.pause(0.01)
            await pilot.press("3")
            await pilot.pause()
            assert {item.kind for item in app.pane.table.items} == {"kafka"}
            before = [item.key for item in app.pane.table.items]
            await pilot.press("S")
            await pilot.pause()
            assert [item.key for item in app.pane.table.items] != before
            await pilot.press("1", "slash", *"fraud")
            await pilot.pause()
            assert [item.entity for item in app.pane.table.items] == ["ml.fraud/v2.0.1"]
            await pilot.press("escape")
            await pilot.pause()
            assert len(app.pane.table.items) > 10
            assert not app.query_one("#filter", Input).display
        finally:
            slow.gate.set()
        while not (app.board and app.board.is_warm):
            await pilot.pause(0.01)

    run(MonitorApp(slow, place="here"), look)
