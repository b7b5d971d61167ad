"""From a wish to a board, in slices of time. Touches no widget.

compute    in a thread: asks the feed, then decodes as much as its slices allow; the next rounds go on
drafted    at once, where the key was pressed: the board that is there, in another order, filtered, for another tab
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from stream_monitor.board.cards import alerts_of, cards_of, items_of
from stream_monitor.board.item import Item
from stream_monitor.board.places import logs_of
from stream_monitor.board.when import When
from stream_monitor.core.metric import SeriesId
from stream_monitor.core.view import Query, matches
from stream_monitor.feed import Feed
from stream_monitor.feed.store import warm
from stream_monitor.tui.board import Board, figures_of
from stream_monitor.tui.order import Orders, Over
from stream_monitor.tui.pane import KIND_TABS, SORTS, columns_of
from stream_monitor.tui.table import Column, ordered

ORDER_S, SIGHT_S, TOTALS_S, AHEAD_S, DRAFT_S = 0.1, 0.05, 0.1, 0.05, 0.02
"""How long one round looks for the values that rows are sorted by, for what the rows in sight show, decodes what
cards and charts are of, and what other tabs are sorted by; and how long a key waits for any of it."""


@dataclass(frozen=True)
class Wish:
    """What is to be on the screen."""

    when: When
    tab: str
    sort: tuple[str, bool]
    words: tuple[tuple[str, ...], ...] = ()
    picked: frozenset[SeriesId] = field(default_factory=frozenset)
    known: tuple[str, ...] = ()
    sight: tuple[int, int] = (0, 60)
    """Rows that are in sight, or soon may be: from, to."""


def query_of(wish: Wish, feed: Feed) -> Query:
    """The question that the wish is."""
    return wish.when.query(feed.now_ms(), feed.newest_ms(), feed.series_count(), wish.words, wish.picked)


def compute(
    wish: Wish, feed: Feed, orders: Orders, hurried: Over = lambda: False, *, patience: float = 1.0
) -> Board:
    """All that the tab shows. `hurried`: another wish waits; decode no more. `patience`: times its slices."""
    query = query_of(wish, feed)
    orders.about((query.step_ms, query.from_ms if not query.live else wish.when.length_ms))
    view = feed.view(query)
    board = Board(view, feed.state(), wish.when, items_of(view))
    board.alerts = alerts_of(feed.alerts(), query)
    _choose(board, wish)
    column = sorted_by(wish)
    if column is not None:
        board.is_warm = orders.look(board.shown, column, _until(ORDER_S * patience, hurried))
    _sort(board, wish, orders)
    _look_at(board, wish, _until(SIGHT_S * patience, hurried))
    board.is_warm &= _spend(warm(list(view.totals.values())), _until(TOTALS_S * patience, hurried))
    _sum_up(board, wish, _until(SIGHT_S * patience, hurried))
    _look_ahead(board, orders, _until(AHEAD_S * min(patience, 1.0), hurried))
    return board


def drafted(board: Board, wish: Wish, orders: Orders) -> Board:
    """The board with the wish's rows, out of what is known: for the moment until it is computed."""
    items = [item for item in board.items if matches(wish.words, item.kind, item.entity)]
    draft = replace(board, items=items, shown=[], is_warm=False)
    _choose(draft, wish)
    _sort(draft, wish, orders)
    if wish.tab == "logs" or board.figures is None:
        _sum_up(draft, wish, _until(DRAFT_S))
    return draft


def sorted_by(wish: Wish) -> Column[Item] | None:
    """Of the tabs with series, the column that has the arrow."""
    if wish.tab in ("alerts", "logs"):
        return None
    return next((column for column in columns_of(wish.tab) if column.name == wish.sort[0]), None)


def _until(seconds: float, hurried: Over = lambda: False) -> Over:
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() > deadline or hurried()


def _spend(work: Iterable[object], over: Over) -> bool:
    """Work until the time is over; says whether all is done."""
    return not any(over() for _ in work)


def _choose(board: Board, wish: Wish) -> None:
    if wish.tab == "overview":
        board.shown = board.items
    elif wish.tab in KIND_TABS:
        board.shown = [item for item in board.items if item.kind == wish.tab]


def _sum_up(board: Board, wish: Wish, over: Over) -> None:
    if wish.tab == "overview":
        board.cards = cards_of(board.view, board.items, board.alerts, wish.known)
        board.figures = figures_of(board.view, board.items)
    elif wish.tab == "logs":
        board.logs = logs_of(board.items, over)
        _sort_logs(board, wish)


def _sort(board: Board, wish: Wish, orders: Orders) -> None:
    column = sorted_by(wish)
    if wish.tab == "alerts":
        found = next((c for c in columns_of("alerts") if c.name == wish.sort[0]), None)
        board.alerts = board.alerts if found is None else ordered(board.alerts, found, falling=wish.sort[1])
    elif column is not None:
        board.shown = orders.ordered(board.shown, column, falling=wish.sort[1])


def _sort_logs(board: Board, wish: Wish) -> None:
    column = next((c for c in columns_of("logs") if c.name == wish.sort[0]), None)
    if column is not None:
        board.logs = ordered(board.logs, column, falling=wish.sort[1])


def _look_at(board: Board, wish: Wish, over: Over) -> None:
    """What the rows in sight show: found out here, it costs the thread that draws them nothing."""
    asked: list[Callable[[Item], object]] = [c.order for c in columns_of(wish.tab) if c.order is not None]
    asked += [lambda item: item.volumes, lambda item: item.lags]
    _spend((ask(item) for item in board.shown[slice(*wish.sight)] for ask in asked), over)


def _look_ahead(board: Board, orders: Orders, over: Over) -> None:
    """What the other tabs are sorted by at first."""
    for tab in KIND_TABS:
        mine = [item for item in board.items if item.kind == tab]
        names = {SORTS[tab][0], SORTS["overview"][0]}
        for column in (column for column in columns_of(tab) if column.name in names):
            if not orders.look(mine, column, over):
                return
