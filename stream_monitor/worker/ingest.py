"""The owner of a source partition: records → rows (one series, one minute) → cumulative partials.

Everything it decides is a function of the partition's records alone, in their order: the watermark is
the latest event time so far, a record is late by that watermark, too far ahead by its Kafka timestamp. So a
replay decides the same.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from operator import attrgetter
from typing import Any

import numpy as np
from faust.types import TP

from stream_monitor import wire
from stream_monitor.core.admission import Admission
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.fold import Groups, fold
from stream_monitor.core.lines import Ints, Lines
from stream_monitor.core.record import OTHER, Kind, Rejected, bounded_label
from stream_monitor.core.window import MINUTE_MS, is_closed
from stream_monitor.settings import Settings
from stream_monitor.worker import failpoint
from stream_monitor.worker.outbox import Outbox
from stream_monitor.worker.state import PartitionState, key_parts, row_key
from stream_monitor.worker.store import stamped
from stream_monitor.worker.task import PartitionTask
from stream_monitor.worker.transport import BatchConsumer

log = logging.getLogger(__name__)

_ROW = b"r"
_NO_WATERMARK = 0

_OFFSET, _TIMESTAMP = attrgetter("offset"), attrgetter("timestamp")

Labels = tuple[str, ...]


class Row:
    """One minute of one series in one source partition."""

    __slots__ = ("aggregate", "offset", "packed", "series", "start_ms", "unsaved", "unsent")

    def __init__(self, series: bytes, start_ms: int, aggregate: Aggregate) -> None:
        self.series = series
        self.start_ms = start_ms
        self.aggregate = aggregate
        self.offset = -1
        """The last source offset folded in."""
        self.packed = b""
        """The aggregate's bytes, as of the last flush; current unless `unsent`."""
        self.unsent = False
        self.unsaved = False


