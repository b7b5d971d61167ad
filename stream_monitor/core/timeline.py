"""A series' results in time, step by step, put together again only where something changed.

    rows     days, hours and minutes, as they win (highest revision, final)
    parts    |--|--|--|--|--|--|--|--|--|==|==|      one for each step of a range; None without data
             `--------- closed ---------' tail       what closed keeps its parts and their merge

A step takes the longest windows that lie in it, and shorter ones where a longer is missing; so nothing is counted
twice. What a part costs to decode is paid when somebody asks for its aggregate, and not before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from stream_monitor.core.aggregate import Aggregate, merged, reported
from stream_monitor.core.metric import SeriesId
from stream_monitor.core.part import Merged, Part, Row, sums_of
from stream_monitor.core.record import Kind
from stream_monitor.core.snapshot import Range
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, SIZES_MS, window_start

STEPS_MS = (MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, DAY_MS)
"""Each begins where a day (UTC) is divided by it without a rest."""

TAIL = 2
"""Steps at a range's end that are expected to change."""

SHORTER_MS = dict(pairwise(reversed(STEPS_MS)))
"""Of each step the one that it is put together of."""

_NOTHING = (math.inf, -math.inf)
"""The span of no windows."""

_NEXT_MS = {DAY_MS: HOUR_MS, HOUR_MS: MINUTE_MS}

_FROM = {size: SIZES_MS[index:] for index, size in enumerate(SIZES_MS)}
"""Each size and the longer ones."""


class _Closed:
    """The parts of the steps before `cut_ms`, and sums that no longer change."""

    __slots__ = ("_base", "cut_ms", "first_ms", "parts", "sums")

    def __init__(self, first_ms: int, cut_ms: int, parts: list[Part | None]) -> None:
        self.first_ms = first_ms
        self.cut_ms = cut_ms
        self.parts = parts
        self.sums = sums_of(parts)
        self._base: Aggregate | None = None

    def base(self, kind: Kind) -> Aggregate:
        """All its parts as one."""
        if self._base is None:
            self._base = merged(kind, (part.aggregate for part in self.parts if part is not None))
        return self._base


class LineView:
    """A line over a range, as it was when it was asked for. Safe to read in any thread."""

    __slots__ = ("_closed", "_whole", "kind", "labels", "sums", "tail")

    def __init__(self, kind: Kind, labels: tuple[str, ...], closed: _Closed, tail: list[Part | None]) -> None:
        self.kind = kind
        self.labels = labels
        self.tail = tail
        self.sums = closed.sums + sums_of(tail)
        self._closed = closed
        self._whole: Aggregate | None = None

    @property
    def parts(self) -> list[Part | None]:
        """One for each step of the range, oldest first."""
        return self._closed.parts + self.tail

    @property
    def volume(self) -> float | None:
        """Over the range; None where nobody has reported any."""
        return reported(self.kind, self.sums.volume, lambda: self.whole)

    @property
    def entity(self) -> str:
        """Its name for people."""
        return self.kind.entity(self.labels)

    @property
    def series(self) -> SeriesId:
        """Its series' identity."""
        return (self.kind.name, self.labels)

    @property
    def last_ms(self) -> int | None:
        """Start of its latest minute with data; None without any."""
        for parts in (self.tail, self._closed.parts):
            for part in reversed(parts):
                if part is not None:
                    return part.last_ms
        return None

    @property
    def whole(self) -> Aggregate:
        """The range as one aggregate."""
        if self._whole is None:
            whole = merged(self.kind, (self._closed.base(self.kind),))
            for part in self.tail:
                if part is not None:
                    whole.merge(part.aggregate)
            self._whole = whole
        return self._whole


class _Kept:
    """What a line keeps of one length of steps, so that questions in other steps do not cost it."""

    __slots__ = ("closed", "parts")

    def __init__(self) -> None:
        self.parts: dict[int, Part | None] = {}
        self.closed: dict[int, _Closed] = {}
        """By where the first step begins; the oldest leaves when there are more than RANGES."""


RANGES = 2
"""Ranges in the same steps that are kept: several people look at one feed."""


