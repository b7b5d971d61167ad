"""From a wish to a board. Runs in a thread; touches no widget."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from stream_monitor.board.cards import alerts_of, cards_of, items_of
from stream_monitor.board.places import logs_of
from stream_monitor.board.when import When
from stream_monitor.core.metric import SeriesId
from stream_monitor.core.view import Query
from stream_monitor.feed import Feed
from stream_monitor.feed.store import warm
from stream_monitor.tui.board import Board
from stream_monitor.tui.pane import KIND_TABS, columns_of
from stream_monitor.tui.table import ordered

WARM_S = 0.15
"""How long one round decodes windows that have not been looked at; the rest is for the next rounds."""


@dataclass(frozen=True)
class Wish:
    """What is to be on the screen."""

    when: When
    tab: str
    sort: tuple[str, bool]
    words: tuple[tuple[str, ...], ...] = ()
    picked: frozenset[SeriesId] = field(default_factory=frozenset)
    known: tuple[str, ...] = ()


def query_of(wish: Wish, feed: Feed) -> Query:
    """The question that the wish is."""
    return wish.when.query(feed.now_ms(), feed.newest_ms(), feed.series_count(), wish.words, wish.picked)


def compute(wish: Wish, feed: Feed) -> Board:
    """All that the tab shows."""
    view = feed.view(query_of(wish, feed))
    is_warm = True
    deadline = time.monotonic() + WARM_S
    for _ in warm(list(view.totals.values())):
        if time.monotonic() > deadline:
            is_warm = False
            break
    board = Board(view, feed.state(), items_of(view), is_warm=is_warm)
    board.alerts = alerts_of(feed.alerts(), view.query)
    if wish.tab == "overview":
        board.cards = cards_of(view, board.items, board.alerts, wish.known)
        board.shown = board.items
    elif wish.tab in KIND_TABS:
        board.shown = [item for item in board.items if item.kind == wish.tab]
    elif wish.tab == "logs":
        board.logs = logs_of(board.items)
    _sort(board, wish)
    return board


def _sort(board: Board, wish: Wish) -> None:
    name, falling = wish.sort
    column = next((column for column in columns_of(wish.tab) if column.name == name), None)
    if column is None:
        return
    if wish.tab == "alerts":
        board.alerts = ordered(board.alerts, column, falling=falling)
    elif wish.tab == "logs":
        board.logs = ordered(board.logs, column, falling=falling)
    else:
        board.shown = ordered(sorted(board.shown, key=lambda item: item.entity), column, falling=falling)
