"""The owner of a source partition: records → rows (one series, one minute) → cumulative partials.

Everything it decides is a function of the partition's records alone, in their order: the watermark is
the latest event time so far, a record is late by that watermark, too far ahead by its Kafka timestamp. So a
replay decides the same.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from faust.types import TP

from stream_monitor import wire
from stream_monitor.core.admission import Admission, Labels
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.record import OTHER, Kind, Rejected
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
        self.rows: dict[tuple[Labels, int], Row] = {}
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
        """The hot path: decode, place, fold."""
        kind, rows, partition = self.kind, self.rows, self.tp.partition
        decode, tolerance_ms, keep_ms = kind.decode, self._tolerance_ms, MINUTE_MS + self._lateness_ms
        watermark_ms, folded, frontier_ms = self.watermark_ms, 0, self._committed_frontier_ms - MINUTE_MS
        for record in records:
            line = decode(record.value, record.timestamp)
            if isinstance(line, Rejected):
                self._reject(line, record)
                continue
            timestamp_ms = line.timestamp_ms
            if timestamp_ms > watermark_ms:
                if timestamp_ms > record.timestamp + tolerance_ms and record.timestamp >= 0:
                    self._reject(_too_far_ahead(timestamp_ms, record.timestamp), record)
                    continue
                watermark_ms = timestamp_ms
            start_ms = timestamp_ms - timestamp_ms % MINUTE_MS
            if start_ms + keep_ms < watermark_ms or start_ms <= frontier_ms:
                self._reject(_late(start_ms, watermark_ms), record)
                continue
            key = (line.labels, start_ms)
            row = rows.get(key) or self._row(key, watermark_ms)
            if not row.unsent:
                self._mark(row)
            if record.offset > row.offset:
                row.aggregate.fold(kind, line, partition, record.offset)
                row.offset = record.offset
            folded += 1
        failpoint.reach("fold")
        self.watermark_ms = watermark_ms
        self.position = records[-1].offset + 1
        self.count("read", len(records))
        self.count("folded", folded)

    def _mark(self, row: Row) -> None:
        row.unsent = True
        self._unsent.append(row)
        if not row.unsaved:
            row.unsaved = True
            self._unsaved.append(row)

    def _row(self, key: tuple[Labels, int], watermark_ms: int) -> Row:
        """A row that is not in memory under this key; that of OTHER where the series is one too many."""
        if self._admission.admit(*key, watermark_ms):
            return self._load_row(key)
        if not self.counters.get("over_cap"):
            log.warning(
                "%s: more than %d series; the others are counted as %s", self.tp, self._admission.most, OTHER
            )
        self.count("over_cap")
        other = ((OTHER,) * len(key[0]), key[1])
        return self.rows.get(other) or self._load_row(other)

    def _load_row(self, key: tuple[Labels, int]) -> Row:
        labels, start_ms = key
        series = wire.series_key(self.kind.name, labels)
        row = Row(series, start_ms, Aggregate.empty(self.kind))
        stored = self.state.get(row_key(_ROW, start_ms, series))
        if stored is not None:
            plain = wire.row_in(stored)
            row.offset = plain["offset"]
            row.packed = plain["aggregate"]
            row.aggregate = wire.aggregate_in(self.kind, row.packed)
        self.rows[key] = row
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
        """Closed rows leave memory; a late record reads its row back from the table."""
        closed = [
            key
            for key, row in self.rows.items()
            if not row.unsent and is_closed(row.start_ms, self.watermark_ms, self._grace_ms)
        ]
        for key in closed:
            del self.rows[key]

    def on_committed(self, meta: dict[str, Any]) -> None:
        self._committed_frontier_ms = meta["frontier_ms"]


def _too_far_ahead(timestamp_ms: int, kafka_ms: int) -> Rejected:
    return Rejected(
        "too_far_ahead", f"timestamp: {wire.iso(timestamp_ms)}, {(timestamp_ms - kafka_ms) // 1000} s ahead"
    )


def _late(start_ms: int, watermark_ms: int) -> Rejected:
    return Rejected(
        "late",
        f"its window {wire.iso_second(start_ms)} has retired; the watermark is {wire.iso(watermark_ms)}",
    )
