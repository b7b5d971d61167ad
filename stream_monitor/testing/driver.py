"""The pipeline without a broker, in milliseconds: lines in, time on, metrics, alerts and dead letters out.

    driver = Driver(kinds=("ml",))
    driver.log("ml", {"service": "scorer", "model_version": "v2", "latency_ms": 41.0})
    driver.advance(minutes=2)
    driver.expect_metrics({"labels": {"service": "scorer"}, "records": 1, "final": True})

It is the worker's own code (decoding, windows, merge, alert rules) on a dict in place of RocksDB, and on lists in
place of topics. It says nothing about Kafka: crashes and rebalances need a real one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import Any

import orjson
from faust.types import TP

from stream_monitor import recording, rules, wire
from stream_monitor.core.window import MINUTE_MS
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.testing.expecting import check, winners
from stream_monitor.testing.stand_ins import Committed, Fetched, MemoryState, Outbox
from stream_monitor.worker.ingest import IngestTask
from stream_monitor.worker.judge import JudgeTask
from stream_monitor.worker.merge import MergeTask
from stream_monitor.worker.state import META_KEY
from stream_monitor.worker.store import stamped
from stream_monitor.worker.task import PartitionTask

START_MS = 1_705_312_800_000
"""2024-01-15T10:00:00Z: where the clock stands at first."""
_STEP_MS = 10_000

Line = Mapping[str, Any] | str | bytes


class Driver:
    """Every kind's logs with `partitions` source partitions, the merge, and the alert rules of a file.

    `settings` are the worker's: grace, lateness, alert_rules, …
    """

    def __init__(
        self,
        kinds: Sequence[str] = tuple(KINDS),
        *,
        partitions: int = 1,
        now_ms: int = START_MS,
        **settings: Any,
    ) -> None:
        self.settings = Settings(**{"prefix": "p", **settings})
        self.now_ms = now_ms
        self.partitions = partitions
        self.sent = Outbox()
        self.consumer = Committed()
        self.states: dict[TP, MemoryState] = {}
        places = [(kind, number) for kind in kinds for number in range(partitions)]
        self.ingest = {place: self.new_ingest(*place) for place in places}
        self.merge = self.new_merge()
        self._judge = self._judging()
        self._logs = dict.fromkeys(self.ingest, 0)
        self._silent_since_ms = dict.fromkeys(self.ingest, now_ms)
        self.partials: list[Fetched] = []
        self._minutes = 0
        self._judged = 0
        """How much of what was sent the judge has seen."""
        self._read = 0

    def _state(self, tp: TP) -> Any:
        return self.states.setdefault(tp, MemoryState())

    def new_ingest(self, kind: str, number: int) -> IngestTask:
        """An owner of a source partition, with what its table holds."""
        tp = TP(self.settings.topic(f"logs.{kind}"), number)
        sent: Any = self.sent
        consumer: Any = self.consumer
        return IngestTask(KINDS[kind], self.partitions, tp, self._state(tp), sent, consumer, self.settings, 1)

    def new_merge(self) -> MergeTask:
        """An owner of the partials, with what its table holds."""
        tp = TP(self.settings.topic("partials"), 0)
        sent: Any = self.sent
        consumer: Any = self.consumer
        return MergeTask(tp, self._state(tp), sent, consumer, self.settings, 1)

    def _judging(self) -> JudgeTask:
        tp = TP(self.settings.topic("metrics.1m"), 0)
        sent: Any = self.sent
        consumer: Any = self.consumer
        judged_by = rules.load(self.settings.alert_rules).rules
        return JudgeTask(tp, self._state(tp), sent, consumer, self.settings, judged_by, self._quiet_ms)

    def _quiet_ms(self, _: int, __: int) -> int:
        """Up to when all that was logged has been judged: here everything is, but for what is still open."""
        return self.now_ms - round((self.settings.grace + self.settings.idle_after) * 1000) - 2 * MINUTE_MS

    # Lines in, time on

    def log(self, kind: str, *lines: Line, partition: int = 0) -> None:
        """Lines that reach a source partition now: mappings, JSON texts, or any bytes.

        One without a timestamp of its own is of now.
        """
        self.feed(kind, partition, [_bytes(line) for line in lines], self.now_ms)

    def feed(self, kind: str, partition: int, values: Sequence[bytes | None], at_ms: int) -> None:
        """The values of records that reach a source partition at a Kafka timestamp, and are read at once."""
        self._take((kind, partition), [(value, at_ms) for value in values])

    def _take(self, place: tuple[str, int], records: Sequence[tuple[bytes | None, int]]) -> None:
        first = self._logs[place]
        self.ingest[place].process([Fetched(first + n, at_ms, value) for n, (value, at_ms) in enumerate(records)])
        self._logs[place] += len(records)
        self._silent_since_ms[place] = self.now_ms

    def replay(self, path: str | PathLike[str]) -> int:
        """A recorded topic, at its own time; returns how many records. Raises UsageError for a wrong line."""
        records = sorted(recording.read(Path(path)), key=lambda record: record.timestamp_ms)
        for step, together in groupby(records, lambda record: record.timestamp_ms // _STEP_MS):
            self._advance_to(step * _STEP_MS)
            of_place: dict[tuple[str, int], list[tuple[bytes | None, int]]] = {}
            for record in together:
                place = record.topic.removeprefix("logs."), (record.partition or 0) % self.partitions
                of_place.setdefault(place, []).append((record.value, record.timestamp_ms))
            for place, values in of_place.items():
                self._take(place, values)
        return len(records)

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> None:
        """Time goes on, and the worker does what it does: windows close, alerts fire, tables are saved."""
        self._advance_to(self.now_ms + round((seconds + 60 * minutes + 3600 * hours) * 1000))
        self.checkpoint()

    def _advance_to(self, until_ms: int) -> None:
        """By steps; a long silence before the first line is one."""
        if not any(self._logs.values()):
            self.now_ms = until_ms
        while self.now_ms < until_ms:
            before_ms, self.now_ms = self.now_ms, min(until_ms, self.now_ms + _STEP_MS)
            silent_ms = self.now_ms - round(self.settings.idle_after * 1000)
            idle = {place for place, since_ms in self._silent_since_ms.items() if since_ms <= silent_ms}
            self.flush(self.now_ms, idle)
            if before_ms // MINUTE_MS != self.now_ms // MINUTE_MS:
                self.checkpoint()

    def checkpoint(self) -> None:
        """A checkpoint of everything; what it closes is judged."""
        for task in (*self.ingest.values(), self.merge):
            self.save(task, self.now_ms)
        self.read_partials()
        self._read_minutes()
        self._judge.flush(self.now_ms, self.now_ms)
        self.save(self._judge, self.now_ms)

    def flush(self, now_ms: int, idle: set[tuple[str, int]]) -> None:
        """Every ingest task sends what it has; the merge reads it, and sends what it has."""
        for place, task in self.ingest.items():
            task.flush(now_ms, now_ms if place in idle else None)
        self.read_partials()
        self.merge.flush(now_ms, None)

    def read_partials(self) -> None:
        """The merge reads what has been sent since the last time."""
        new = [value for topic, _, _, value in self.sent[self._read :] if topic == "partials"]
        self._read = len(self.sent)
        self.partials += [Fetched(len(self.partials) + n, 0, value) for n, value in enumerate(new)]
        if new:
            self.merge.process(self.partials[-len(new) :])

    def _read_minutes(self) -> None:
        sent, self._judged = self.sent[self._judged :], len(self.sent)
        minutes = [value for topic, _, _, value in sent if topic == "metrics.1m"]
        if minutes:
            self._judge.batch_at_ms = self.now_ms
            self._judge.process([Fetched(self._minutes + n, 0, value) for n, value in enumerate(minutes)])
            self._minutes += len(minutes)

    def save(self, task: PartitionTask, now_ms: int, *, meta: bool = True, rows: int | None = None) -> None:
        """A checkpoint of a task that has read anything; cut off after `rows` rows, or before its `meta` row."""
        if task.position is None:
            return
        if task is not self._judge:
            task.flush(now_ms, None)
        of = task.meta()
        stored = wire.row_out({**of, "position": task.position, "counters": task.counters, "topic_id": "id"})
        state: Any = task.state
        state.write(dict([*task.dirty_rows().items()][:rows]), None)
        if meta:
            state.write({META_KEY: stamped(task.position, stored)}, None)
            task.saved_position = self.consumer[task.tp] = task.position
            task.on_committed(of)

    # Results out

    def metrics(self) -> list[dict[str, Any]]:
        """The winning record of each window so far, as a consumer reads it, by time; open ones are not `final`."""
        return winners((key, value) for topic, _, key, value in self.sent if topic.startswith("metrics."))

    def alerts(self) -> list[dict[str, Any]]:
        """What was sent to the alerts topic, in order, each of it once."""
        seen = dict.fromkeys(value for topic, _, _, value in self.sent if topic == "alerts")
        return [json.loads(value or b"") for value in seen]

    def dead_letters(self) -> list[dict[str, Any]]:
        """What was rejected, and why; of a key the last one."""
        last = {key: value for topic, _, key, value in self.sent if topic == "dlq"}
        return [json.loads(value or b"") for value in last.values()]

    def expect_metrics(self, *expected: Mapping[str, Any]) -> None:
        """Some window has these fields, for each of `expected`; see `expecting.check`. Raises AssertionError."""
        check(expected, self.metrics())


def _bytes(line: Line) -> bytes:
    if isinstance(line, bytes):
        return line
    return line.encode() if isinstance(line, str) else orjson.dumps(line)
