"""What a store must hold so that a query can be answered, and what it need not hold any more.

step < 1 h    minutes from the range's start on
step < 1 d    hours from there on, and the minutes since each partition's newest hour
step = 1 d    days, the hours since the newest day, the minutes since the newest hour
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from stream_monitor.core.timeline import SHORTER_MS, TAIL
from stream_monitor.core.view import Query
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, window_start
from stream_monitor.feed.reader import Reader
from stream_monitor.feed.store import Store

TOPIC = {DAY_MS: "metrics.1d", HOUR_MS: "metrics.1h", MINUTE_MS: "metrics.1m"}
LIVE = "metrics.live"

_SLACK_MS = 5 * MINUTE_MS
_LATE_MS = HOUR_MS + 10 * MINUTE_MS
"""Corrections of a window come within the worker's lateness, an hour unless it is set otherwise."""
_LIVE_MS = 15 * MINUTE_MS
_LIVE_ALL = 50_000
"""Of more provisional results those since each partition's newest closed minute are read."""
_LIVE_MOST = 500_000
"""Of more than that, too, those of the last quarter of an hour."""

_NEVER = math.inf


def base_size(step_ms: int) -> int:
    """The longest windows that a step is made of."""
    return DAY_MS if step_ms >= DAY_MS else HOUR_MS if step_ms >= HOUR_MS else MINUTE_MS


def starts_of(queries: Iterable[Query]) -> dict[int, int]:
    """By the length of a step: where the first one begins that is asked for, or that an open step is made of."""
    found: dict[int, int] = {}
    for query in queries:
        first, step_ms = query.from_ms, query.step_ms
        open_ms = max(first, query.starts[-1] - (TAIL - 1) * step_ms)
        while step_ms:
            found[step_ms] = min(first, found.get(step_ms, first))
            first, step_ms = open_ms, SHORTER_MS.get(step_ms, 0)
    return found


class Fill:
    """Reads into a store what queries need, each record as seldom as it can."""

    def __init__(self, reader: Reader, store: Store) -> None:
        self._reader = reader
        self._store = store
        self._covered = {size: [_NEVER] * reader.partitions(topic) for size, topic in TOPIC.items()}
        """By size and partition: from when on the windows are in the store."""
        self._complete = dict.fromkeys(TOPIC, _NEVER)
        """By base size: from when on queries can be answered."""
        self._newest: dict[tuple[int, int], dict[str, int]] = {}
        """By size and partition: of each kind the newest window's start."""

    def can_answer(self, query: Query) -> bool:
        """Nothing is missing."""
        return self._complete[base_size(query.step_ms)] <= query.from_ms

    def read(self, query: Query) -> None:
        """Read what the query needs and the store does not hold."""
        base = base_size(query.step_ms)
        since: list[float] = [query.from_ms] * self._reader.partitions(TOPIC[base])
        for size in TOPIC:
            if size <= base:
                self._read(size, since)
                since = [max(query.from_ms, self._newest_of(size, p, query.from_ms)) for p in range(len(since))]
        self._complete[base] = min(self._complete[base], query.from_ms)

    def read_live(self, query: Query, now_ms: int) -> None:
        """Read the provisional results of what has not closed yet."""
        partitions = self._reader.partitions(LIVE)
        first = max(query.from_ms, window_start(now_ms - HOUR_MS))
        since = [first] * partitions
        if self._reader.distance(LIVE, since) > _LIVE_ALL:
            since = [max(first, self._newest_of(MINUTE_MS, p, first)) for p in range(partitions)]
        if self._reader.distance(LIVE, since) > _LIVE_MOST:
            since = [max(start, now_ms - _LIVE_MS) for start in since]
        for _, values in self._reader.before(LIVE, since):
            self._store.take(values)

    def _read(self, size_ms: int, since: list[float]) -> None:
        covered = self._covered[size_ms]
        wanted = [int(start) if start < covered[p] else None for p, start in enumerate(since)]
        if any(start is not None for start in wanted):
            for partition, values in self._reader.before(TOPIC[size_ms], wanted):
                self._store.take(values, self._newest.setdefault((size_ms, partition), {}))
        self._covered[size_ms] = [min(c, start) for c, start in zip(covered, since, strict=True)]

    def _newest_of(self, size_ms: int, partition: int, otherwise_ms: int) -> int:
        """The newest window that every kind with such windows has in the partition."""
        return min(self._newest.get((size_ms, partition), {}).values(), default=otherwise_ms)

    def forget(self, queries: Sequence[Query], now_ms: int) -> None:
        """Let the store forget what none of these queries needs, nor a later one like them."""
        oldest_ms = min(query.from_ms for query in queries) - _SLACK_MS
        recent_ms = window_start(now_ms, HOUR_MS) - HOUR_MS
        minutes = [query.from_ms - _SLACK_MS for query in queries if base_size(query.step_ms) == MINUTE_MS]
        if len(minutes) < len(queries):  # hours stand for the minutes that they hold, but where minutes are shown
            recent_ms = min([recent_ms, *minutes])
            self._store.drop_covered(recent_ms)
            self._leave(MINUTE_MS, max(oldest_ms, recent_ms))
        else:
            self._leave(MINUTE_MS, oldest_ms)
        self._store.drop_before(oldest_ms, oldest_ms, oldest_ms)
        self._leave(HOUR_MS, oldest_ms)
        self._leave(DAY_MS, oldest_ms)
        self._store.trim(starts_of(queries))

    def _leave(self, size_ms: int, bound_ms: int) -> None:
        self._covered[size_ms] = [max(c, bound_ms) for c in self._covered[size_ms]]
        self._complete[size_ms] = max(self._complete[size_ms], bound_ms)


class PastFill:
    """The same for a range that ends in the past: only a stretch around it is read."""

    def __init__(self, reader: Reader, store: Store) -> None:
        self._reader = reader
        self._store = store
        self._base = 0
        self._from_ms = self._to_ms = 0

    def can_answer(self, query: Query) -> bool:
        """The query lies in the stretch."""
        is_inside = self._from_ms <= query.from_ms and query.range.to_ms <= self._to_ms
        return self._base == base_size(query.step_ms) and is_inside

    def read(self, query: Query) -> Store:
        """Read the query's stretch, and some more to play on; returns the store that holds it, maybe a new one."""
        base = base_size(query.step_ms)
        to_ms = query.range.to_ms + max(HOUR_MS, (query.range.to_ms - query.from_ms) // 2)
        goes_on = base == self._base and self._from_ms <= query.from_ms <= self._to_ms
        if not goes_on:
            self._store = Store(self._store.kinds)
        since_ms = self._to_ms if goes_on else query.from_ms
        for size, topic in TOPIC.items():
            if size <= base:
                first = since_ms if size == base else max(since_ms, window_start(query.range.to_ms, base))
                for _, values in self._reader.before(
                    topic, [first] * self._reader.partitions(topic), to_ms + max(size, _LATE_MS)
                ):
                    self._store.take(values)
        self._base, self._to_ms = base, to_ms
        self._from_ms = self._from_ms if goes_on else query.from_ms
        if goes_on:
            self._from_ms = query.from_ms
            self._store.drop_before(query.from_ms, query.from_ms, query.from_ms)
            self._store.trim(starts_of([query]))
        return self._store
