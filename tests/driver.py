"""The worker's tasks without a broker: the real IngestTask and MergeTask, a dict for RocksDB, lists for topics.

It drives records, time and checkpoints by hand, and says nothing about Kafka: crashes and rebalances are tested on
Apache Kafka (tests/chaos).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from faust.types import TP

from stream_monitor import wire
from stream_monitor.core.metric import Metric
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.worker.ingest import IngestTask
from stream_monitor.worker.merge import MergeTask
from stream_monitor.worker.state import META_KEY
from stream_monitor.worker.store import STAMP_BYTES, stamped, supersedes
from stream_monitor.worker.task import PartitionTask


class Fetched(NamedTuple):
    """What a task reads of a fetched record."""

    offset: int
    timestamp: int
    value: bytes | None
    key: bytes | None = None


@dataclass
class MemoryState:
    """PartitionState on a dict, and the changelog that a restore reads."""

    rows: dict[bytes, bytes] = field(default_factory=dict)
    log: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    changelog: str = "changelog"
    topic_id: str = "id"

    def get(self, key: bytes) -> bytes | None:
        value = self.rows.get(key)
        return None if value is None else value[STAMP_BYTES:]

    def scan(self, tag: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield from sorted((k, value[STAMP_BYTES:]) for k, value in self.rows.items() if k.startswith(tag))

    def write(self, rows: Mapping[bytes, bytes | None], receipt: Any) -> None:
        self.log += rows.items()
        for key, value in rows.items():
            self._take(key, value)

    def _take(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = value

    def restore(self) -> None:
        """What a new owner finds: the changelog, by the rule of the store."""
        self.rows = {}
        for key, value in self.log:
            if supersedes(value, self.rows.get(key)):
                self._take(key, value)


class Outbox(list[tuple[str, int, bytes | None, bytes | None]]):
    """What was sent: (topic without prefix, partition, key, value)."""

    def send(self, topic: str, partition: int, key: Any, value: Any, receipt: Any, timestamp_ms: int = 0) -> None:
        self.append((topic.partition(".")[2], partition, key, value))


class Committed(dict[TP, int]):
    """The consumer, as far as a task asks it."""

    def committed(self, tp: TP) -> int | None:
        return self.get(tp)

    def highwater(self, tp: TP) -> int | None:
        return None


class Pipeline:
    """One kind of log with `partitions` source partitions, and one partials partition."""

    def __init__(self, partitions: int = 2, kind: str = "ml", **flags: Any) -> None:
        self.settings = Settings(prefix="p", **flags)
        self.kind, self.partitions = kind, partitions
        self.sent = Outbox()
        self.consumer = Committed()
        self.states = [MemoryState() for _ in range(partitions + 1)]
        self.logs = [0] * partitions
        self.ingest = [self._ingest(partition) for partition in range(partitions)]
        self.merge = self._merge()
        self._partials: list[Fetched] = []
        self._read = 0

    def _ingest(self, partition: int) -> IngestTask:
        tp, state = TP(self.settings.topic(f"logs.{self.kind}"), partition), self.states[partition]
        kind = KINDS[self.kind]
        return IngestTask(kind, self.partitions, tp, state, self.sent, self.consumer, self.settings, 1)

    def _merge(self) -> MergeTask:
        tp = TP(self.settings.topic("partials"), 0)
        return MergeTask(tp, self.states[-1], self.sent, self.consumer, self.settings, 1)

    def log(self, partition: int, *values: bytes, at_ms: int) -> None:
        """Records that reach a source partition and are read at once; `at_ms` is their Kafka timestamp."""
        first = self.logs[partition]
        self.ingest[partition].process([Fetched(first + n, at_ms, value) for n, value in enumerate(values)])
        self.logs[partition] += len(values)

    def flush(self, now_ms: int, idle: tuple[int, ...] = ()) -> None:
        """Every ingest task sends what it has; the merge reads it."""
        for partition, task in enumerate(self.ingest):
            task.flush(now_ms, now_ms if partition in idle else None)
        self.read_partials()
        self.merge.flush(now_ms, None)

    def read_partials(self) -> None:
        """The merge reads what has been sent since the last time."""
        new = [value for topic, _, _, value in self.sent[self._read :] if topic == "partials"]
        self._read = len(self.sent)
        self._partials += [Fetched(len(self._partials) + n, 0, value) for n, value in enumerate(new)]
        if new:
            self.merge.process(self._partials[-len(new) :])

    def checkpoint(self, now_ms: int, *, meta: bool = True) -> None:
        """A checkpoint of every task that has read anything. Without `meta` it is cut off before its meta row."""
        for task in (*self.ingest, self.merge):
            self.checkpoint_of(task, now_ms, meta=meta)

    def checkpoint_of(
        self, task: PartitionTask, now_ms: int, *, meta: bool = True, rows: int | None = None
    ) -> None:
        """A checkpoint of one task; only its first `rows` reach the changelog, if that many are given."""
        if task.position is None:
            return
        task.flush(now_ms, None)
        of = task.meta()
        own = {"position": task.position, "counters": task.counters, "topic_id": "id"}
        stored = wire.row_out({**of, **own})
        task.state.write(dict([*task.dirty_rows().items()][:rows]), None)
        if meta:
            task.state.write({META_KEY: stamped(task.position, stored)}, None)
            task.saved_position = self.consumer[task.tp] = task.position
            task.on_committed(of)

    def restart_merge(self, read_on: bool = True) -> None:
        """A new owner: from the changelog, and from the position in its meta row."""
        self.states[-1].restore()
        self.merge = self._merge()
        if read_on:
            self.read_again(len(self._partials))

    def read_again(self, upto: int) -> None:
        """The merge reads partials from its position on, up to an offset."""
        again = self._partials[self.merge.position or 0 : upto]
        if again:
            self.merge.process(again)

    def results(self, topic: str = "metrics.1m") -> dict[tuple[tuple[str, ...], int], Metric]:
        """The winning result of each window, by (labels, start)."""
        best: dict[tuple[tuple[str, ...], int], Metric] = {}
        for name, _, _, value in self.sent:
            if name == topic:
                metric = wire.metric_from(value or b"", KINDS)
                key = (metric.labels, metric.start_ms)
                if key not in best or metric.supersedes(best[key]):
                    best[key] = metric
        return best

    def dead_letters(self) -> dict[bytes, dict[str, Any]]:
        """By key, the last one."""
        return {key or b"": json.loads(value or b"") for name, _, key, value in self.sent if name == "dlq"}

    def merged(self, outcome: str) -> int:
        """Log records that the merge has counted as `published` or `late`."""
        return sum(records for _, what, _, records in self.merge.merged() if what == outcome)


def prediction(at_ms: int, latency_ms: float = 5, service: str = "s") -> bytes:
    """A line of an ML service."""
    return b'{"timestamp":%d,"service":"%b","model_version":"v","latency_ms":%g}' % (
        at_ms, service.encode(), latency_ms,
    )  # fmt: skip
