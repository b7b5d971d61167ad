"""The timelines of all series: takes records, forgets what has left, answers queries. One lock guards it all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from threading import RLock
from typing import Any

from stream_monitor import wire
from stream_monitor.core.metric import SeriesId
from stream_monitor.core.part import Merged, Part
from stream_monitor.core.record import Kind
from stream_monitor.core.timeline import LineView, Timeline, Total
from stream_monitor.core.view import Query, View, matches
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS
from stream_monitor.feed.row import row_from

MAX_ALERTS = 5_000
_MEMO_EACH = 8
"""Answers kept for each series, at most: one by length of step."""


class Store:
    """Rows by series, and alerts by their keys."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self.lock = RLock()
        self.unreadable = 0
        self.newest_ms = 0
        """Start of the newest window."""
        self.rows = 0
        self._memo: dict[Any, Any] = {}
        self.kinds = kinds
        self._series: dict[SeriesId, Timeline] = {}
        self._totals = {name: Total(kind) for name, kind in kinds.items()}
        self._chosen: tuple[Any, dict[str, Total]] = (None, {})
        """The totals over some of the series, and of which."""
        self._alerts: dict[bytes, wire.AlertRecord] = {}

    def take(self, values: Iterable[bytes | None], newest: dict[str, int] | None = None) -> int:
        """Metrics records; returns the start of the newest window that changed, 0 where none did.

        `newest` gets, by kind, the start of the newest window there was, changed or not.
        """
        changed = 0
        newest = {} if newest is None else newest
        with self.lock:
            for value in values:
                changed = max(changed, self._take(value or b"", newest))
            self.newest_ms = max(self.newest_ms, changed)
        return changed

    def _take(self, value: bytes, newest: dict[str, int]) -> int:
        try:
            found = row_from(value, self.kinds)
        except wire.WireError:
            self.unreadable += 1
            return 0
        if found is None:
            return 0
        series, row = found
        if row.start_ms > newest.get(series[0], 0):
            newest[series[0]] = row.start_ms
        line = self._series.get(series)
        if line is None:
            line = self._series[series] = Timeline(self.kinds[series[0]], series[1])
            self._totals[series[0]].members.append(line)
            self._chosen = (None, {})
        known = row.start_ms in line.rows[row.size_ms]
        if not line.take(row):
            return 0
        self.rows += not known
        self._totals[series[0]].touch(row.start_ms)
        for total in self._chosen[1].values():
            total.touch(row.start_ms)
        return row.start_ms

    def take_alerts(self, values: Iterable[bytes | None]) -> None:
        """Alerts records; the transition of the highest rank stays, of each. A tombstone is passed over."""
        with self.lock:
            for value in values:
                if not value:
                    continue
                try:
                    alert = wire.alert_in(value)
                except wire.WireError:
                    self.unreadable += 1
                    continue
                seen = self._alerts.get(alert.key)
                if seen is None or alert.rank >= seen.rank:
                    self._alerts[alert.key] = alert
            for key in sorted(self._alerts, key=lambda k: self._alerts[k].at_ms)[:-MAX_ALERTS]:
                del self._alerts[key]

    def alerts(self) -> list[wire.AlertRecord]:
        """All that are known: those that fire first, then the latest."""
        with self.lock:
            return sorted(self._alerts.values(), key=lambda a: (not a.is_firing, -a.at_ms, a.rule, a.entity))

    def count(self) -> int:
        """How many series there are."""
        return len(self._series)

    def drop_before(self, minutes_ms: int, hours_ms: int, days_ms: int) -> None:
        """Forget the windows that begin before these times."""
        with self.lock:
            for series, line in list(self._series.items()):
                bounds = ((MINUTE_MS, minutes_ms), (HOUR_MS, hours_ms), (DAY_MS, days_ms))
                self.rows -= sum(line.drop_before(size, before) for size, before in bounds)
                if line.is_empty:
                    del self._series[series]
                    self._totals[series[0]].members.remove(line)
                    self._totals[series[0]].forget()
                    self._chosen = (None, {})

    def trim(self, from_ms: Mapping[int, int]) -> None:
        """Of what was put together keep the steps of these lengths, from these times on."""
        with self.lock:
            for line in (*self._series.values(), *self._totals.values(), *self._chosen[1].values()):
                line.trim(from_ms)
            for place in [place for place in list(self._memo) if self._is_over(place, from_ms)]:
                self._memo.pop(place, None)

    def _is_over(self, place: Any, from_ms: Mapping[int, int]) -> bool:
        """Of a series (place: series, step) that has left, or of steps that nobody asks for; it holds rows."""
        return isinstance(place, tuple) and (place[0] not in self._series or place[1] not in from_ms)

    def drop_covered(self, before_ms: int) -> None:
        """Forget the minutes of hours that have their own row and end before this time."""
        with self.lock:
            self.rows -= sum(line.drop_covered(before_ms) for line in self._series.values())

    def view(self, query: Query) -> View:
        """The answer to a query, out of what is there."""
        if len(self._memo) > _MEMO_EACH * len(self._series):
            self._memo.clear()
        view = View(query, memo=self._memo, unreadable=self.unreadable)
        with self.lock:
            for series, line in self._series.items():
                if matches(query.words, series[0], line.kind.entity(line.labels)):
                    found = line.over(query.range, query.step_ms, live=query.live)
                    if found is not None:
                        view.series[series] = found
            for name, total in self._totals_of(query).items():
                whole = total.over(query.range, query.step_ms, live=query.live)
                if whole is not None:
                    view.totals[name] = whole
        return view

    def _totals_of(self, query: Query) -> dict[str, Total]:
        if not query.words and not query.picked:
            return self._totals
        choice = (query.words, query.picked)
        if self._chosen[0] != choice:
            members: dict[str, list[Timeline]] = {name: [] for name in self.kinds}
            for series, line in self._series.items():
                is_picked = not query.picked or series in query.picked
                if is_picked and matches(query.words, series[0], line.kind.entity(line.labels)):
                    members[series[0]].append(line)
            self._chosen = (choice, {n: Total(self.kinds[n], some, self.newest_ms) for n, some in members.items()})
        return self._chosen[1]


def warm(lines: Iterable[LineView]) -> Iterator[None]:
    """Decode what the lines' parts hold, newest first; a little between two yields."""
    for parts in zip(*(reversed(line.parts) for line in lines), strict=True):
        for part in parts:
            if part is not None:
                yield from _warm(part)


def _warm(part: Part) -> Iterator[None]:
    """What it is made of first, so that one who breaks off has not worked for nothing."""
    if isinstance(part, Merged) and not part.is_ready:
        for inner in part.parts:
            if isinstance(inner, Merged):
                yield from _warm(inner)
    _ = part.aggregate
    yield
