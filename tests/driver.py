"""One kind of log through the driver that users have, with its time, restarts and cut-off checkpoints by hand."""

from __future__ import annotations

import json
from typing import Any

from stream_monitor import wire
from stream_monitor.core.metric import Metric
from stream_monitor.kinds import KINDS
from stream_monitor.testing.driver import Driver
from stream_monitor.worker.task import PartitionTask


class Pipeline:
    """`partitions` source partitions of a kind, and one partials partition."""

    def __init__(self, partitions: int = 2, kind: str = "ml", **flags: Any) -> None:
        self.driver = Driver((kind,), partitions=partitions, **flags)
        self.kind = kind
        self.sent, self.consumer, self.settings = self.driver.sent, self.driver.consumer, self.driver.settings

    @property
    def ingest(self):
        return [*self.driver.ingest.values()]

    @property
    def merge(self):
        return self.driver.merge

    @property
    def states(self):
        """Of the ingest tasks, the merge's last."""
        return [self.driver.states[task.tp] for task in (*self.ingest, self.merge)]

    def log(self, partition: int, *values: bytes, at_ms: int) -> None:
        """Records that reach a source partition and are read at once; `at_ms` is their Kafka timestamp."""
        self.driver.feed(self.kind, partition, values, at_ms)

    def flush(self, now_ms: int, idle: tuple[int, ...] = ()) -> None:
        """Every ingest task sends what it has; the merge reads it."""
        self.driver.flush(now_ms, {(self.kind, partition) for partition in idle})

    def read_partials(self) -> None:
        """The merge reads what has been sent since the last time."""
        self.driver.read_partials()

    def checkpoint(self, now_ms: int, *, meta: bool = True) -> None:
        """A checkpoint of every task that has read anything. Without `meta` it is cut off before its meta row."""
        for task in (*self.ingest, self.merge):
            self.checkpoint_of(task, now_ms, meta=meta)

    def checkpoint_of(
        self, task: PartitionTask, now_ms: int, *, meta: bool = True, rows: int | None = None
    ) -> None:
        """A checkpoint of one task; only its first `rows` reach the changelog, if that many are given."""
        self.driver.save(task, now_ms, meta=meta, rows=rows)

    def restart_merge(self, read_on: bool = True) -> None:
        """A new owner: from the changelog, and from the position in its meta row."""
        self.driver.states[self.merge.tp].restore()
        self.driver.merge = self.driver.new_merge()
        if read_on:
            self.read_again(len(self.driver.partials))

    def read_again(self, upto: int) -> None:
        """The merge reads partials from its position on, up to an offset."""
        again = self.driver.partials[self.merge.position or 0 : upto]
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