class Line:
    """What has parts in time. `over` gives a view of a range; `touch` says that something changed."""

    __slots__ = ("_kept", "kind", "labels")

    def __init__(self, kind: Kind, labels: tuple[str, ...]) -> None:
        self.kind = kind
        self.labels = labels
        self._kept: dict[int, _Kept] = {}
        """By the length of a step."""

    def over(self, within: Range, step_ms: int, *, live: bool) -> LineView | None:
        """The range in steps; None where it holds nothing. `live`: nothing is known of what comes after it."""
        first = within.from_ms - within.from_ms % step_ms
        cut = max(first, within.to_ms - within.to_ms % step_ms - (TAIL - 1) * step_ms)
        limit_ms = None if live else within.to_ms
        kept = self._kept_of(step_ms).closed
        closed = kept.get(first)
        if closed is None or closed.cut_ms != cut:
            parts = [self.part(start, step_ms, limit_ms) for start in range(first, cut, step_ms)]
            closed = kept[first] = _Closed(first, cut, parts)
            if len(kept) > RANGES:
                del kept[next(iter(kept))]
        tail = [self.part(start, step_ms, limit_ms) for start in range(cut, within.to_ms, step_ms)]
        view = LineView(self.kind, self.labels, closed, tail)
        return view if view.sums.records or view.last_ms is not None else None

    def part(self, start_ms: int, step_ms: int, limit_ms: int | None) -> Part | None:
        """The step's part. `limit_ms`: windows that begin there or later, or reach beyond, are left out."""
        if self._lies_outside(start_ms, start_ms + step_ms):
            return None
        if limit_ms is not None and start_ms + step_ms > limit_ms:
            return self._made(start_ms, step_ms, limit_ms)
        parts = self._kept_of(step_ms).parts
        try:
            return parts[start_ms]
        except KeyError:
            part = parts[start_ms] = self._made(start_ms, step_ms, start_ms + step_ms)
            return part

    def touch(self, start_ms: int) -> None:
        """A window that begins there has changed."""
        for step_ms, kept in self._kept.items():
            kept.parts.pop(start_ms - start_ms % step_ms, None)
            if any(start_ms < closed.cut_ms for closed in kept.closed.values()):
                kept.closed = {f: closed for f, closed in kept.closed.items() if closed.cut_ms <= start_ms}

    def forget(self) -> None:
        """Windows have been taken away."""
        self._kept.clear()

    def trim(self, from_ms: Mapping[int, int]) -> None:
        """Keep the steps of these lengths, from these times on; they are what is still asked for."""
        for step_ms, kept in list(self._kept.items()):
            first = from_ms.get(step_ms)
            if first is None:
                del self._kept[step_ms]
                continue
            kept.closed = {start: closed for start, closed in kept.closed.items() if start >= first}
            for start in [start for start in kept.parts if start < first]:
                del kept.parts[start]

    def _kept_of(self, step_ms: int) -> _Kept:
        kept = self._kept.get(step_ms)
        if kept is None:
            kept = self._kept[step_ms] = _Kept()
        return kept

    def _made(self, start_ms: int, step_ms: int, end_ms: int) -> Part | None:
        parts = list(self._within(start_ms, step_ms, end_ms))
        if len(parts) > 1:
            return Merged(self.kind, parts)
        return parts[0] if parts else None

    def _lies_outside(self, start_ms: int, end_ms: int) -> bool:
        """No window lies there: seen at once, of most steps of a range that is longer than there are data."""
        raise NotImplementedError

    def _within(self, start_ms: int, step_ms: int, end_ms: int) -> Iterator[Part]:
        """The parts of [start_ms, end_ms), of a step that has step_ms when it is whole."""
        raise NotImplementedError


