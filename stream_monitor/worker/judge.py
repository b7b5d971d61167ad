"""The owner of a partition of metrics.1m: closed minutes → alerts, by the rules' file.

    metrics.1m ──▶ core/judge.py ──▶ transitions to <prefix>.alerts, keyed by (rule, series, since)
                        │
                   a row a series in state.alerts: its history, what is usual, its alerts

The engine is pure; here stands what makes it survive. A row says up to which position it is current: what a
cut-off checkpoint left in the changelog skips the records that it holds, and brings along the transitions that
may not have reached Kafka. A replay of the records behind it sends the same transitions again, under the same
keys.

The clock of a kind comes from the records. Where none come any more the wall clock pushes it (upstream.py),
and since no replay would repeat that, a push goes through a checkpoint first, as if it was a record:

    push ──▶ meta row ──▶ committed ──▶ applied          after a crash: restored from the meta row, and applied
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from faust.types import TP

from stream_monitor import wire
from stream_monitor.core.alert import Transition
from stream_monitor.core.judge import Judge, Series
from stream_monitor.core.record import Rejected
from stream_monitor.core.rule import Rule
from stream_monitor.core.window import HOUR_MS, MINUTE_MS
from stream_monitor.exporters.prometheus import PipelineCollector
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.worker import failpoint
from stream_monitor.worker.outbox import Outbox
from stream_monitor.worker.state import PartitionState
from stream_monitor.worker.store import stamped
from stream_monitor.worker.task import PartitionTask
from stream_monitor.worker.transport import BatchConsumer

log = logging.getLogger(__name__)

ROW = b"a"
LIVE_MS = 2 * HOUR_MS
"""A kind whose minutes came this close to the wall clock is live: its silence means something. In a replay of old
logs the wall clock says nothing.
"""
AGAIN_MS = 10 * MINUTE_MS
"""A worker that was paused may send an old transition behind ours, and Kafka compacts to the last of a key: what a
former owner may have sent, too, is sent once more when it has surely gone on and found out.
"""
_ROWS_PER_UNIT = 8
"""These rows stay in memory whatever is saved: no need for early checkpoints, but for bounded ones."""
_TIMES_MAX_SERIES = 2
"""A partition remembers so many series for each that a source partition may have at a time: silent ones, too."""


class JudgeTask(PartitionTask):
    """Judges one partition of the closed minutes. `quiet_ms` says what the wall clock is good for
    (upstream.py), `live` are the kinds that are (LIVE_MS), by all partitions of a worker; `exporter` sees
    every minute and every transition.
    """

    def __init__(
        self,
        tp: TP,
        state: PartitionState,
        outbox: Outbox,
        consumer: BatchConsumer,
        settings: Settings,
        rules: Sequence[Rule],
        quiet_ms: Callable[[int, int], int | None] = lambda _, __: None,
        live: set[str] | None = None,
        exporter: PipelineCollector | None = None,
    ) -> None:
        self.judge = Judge(rules, KINDS, most=_TIMES_MAX_SERIES * settings.max_series)
        self._quiet_ms = quiet_ms
        self._exporter = exporter
        self._live = set() if live is None else live
        self._pushes: dict[str, int] = {}
        """Kinds whose clock the wall clock will push, with the next checkpoint."""
        self._pushed: dict[str, int] = {}
        """The same, as of the meta row that was restored."""
        self._ahead: dict[bytes, int] = {}
        """Series whose rows are ahead of the meta row: up to which offset."""
        self._sent: dict[bytes, list[tuple[bytes, bytes]]] = {}
        """By series: the transitions since its last row."""
        self._inherited_end: int | None = None
        """The partition's end when we began to read: a former owner has read no further."""
        self._inherited: dict[bytes, bytes] = {}
        """By key: the last transition that a former owner may have been about to send, too."""
        self._gone: list[bytes] = []
        """Forgotten series whose rows say so; the next checkpoint removes those."""
        self._began_ms: int | None = None
        super().__init__(tp, state, outbox, consumer, settings)
        self._load_series()

    def _load_series(self) -> None:
        for stored_key, stored in self.state.scan(ROW):
            key, row = stored_key[len(ROW) :], wire.row_in(stored)
            kind, labels = wire.series_parts(key)
            if kind not in KINDS:
                continue
            is_ahead = row["position"] > self.saved_position
            if is_ahead:
                self._ahead[key] = row["position"]
                for sent in row["sent"]:
                    self._send_record(key, *sent)
            if "gone" in row:
                (self.judge.forgotten if is_ahead else self._gone).append(key)
                continue
            self._send(self.judge.restore(key, kind, labels, row))
            self._export_firing(self.judge.series[key])
        for kind, clock_ms in self._pushed.items():
            self._send(self.judge.advance(kind, clock_ms))

    def _export_firing(self, series: Series) -> None:
        """What fired when the row was written still does."""
        for name, alert in series.alerts.items() if self._exporter is not None else ():
            if alert.firing_ms is not None and self._exporter is not None:
                kind, rule = series.plan.kind.name, series.plan.rules[name]
                since_ms, at_ms, severity, value = alert.since_ms, alert.firing_ms, alert.severity, alert.value
                fires = Transition(rule, kind, series.labels, "firing", severity, since_ms, at_ms, value)
                self._exporter.take_transition(self.tp.partition, fires)

    def cancel(self) -> None:
        super().cancel()
        if self._exporter is not None:
            self._exporter.drop(self.tp.partition)

    # Meta row

    def restore(self, meta: dict[str, Any]) -> None:
        self.judge.clocks |= {kind: ms for kind, ms in meta["clocks"].items() if kind in KINDS}
        self._live |= set(meta["live"]) & KINDS.keys()
        self._pushed = {kind: ms for kind, ms in meta["pushes"].items() if kind in KINDS}

    def meta(self) -> dict[str, Any]:
        pushes, self._pushes = self._pushes, {}
        return {"clocks": dict(self.judge.clocks), "live": sorted(self._live), "pushes": pushes}

    def on_committed(self, meta: dict[str, Any]) -> None:
        for kind, clock_ms in meta["pushes"].items():
            self._send(self.judge.advance(kind, clock_ms))

    # Records

    def process(self, records: Sequence[Any]) -> None:
        if self._inherited_end is None:
            self._inherited_end = max(self.end() or 0, records[-1].offset + 1)
        minutes, unjudged = [], self.judge.unjudged
        for record in records:
            try:
                minute = _minute_in(record.value)
            except wire.WireError as error:
                self._reject(error, record)
            else:
                minutes.append(minute)
                self._take(minute, record)
        if self._exporter is not None and minutes:
            self._exporter.take(self.tp.partition, minutes)
        self._count_unjudged(self.judge.unjudged - unjudged)
        self.position = records[-1].offset + 1
        self.count("read", len(records))

    def _count_unjudged(self, times: int) -> None:
        if times:
            if "unjudged" not in self.counters:
                log.warning(
                    "%s partition %d: more series than are judged: their alerts do not fire. Raise max_series, or "
                    "find out which component makes so many names", self.tp.topic, self.tp.partition,
                )  # fmt: skip
            self.count("unjudged", times)

    def _take(self, minute: wire.ObservedMinute, record: Any) -> None:
        if self.batch_at_ms - minute.start_ms < LIVE_MS:
            self._live.add(minute.kind)
        labels = minute.label_values
        key = wire.series_key(minute.kind, labels)
        if self._ahead and record.offset < self._ahead.get(key, 0):
            self._send(self.judge.advance(minute.kind, minute.start_ms))
            return
        self._send(self.judge.take(key, labels, minute))

    def _reject(self, error: Exception, record: Any) -> None:
        self.count("not_a_minute")
        source = (self.tp.topic, self.tp.partition, record.offset, record.timestamp)
        key, value = wire.dlq_record(Rejected("not_internal", str(error)), "metrics", source, record.value)
        self.outbox.send(self.settings.topic("dlq"), 0, key, value, self.receipt)

    # Results

    def _send(self, transitions: Sequence[Transition]) -> None:
        for transition in transitions:
            record = wire.alert_record(transition, KINDS[transition.kind])
            self.count(transition.state)
            if self._exporter is not None:
                self._exporter.take_transition(self.tp.partition, transition)
            log.info("%s: %s (%s) %s", record.rule, record.state, record.severity, record.summary)
            series = wire.series_key(transition.kind, transition.labels)
            self._send_record(series, record.key, wire.alert_out(record))

    def _send_record(self, series: bytes, key: bytes, value: bytes) -> None:
        self._sent.setdefault(series, []).append((key, value))
        self.outbox.send(self.settings.topic("alerts"), 0, key, value, self.receipt)
        inherited = self._inherited_end is None or (self.position or 0) < self._inherited_end
        if inherited or key in self._inherited:
            self._inherited[key] = value
        failpoint.reach("alert_sent")

    def flush(self, now_ms: int, idle_at_ms: int | None) -> None:
        """Where nothing comes any more: let the wall clock push the clocks that something waits for."""
        self._began_ms = self._began_ms or now_ms
        if self._inherited and now_ms - self._began_ms >= AGAIN_MS:
            for key, value in self._inherited.items():
                self.outbox.send(self.settings.topic("alerts"), 0, key, value, self.receipt)
            self._inherited = {}
        if idle_at_ms is None:
            return
        quiet_ms = self._quiet_ms(self.tp.partition, self.fetch_position)
        for kind in self._live if quiet_ms is not None else ():
            due_ms = self.judge.next_ms(kind)
            if due_ms is not None and self.judge.clocks[kind] < due_ms <= (quiet_ms or 0):
                self._pushes[kind] = quiet_ms or 0

    # Checkpoint

    def has_pending(self) -> bool:
        judge = self.judge
        return bool(self._pushes or judge.dirty or judge.forgotten or self._gone) or super().has_pending()

    def unsaved_rows(self) -> int:
        return len(self.judge.dirty) // _ROWS_PER_UNIT

    def dirty_rows(self) -> dict[bytes, bytes | None]:
        position, judge = self.position or 0, self.judge
        rows: dict[bytes, bytes | None] = {ROW + key: None for key in self._gone}
        self._gone = [key for key in dict.fromkeys(judge.forgotten) if key not in judge.series]
        for key in self._gone:  # not a tombstone yet: a replay has to know, and what it sent may not be in Kafka
            rows[ROW + key] = self._row(key, position, {"gone": True})
        for series in judge.dirty:
            if judge.series.get(series.key) is series:
                series.is_dirty = False
                rows[ROW + series.key] = self._row(series.key, position, series.out())
        judge.dirty, judge.forgotten = [], []
        return rows

    def _row(self, key: bytes, position: int, plain: dict[str, Any]) -> bytes:
        row = {**plain, "position": position, "sent": self._sent.pop(key, [])}
        return stamped(position, wire.row_out(row))


def _minute_in(value: bytes | None) -> wire.ObservedMinute:
    """A minute of a kind that is known. Raises WireError."""
    minute = wire.observed(value)
    kind = KINDS.get(minute.kind)
    if kind is None or tuple(minute.labels) != kind.labels or minute.window.size_s * 1000 != MINUTE_MS:
        raise wire.WireError(f"not a minute of a kind that this release knows: {minute.kind[:100]!r}")
    return minute