class IngestTask(PartitionTask):
    """Folds one source partition. `partitions` is how many its topic has."""

    def __init__(
        self,
        kind: Kind,
        partitions: int,
        tp: TP,
        state: PartitionState,
        outbox: Outbox,
        consumer: BatchConsumer,
        settings: Settings,
        partials_partitions: int,
    ) -> None:
        self.kind = kind
        self.partitions = partitions
        self.watermark_ms = _NO_WATERMARK
        self.rows: dict[int, dict[Labels, Row]] = {}
        """By start, by labels."""
        self._unsent: list[Row] = []
        self._unsaved: list[Row] = []
        self._committed_frontier_ms = 0
        self._last_tick: wire.Tick | None = None
        self._partials = settings.topic("partials")
        self._partials_partitions = partials_partitions
        self._dlq = settings.topic("dlq")
        self._grace_ms = round(settings.grace * 1000)
        self._lateness_ms = round(settings.lateness * 1000)
        self._idle_after_ms = round(settings.idle_after * 1000)
        self._tolerance_ms = round(settings.future_tolerance * 1000)
        self._admission = Admission(settings.max_series, MINUTE_MS + self._lateness_ms)
        super().__init__(tp, state, outbox, consumer, settings)

    @property
    def frontier_ms(self) -> int:
        """Windows that end at or before it have retired. A longer `lateness` than before brings none back."""
        return max(self._committed_frontier_ms, self.watermark_ms - self._lateness_ms - 1)

    def restore(self, meta: dict[str, Any]) -> None:
        self.watermark_ms = meta["watermark_ms"]
        self._committed_frontier_ms = meta["frontier_ms"]
        self._admission.known = {tuple(labels): start_ms for labels, start_ms in meta["series"]}
        self._admission.looked_ms = meta["looked_ms"]

    def meta(self) -> dict[str, Any]:
        return {
            "watermark_ms": self.watermark_ms,
            "frontier_ms": self.frontier_ms,
            "series": [*self._admission.known.items()],
            "looked_ms": self._admission.looked_ms,
        }

    def process(self, records: Sequence[Any]) -> None:
        """The hot path: decode, place, fold; a column at a time."""
        kafka_ms = np.fromiter(map(_TIMESTAMP, records), np.int64, len(records))
        lines, at, rejected = self.kind.decode([record.value for record in records], kafka_ms)
        for index, why in rejected:
            self._reject(why, records[index])
        if len(lines):
            self._take(*self._placed(lines, at, records, kafka_ms[at]), records)
        failpoint.reach("fold")
        self.position = records[-1].offset + 1
        self.count("read", len(records))

    def _placed(
        self, lines: Lines, at: Ints, records: Sequence[Any], kafka_ms: Ints
    ) -> tuple[Lines, Ints, Ints, Ints]:
        """The lines that have a place, which of the records they are, the starts of their minutes, and the
        watermarks when they have been read; the others are rejected.
        """
        starts, marks, whys = self._place(lines.timestamp_ms, kafka_ms)
        self.watermark_ms = int(marks[-1])
        if whys:
            for index, why in whys.items():
                self._reject(why, records[at[index]])
            keep = np.delete(np.arange(len(lines)), list(whys))
            lines, at, starts, marks = lines.take(keep), at[keep], starts[keep], marks[keep]
        return lines, at, starts, marks

    def _take(self, lines: Lines, at: Ints, starts: Ints, marks: Ints, records: Sequence[Any]) -> None:
        """Fold lines into the rows where they belong."""
        if not len(lines):
            return
        self.count("folded", len(lines))
        rows, slots = self._rows_of(lines, starts, marks)
        for row in rows:
            if not row.unsent:
                self._mark(row)
        offsets = _offsets(records)[at]
        held = np.fromiter(map(_OFFSET, rows), np.int64, len(rows))
        if held.max() >= offsets[0]:  # a replay: some rows hold some of it already
            new = np.flatnonzero(offsets > held[slots])
            lines, slots, offsets = lines.take(new), slots[new], offsets[new]
        fold(self.kind, [row.aggregate for row in rows], slots, lines, self.tp.partition, offsets)
        held[slots] = offsets  # they ascend: the last one stays
        for row, offset in zip(rows, held.tolist(), strict=True):
            row.offset = offset

    def _place(self, times: Ints, kafka_ms: Ints) -> tuple[Ints, Ints, dict[int, Rejected]]:
        """(start of its minute, watermark when it has been read) by line, and the lines that have no place.

        What is too far ahead moves no watermark. So the watermark before a line is that of the others, whether the
        line is rejected for it or not.
        """
        ahead = (times > kafka_ms + self._tolerance_ms) & (kafka_ms >= 0)
        marks = np.maximum(np.maximum.accumulate(np.where(ahead, 0, times)), self.watermark_ms)
        starts = times - times % MINUTE_MS
        too_far = ahead & (times > marks)
        late = (starts + MINUTE_MS + self._lateness_ms < marks) | (
            starts <= self._committed_frontier_ms - MINUTE_MS
        )
        whys: dict[int, Rejected] = {}
        for row in np.flatnonzero(too_far | late).tolist():
            at_ms = int(times[row])
            if too_far[row]:
                whys[row] = _too_far_ahead(at_ms, int(kafka_ms[row]))
            else:
                whys[row] = _late(int(starts[row]), int(marks[row]))
        return starts, marks, whys

    def _rows_of(self, lines: Lines, starts: Ints, marks: Ints) -> tuple[list[Row], Ints]:
        """The rows that the lines belong to, each once, and by line which of them."""
        keys, places = _keys(lines, starts)
        rows = [self._known(labels, start_ms) for labels, start_ms in keys]
        new = [place for place, row in enumerate(rows) if row is None]
        if not self._admission.has_room(len(new)):  # in the lines' order: each may be the last with room
            by_line = [rows[place] for place in places.tolist()]
            for index in np.flatnonzero(np.isin(places, new)).tolist():
                by_line[index] = self._row(*keys[places[index]], watermark_ms=int(marks[index]))
            return _each_once(by_line, np.arange(len(lines)))
        for place in new:
            rows[place] = self._row(*keys[place], watermark_ms=_NO_WATERMARK)
        return _each_once(rows, places)

    def _known(self, labels: Labels, start_ms: int) -> Row | None:
        minute = self.rows.get(start_ms)
        return None if minute is None else minute.get(labels)

    def _mark(self, row: Row) -> None:
        row.unsent = True
        self._unsent.append(row)
        if not row.unsaved:
            row.unsaved = True
            self._unsaved.append(row)

    def _row(self, labels: Labels, start_ms: int, *, watermark_ms: int) -> Row:
        """The row of a series; that of OTHER where the series is one too many."""
        row = self._known(labels, start_ms)
        if row is not None:
            return row
        if self._admission.admit(labels, start_ms, watermark_ms):
            return self._load_row(labels, start_ms)
        if not self.counters.get("over_cap"):
            log.warning(
                "%s: more than %d series; the others are counted as %s", self.tp, self._admission.most, OTHER
            )
        self.count("over_cap")
        other = tuple(OTHER for _ in labels)
        return self._known(other, start_ms) or self._load_row(other, start_ms)

    def _load_row(self, labels: Labels, start_ms: int) -> Row:
        series = wire.series_key(self.kind.name, labels)
        row = Row(series, start_ms, Aggregate.empty(self.kind))
        stored = self.state.get(row_key(_ROW, start_ms, series))
        if stored is not None:
            plain = wire.row_in(stored)
            row.offset = plain["offset"]
            row.packed = plain["aggregate"]
            row.aggregate = wire.aggregate_in(self.kind, row.packed)
        self.rows.setdefault(start_ms, {})[labels] = row
        return row

    def _reject(self, rejected: Rejected, record: Any) -> None:
        self.count(rejected.reason)
        source = (self.tp.topic, self.tp.partition, record.offset, record.timestamp)
        key, value = wire.dlq_record(rejected, self.kind.name, source, record.value)
        self.outbox.send(self._dlq, 0, key, value, self.receipt)

    def flush(self, now_ms: int, idle_at_ms: int | None) -> None:
        """Send the partials of the rows that changed, then a tick to every partials partition."""
        name, source = self.kind.name, self.tp.partition
        for row in self._unsent:
            row.unsent = False
            row.packed = wire.aggregate_out(row.aggregate)
            partial = wire.Partial(
                name, row.series, row.start_ms, source, row.offset, row.aggregate.records, row.packed
            )
            partition = wire.partition_for(row.series, self._partials_partitions)
            self.outbox.send(self._partials, partition, row.series, wire.partial_out(partial), self.receipt)
        if self._unsent:
            failpoint.reach("partials_sent")
        self._unsent = []
        self._send_tick(now_ms, idle_at_ms)

    def _send_tick(self, now_ms: int, idle_at_ms: int | None) -> None:
        """To every partials partition, when there is news; of an idle one, now and then, that it still is."""
        last = self._last_tick
        tick = wire.Tick(
            self.kind.name,
            self.tp.partition,
            self.partitions,
            max(self.position or 0, self.fetch_position),
            self.watermark_ms,
            self._committed_frontier_ms,
            idle_at_ms is not None,
            now_ms if idle_at_ms is None else idle_at_ms,
        )
        still = last is not None and tick._replace(at_ms=last.at_ms) == last
        if last is not None and still and not (tick.idle and tick.at_ms >= last.at_ms + self._idle_after_ms):
            return
        self._last_tick = tick
        value = wire.tick_out(tick)
        for partition in range(self._partials_partitions):
            self.outbox.send(self._partials, partition, None, value, self.receipt)

    def unsaved_rows(self) -> int:
        return len(self._unsaved)

    def dirty_rows(self) -> dict[bytes, bytes | None]:
        """The rows that changed, and tombstones for those that retired before the last commit."""
        rows: dict[bytes, bytes | None] = {}
        for row in self._unsaved:  # flushed just before
            row.unsaved = False
            stored = wire.row_out({"offset": row.offset, "aggregate": row.packed})
            rows[row_key(_ROW, row.start_ms, row.series)] = stamped(row.offset, stored)
        self._unsaved = []
        for key, _ in self.state.scan(_ROW):
            if key_parts(_ROW, key)[0] + MINUTE_MS > self._committed_frontier_ms:
                break
            rows[key] = None
        self._evict()
        return rows

    def _evict(self) -> None:
        """Closed rows leave memory, flushed as they are; a late record reads its row back from the table."""
        for start_ms in list(self.rows):
            if is_closed(start_ms, self.watermark_ms, self._grace_ms):
                del self.rows[start_ms]

    def on_committed(self, meta: dict[str, Any]) -> None:
        self._committed_frontier_ms = meta["frontier_ms"]


