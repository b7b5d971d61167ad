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
        self.judge = Judge(rules, KINDS)
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
        self._began_ms: int | None = None
        super().__init__(tp, state, outbox, consumer, settings)
        self._load_series()

    def _load_series(self) -> None:
        for stored_key, stored in self.state.scan(ROW):
            key, row = stored_key[len(ROW) :], wire.row_in(stored)
            kind, labels = wire.series_parts(key)
            if kind not in KINDS:
                continue
            if row["position"] > self.saved_position:
                self._ahead[key] = row["position"]
                for sent in row["sent"]:
                    self._send_record(key, *sent)
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
        minutes = []
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
        self.position = records[-1].offset + 1
        self.count("read", len(records))

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
        return bool(self._pushes or self.judge.dirty) or super().has_pending()

    def unsaved_rows(self) -> int:
        return len(self.judge.dirty) // _ROWS_PER_UNIT

    def dirty_rows(self) -> dict[bytes, bytes | None]:
        position = self.position or 0
        rows: dict[bytes, bytes | None] = {}
        for series in self.judge.dirty:
            series.is_dirty = False
            plain = {**series.out(), "position": position, "sent": self._sent.pop(series.key, [])}
            rows[ROW + series.key] = stamped(position, wire.row_out(plain))
        for key in self.judge.forgotten:
            self._sent.pop(key, None)
            rows[ROW + key] = None
        self.judge.dirty, self.judge.forgotten = [], []
        return rows


def _minute_in(value: bytes | None) -> wire.ObservedMinute:
    """A minute of a kind that is known. Raises WireError."""
    minute = wire.observed(value)
    kind = KINDS.get(minute.kind)
    if kind is None or tuple(minute.labels) != kind.labels or minute.window.size_s * 1000 != MINUTE_MS:
        raise wire.WireError(f"not a minute of a kind that this release knows: {minute.kind[:100]!r}")
    return minute