class Timeline(Line):
    """One series: its winning rows."""

    __slots__ = ("_spans", "rows")

    def __init__(self, kind: Kind, labels: tuple[str, ...]) -> None:
        super().__init__(kind, labels)
        self.rows: dict[int, dict[int, Row]] = {size: {} for size in SIZES_MS}
        self._spans: dict[int, tuple[float, float]] = dict.fromkeys(SIZES_MS, _NOTHING)
        """By size: between which starts its windows and the shorter ones lie. Outside nothing is looked for."""

    def take(self, row: Row) -> bool:
        """Keep the row if it wins its window; says whether it did."""
        windows = self.rows[row.size_ms]
        seen = windows.get(row.start_ms)
        if seen is not None and (row.records, row.final) <= (seen.records, seen.final):
            return False
        windows[row.start_ms] = row
        if seen is None:
            self._widen(row.size_ms, row.start_ms)
        self.touch(row.start_ms)
        return True

    def _widen(self, size_ms: int, start_ms: int) -> None:
        for size in _FROM[size_ms]:
            first, last = self._spans[size]
            if first <= start_ms <= last:
                break  # and in those of longer windows, too
            first = start_ms if start_ms < first else first  # noqa: FURB136  (half of what min takes, for each row)
            last = start_ms if start_ms > last else last  # noqa: FURB136
            self._spans[size] = (first, last)

    def drop_before(self, size_ms: int, from_ms: int) -> int:
        """Forget the windows of a size that begin earlier; returns how many those were."""
        return self._drop(size_ms, [start for start in self.rows[size_ms] if start < from_ms])

    def drop_covered(self, before_ms: int) -> int:
        """Forget the minutes before this time whose hour has its own row; returns how many those were."""
        hours, minutes = self.rows[HOUR_MS], self.rows[MINUTE_MS]
        return self._drop(MINUTE_MS, [m for m in minutes if m < before_ms and window_start(m, HOUR_MS) in hours])

    def _drop(self, size_ms: int, starts: Sequence[int]) -> int:
        windows = self.rows[size_ms]
        for start in starts:
            del windows[start]
        if starts:
            self._spans = dict.fromkeys(SIZES_MS, _NOTHING)
            for size, left in self.rows.items():
                for start in (min(left), max(left)) if left else ():
                    self._widen(size, start)
        return len(starts)

    @property
    def is_empty(self) -> bool:
        """No row is left."""
        return not any(self.rows.values())

    def _lies_outside(self, start_ms: int, end_ms: int) -> bool:
        first, last = self._spans[DAY_MS]
        return end_ms <= first or start_ms > last

    def _within(self, start_ms: int, step_ms: int, end_ms: int) -> Iterator[Part]:
        size = max(size for size in SIZES_MS if size <= step_ms)
        return self._rows(start_ms, end_ms, size)

    def _rows(self, start_ms: int, end_ms: int, size_ms: int) -> Iterator[Part]:
        """The rows of [start_ms, end_ms): windows of the size that lie in it, else the shorter ones."""
        windows = self.rows[size_ms]
        shorter_ms = _NEXT_MS.get(size_ms)
        first_ms, last_ms = _NOTHING if shorter_ms is None else self._spans[shorter_ms]
        for start in range(start_ms, end_ms, size_ms):
            row = windows.get(start)
            if row is not None and (shorter_ms is None or start + size_ms <= end_ms):
                yield row
            elif shorter_ms is not None and start + size_ms > first_ms and start <= last_ms:
                yield from self._rows(start, min(start + size_ms, end_ms), shorter_ms)


class Total(Line):
    """Several series of a kind as one line."""

    __slots__ = ("members", "newest_ms")

    def __init__(self, kind: Kind, members: Sequence[Timeline] = (), newest_ms: int = 0) -> None:
        """`newest_ms`: start of the newest window, 0 if unknown; what is about as new is expected to change."""
        super().__init__(kind, ())
        self.members: list[Timeline] = list(members)
        self.newest_ms = newest_ms

    def touch(self, start_ms: int) -> None:
        """A window of a member that begins there has changed."""
        super().touch(start_ms)
        self.newest_ms = max(self.newest_ms, start_ms)

    def _lies_outside(self, start_ms: int, end_ms: int) -> bool:  # noqa: ARG002  (its members know where they begin)
        return 0 < self.newest_ms < start_ms

    def _within(self, start_ms: int, step_ms: int, end_ms: int) -> Iterator[Part]:
        """Of its members' steps; or of its own shorter ones, while it changes and no member has a row that long:
        of an hour that is still open only the minutes that changed are put together again.
        """
        limit_ms = None if end_ms == start_ms + step_ms else end_ms
        shorter_ms = SHORTER_MS.get(step_ms)
        changes = limit_ms is None and start_ms + TAIL * step_ms > self.newest_ms
        if changes and shorter_ms is not None and not self._has_row(start_ms, step_ms):
            starts = range(start_ms, end_ms, shorter_ms)
            yield from (part for at in starts if (part := self.part(at, shorter_ms, None)) is not None)
            return
        for member in self.members:
            part = member.part(start_ms, step_ms, limit_ms)
            if part is not None:
                yield part

    def _has_row(self, start_ms: int, size_ms: int) -> bool:
        return size_ms in SIZES_MS and any(start_ms in member.rows[size_ms] for member in self.members)
