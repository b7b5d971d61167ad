"""Hours from minutes, days from hours, for one partials partition.

A rollup row is written when it closes or is corrected. What it publishes is its base (the parts that have
retired into it, see merge_row) and its live parts, so a correction within `lateness` reaches every size.
"""

from __future__ import annotations

from collections.abc import Callable

from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.metric import Metric
from stream_monitor.core.record import Kind
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, is_closed, window_start
from stream_monitor.worker.merge_row import DAY, HOUR, MINUTE, MinuteRow, RollupRow, tag
from stream_monitor.worker.state import PartitionState, key_parts, row_key
from stream_monitor.worker.store import stamped

_TAGS = {HOUR_MS: HOUR, DAY_MS: DAY}
_PARTS_MS = {HOUR_MS: MINUTE_MS, DAY_MS: HOUR_MS}

Place = tuple[int, bytes]
"""(window start in ms, series key)."""


class Rollups:
    """The hours and days of one kind in one partials partition."""

    def __init__(
        self,
        kind: Kind,
        state: PartitionState,
        minute: Callable[[bytes, int], MinuteRow | None],
        labels: Callable[[bytes], tuple[str, ...]],
        grace_ms: int,
    ) -> None:
        self._kind = kind
        self._state = state
        self._minute = minute
        self._labels = labels
        self._grace_ms = grace_ms
        self._rows: dict[int, dict[Place, RollupRow]] = {HOUR_MS: {}, DAY_MS: {}}
        self._open: dict[int, dict[int, set[bytes]]] = {HOUR_MS: {}, DAY_MS: {}}
        self._corrected: dict[int, set[Place]] = {HOUR_MS: set(), DAY_MS: set()}
        self._live: dict[int, set[int]] = {MINUTE_MS: set(), HOUR_MS: set()}
        """Starts of parts that may have rows and have not retired: a day has 1,440 minutes, few of them live."""

    def load(self, closed_ms: int) -> None:
        """Find the windows that are not closed yet; `closed_ms` is the watermark applied so far."""
        for what in (MINUTE, HOUR, DAY):
            prefix = tag(what, self._kind.name)
            for key, _ in self._state.scan(prefix):
                start_ms, series = key_parts(prefix, key)
                self.note(series, start_ms, closed_ms)
        for places in self._corrected.values():
            places.clear()

    def note(self, series: bytes, start_ms: int, closed_ms: int) -> None:
        """There is data of this time: its hour and its day will close, or need a correction."""
        self._live[MINUTE_MS].add(start_ms)
        self._live[HOUR_MS].add(window_start(start_ms, HOUR_MS))
        for size_ms in (HOUR_MS, DAY_MS):
            start = window_start(start_ms, size_ms)
            if is_closed(start, closed_ms, self._grace_ms, size_ms):
                self._corrected[size_ms].add((start, series))
            else:
                self._open[size_ms].setdefault(start, set()).add(series)

    def close(self, closing_ms: int) -> list[Metric]:
        """The hours and days that this watermark closes."""
        results = []
        for size_ms, windows in self._open.items():
            over = [s for s in windows if is_closed(s, closing_ms, self._grace_ms, size_ms)]
            for start in sorted(over):
                results += [self._metric(size_ms, start, series) for series in sorted(windows.pop(start))]
        return results

    def corrections(self) -> list[Metric]:
        """The closed hours and days that changed since the last call."""
        results = []
        for size_ms, places in self._corrected.items():
            results += [self._metric(size_ms, start, series) for start, series in sorted(places)]
            places.clear()
        return results

    def _metric(self, size_ms: int, start_ms: int, series: bytes) -> Metric:
        return Metric(
            self._kind, self._labels(series), start_ms, size_ms, True, self._whole(size_ms, start_ms, series)
        )

    def _whole(self, size_ms: int, start_ms: int, series: bytes) -> Aggregate:
        row = self._row(size_ms, start_ms, series)
        whole = Aggregate.empty(self._kind)
        whole.merge(row.base)
        part_ms = _PARTS_MS[size_ms]
        for part in range(size_ms // part_ms):
            part_start_ms = start_ms + part * part_ms
            if part_start_ms in self._live[part_ms] and not row.has(part):
                live = self._part(part_ms, part_start_ms, series)
                if live is not None:
                    whole.merge(live)
        return whole

    def _part(self, size_ms: int, start_ms: int, series: bytes) -> Aggregate | None:
        if size_ms == MINUTE_MS:
            row = self._minute(series, start_ms)
            return None if row is None or not row.parts else row.settled()
        return self._whole(size_ms, start_ms, series)

    def _row(self, size_ms: int, start_ms: int, series: bytes) -> RollupRow:
        rows = self._rows[size_ms]
        place = (start_ms, series)
        if place not in rows:
            rows[place] = RollupRow(self._kind, self._state.get(self._key(size_ms, start_ms, series)))
        return rows[place]

    def _key(self, size_ms: int, start_ms: int, series: bytes) -> bytes:
        return row_key(tag(_TAGS[size_ms], self._kind.name), start_ms, series)

    def retire_minute(self, row: MinuteRow) -> None:
        """Take a retired minute into its hour."""
        hour_ms = window_start(row.start_ms, HOUR_MS)
        hour = self._row(HOUR_MS, hour_ms, row.series)
        minute = (row.start_ms - hour_ms) // MINUTE_MS
        if not hour.has(minute):
            hour.take(minute, row.settled())

    def dirty_rows(self, retired_ms: int, again_ms: int) -> tuple[dict[bytes, bytes | None], list[Metric]]:
        """Retire hours into days and days for good. What changed, as rows to write; and what retired and began
        before `again_ms`, as results.
        """
        rows: dict[bytes, bytes | None] = {}
        results: list[Metric] = []
        for size_ms in (HOUR_MS, DAY_MS):
            for start_ms, series in self._over(size_ms, retired_ms):
                if start_ms < again_ms and self._row(size_ms, start_ms, series).taken:
                    results.append(self._metric(size_ms, start_ms, series))
                if size_ms == HOUR_MS:
                    day_ms = window_start(start_ms, DAY_MS)
                    hour = self._row(HOUR_MS, start_ms, series)
                    self._row(DAY_MS, day_ms, series).take((start_ms - day_ms) // HOUR_MS, hour.base)
                rows[self._key(size_ms, start_ms, series)] = None
                self._rows[size_ms].pop((start_ms, series), None)
        for size_ms, starts in self._live.items():
            starts -= {start_ms for start_ms in starts if start_ms + size_ms <= retired_ms}
        for size_ms, cache in self._rows.items():
            for (start_ms, series), row in cache.items():
                if row.unsaved:
                    row.unsaved = False
                    rows[self._key(size_ms, start_ms, series)] = stamped(row.taken, row.out())
            cache.clear()
        return dict(sorted(rows.items(), key=lambda item: item[1] is None)), results

    def _over(self, size_ms: int, retired_ms: int) -> list[Place]:
        prefix = tag(_TAGS[size_ms], self._kind.name)
        over = {place for place in self._rows[size_ms] if place[0] + size_ms <= retired_ms}
        for key, _ in self._state.scan(prefix):
            start_ms, series = key_parts(prefix, key)
            if start_ms + size_ms > retired_ms:
                break
            over.add((start_ms, series))
        return sorted(over)
