"""Sorting by what takes time to find out: as far as there is time; of the rest what was known before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stream_monitor.board.item import Item
from stream_monitor.core.metric import SeriesId
from stream_monitor.tui.table import Column

Values = dict[SeriesId, Any]

Over = Callable[[], bool]
"""The time is up."""


class Orders:
    """What every series' value of a column was when somebody last looked: rows have an order at any time."""

    def __init__(self) -> None:
        self._known: dict[Column[Item], Values] = {}
        self._at: dict[Column[Item], int] = {}
        """Where the last look was broken off: the next one goes on there."""
        self._about: object = None

    def about(self, what: object) -> None:
        """Another range or step: what was known is of something else."""
        if what != self._about:
            self._about = what
            self._known, self._at = {}, {}

    def look(self, items: Sequence[Item], column: Column[Item], over: Over) -> bool:
        """Find out the column's values until the time is over; says whether all have had their turn."""
        order, known = column.order, self._known.setdefault(column, {})
        if order is None or not items:
            return True
        start = self._at.get(column, 0) % len(items)
        for place in range(start, start + len(items)):
            if over():
                self._at[column] = place % len(items)
                return place >= len(items)
            item = items[place % len(items)]
            known[item.key] = order(item)
        self._at[column] = 0
        if len(known) > 2 * len(items):
            self._known[column] = {item.key: known[item.key] for item in items}
        return True

    def ordered(self, items: Sequence[Item], column: Column[Item], *, falling: bool) -> list[Item]:
        """Sorted by what is known, then by name; what has no value, or none that is known yet, is last."""
        known = self._known.get(column, {})
        named = sorted(items, key=lambda item: item.entity)
        keyed: list[tuple[Any, Item]] = [(known.get(item.key), item) for item in named]
        found = sorted((pair for pair in keyed if pair[0] is not None), key=lambda pair: pair[0], reverse=falling)
        return [item for _, item in [*found, *(pair for pair in keyed if pair[0] is None)]]