def _offsets(records: Sequence[Any]) -> Ints:
    """They ascend, and mostly without a gap."""
    first, after = records[0].offset, records[-1].offset + 1
    if after - first == len(records):
        return np.arange(first, after)
    return np.fromiter(map(_OFFSET, records), np.int64, len(records))


def _keys(lines: Lines, starts: Ints) -> tuple[list[tuple[Labels, int]], Ints]:
    """The (labels, start of a minute) that there are, and by line which of them it has."""
    codes: defaultdict[Labels, int] = defaultdict(count().__next__)
    series = np.fromiter(map(codes.__getitem__, zip(*lines.labels, strict=True)), np.int64, len(lines))
    minutes = (starts - starts.min()) // MINUTE_MS
    groups = Groups(series * (int(minutes.max()) + 1) + minutes)
    firsts = groups.order[groups.starts]
    names = [tuple(map(bounded_label, labels)) for labels in codes]
    keys = zip(map(names.__getitem__, series[firsts].tolist()), starts[firsts].tolist(), strict=True)
    return list(keys), groups.places()


def _each_once(rows: Sequence[Row | None], places: Ints) -> tuple[list[Row], Ints]:
    """The rows without repetition, and which of them stands at each place's place."""
    slots: dict[Any, int] = {row: slot for slot, row in enumerate(dict.fromkeys(rows))}  # none is None
    return list(slots), np.array([slots[row] for row in rows])[places]


def _too_far_ahead(timestamp_ms: int, kafka_ms: int) -> Rejected:
    return Rejected(
        "too_far_ahead", f"timestamp: {wire.iso(timestamp_ms)}, {(timestamp_ms - kafka_ms) // 1000} s ahead"
    )


def _late(start_ms: int, watermark_ms: int) -> Rejected:
    return Rejected(
        "late",
        f"its window {wire.iso_second(start_ms)} has retired; the watermark is {wire.iso(watermark_ms)}",
    )
