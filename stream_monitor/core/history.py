"""What was counted in a series' last minutes and hours: the windows of alert rules.

    hours     |======|======|======|===          sums, for windows longer than an hour: whole hours
    minutes                      |-|-|-|-|-|     for windows up to an hour: exact

A window of more than an hour is made of the hours that begin in it, the running one included: it reaches back
between its length less one hour and its length. Minutes without data take no room.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from stream_monitor.core.rule import SHORT_MS
from stream_monitor.core.window import HOUR_MS, MINUTE_MS, window_start

KEPT_MS = SHORT_MS + 5 * MINUTE_MS
"""A correction of an older minute changes nothing here."""


class History:
    """Sums of some named counts, by minute and by hour."""

    __slots__ = ("_hour_sums", "_hours", "_keep_hours_ms", "_minutes", "_sums", "fields")

    def __init__(self, fields: Sequence[str], keep_hours_ms: int = 0) -> None:
        self.fields = tuple(fields)
        self._keep_hours_ms = keep_hours_ms
        self._minutes = array("q")
        self._sums = [array("d") for _ in fields]
        self._hours = array("q")
        self._hour_sums = [array("d") for _ in fields]

    def put(self, start_ms: int, values: Sequence[float]) -> None:
        """A minute's counts; those of a minute that is there already take its place."""
        minutes = self._minutes
        at = bisect_left(minutes, start_ms)
        if at < len(minutes) and minutes[at] == start_ms:
            before = [column[at] for column in self._sums]
            for column, value in zip(self._sums, values, strict=True):
                column[at] = value
            self._add_hour(start_ms, [now - then for now, then in zip(values, before, strict=True)])
        elif minutes and start_ms < minutes[-1] - KEPT_MS:
            return
        else:
            minutes.insert(at, start_ms)
            for column, value in zip(self._sums, values, strict=True):
                column.insert(at, value)
            self._add_hour(start_ms, values)
        self._trim()

    def _add_hour(self, start_ms: int, values: Sequence[float]) -> None:
        if not self._keep_hours_ms:
            return
        hour_ms = window_start(start_ms, HOUR_MS)
        at = bisect_left(self._hours, hour_ms)
        if at == len(self._hours) or self._hours[at] != hour_ms:
            self._hours.insert(at, hour_ms)
            for column in self._hour_sums:
                column.insert(at, 0.0)
        for column, value in zip(self._hour_sums, values, strict=True):
            column[at] += value

    def _trim(self) -> None:
        newest = self._minutes[-1]
        _cut(self._minutes, self._sums, newest - KEPT_MS)
        if self._hours:
            _cut(self._hours, self._hour_sums, newest - self._keep_hours_ms - HOUR_MS)

    def total(self, field: int, end_ms: int, over_ms: int) -> float:
        """Of the window of that length that ends there."""
        if over_ms <= SHORT_MS:
            return _between(self._minutes, self._sums[field], end_ms - over_ms, end_ms)
        return _between(self._hours, self._hour_sums[field], end_ms - over_ms, end_ms)

    def before(self, field: int, end_ms: int, over_ms: int, usual_ms: int) -> float:
        """Of the whole hours before the hour in which that window begins, as far back as `usual_ms`."""
        upto_ms = window_start(end_ms - over_ms, HOUR_MS)
        return _between(self._hours, self._hour_sums[field], upto_ms - usual_ms, upto_ms)

    def hours_before(self, end_ms: int, over_ms: int, usual_ms: int) -> int:
        """How many of those hours have data."""
        upto_ms = window_start(end_ms - over_ms, HOUR_MS)
        return bisect_left(self._hours, upto_ms) - bisect_left(self._hours, upto_ms - usual_ms)

    def out(self) -> list[object]:
        """Plain values, for a row."""
        return [
            list(self.fields),
            self._minutes.tolist(),
            [_lean(column) for column in self._sums],
            self._hours.tolist(),
            [_lean(column) for column in self._hour_sums],
        ]

    def restore(self, plain: Sequence[Sequence[object]]) -> None:
        """Take what `out` gave; counts that were not kept then are as if they had been 0."""
        names, minutes, sums, hours, hour_sums = plain
        self._minutes, self._hours = array("q", minutes), array("q", hours)  # type: ignore[arg-type]
        for into, start, columns in ((self._sums, minutes, sums), (self._hour_sums, hours, hour_sums)):
            stored = dict(zip(names, columns, strict=True))
            for index, name in enumerate(self.fields):
                into[index] = array("d", stored.get(name) or [0.0] * len(start))  # type: ignore[call-overload]


def _between(starts: array[int], column: array[float], from_ms: int, to_ms: int) -> float:
    first = bisect_left(starts, from_ms)
    if first == len(starts) or starts[-1] < to_ms:
        return sum(column[first:])
    return sum(column[first : bisect_left(starts, to_ms)])


def _cut(starts: array[int], columns: list[array[float]], before_ms: int) -> None:
    if starts[0] < before_ms:
        gone = bisect_left(starts, before_ms)
        del starts[:gone]
        for column in columns:
            del column[:gone]


def _lean(column: array[float]) -> list[float | int]:
    """Whole numbers take fewer bytes."""
    return [int(value) if value.is_integer() else value for value in column]
