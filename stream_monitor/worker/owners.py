"""Which partitions are ours, and the task that owns each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka.errors import IllegalStateError, KafkaError
from faust.types import TP

from stream_monitor.worker.task import PartitionTask
from stream_monitor.worker.transport import BatchConsumer

_BEHIND = 10_000
_CHUNK = 10_000
"""Records processed before the event loop gets a turn."""
_ANSWER_S = 2.0
"""To wait for the broker's end offsets. Without them no partition is idle."""


def clock_ms() -> int:
    """Now, in UTC milliseconds."""
    return time.time_ns() // 1_000_000


class Owners:
    """The tasks of the assigned partitions: made when first needed, dropped when revoked."""

    def __init__(
        self,
        make: Callable[[TP], PartitionTask],
        idle_after_ms: int,
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._make = make
        self._idle_after_ms = idle_after_ms
        self._on_error = on_error
        self._tasks: dict[TP, PartitionTask] = {}

    def __iter__(self) -> Any:
        return iter(self._tasks.values())

    def get(self, tp: TP) -> PartitionTask:
        """The task that owns a partition, made from the partition's table if need be."""
        task = self._tasks.get(tp)
        if task is None:
            task = self._tasks[tp] = self._make(tp)
            task.batch_at_ms = task.checkpointed_at_ms = clock_ms()
        return task

    def drop(self, partitions: Any) -> None:
        """The partitions were revoked: whatever is not in a checkpoint is left to the next owner."""
        for tp in partitions:
            task = self._tasks.pop(TP(tp.topic, tp.partition), None)
            if task is not None:
                task.cancel()

    async def take(self, message: Any) -> None:
        """Process a batch, unless its partition is revoked meanwhile."""
        tp = TP(message.topic, message.partition)
        task = self.get(tp)
        records = task.unprocessed(message.value)
        for start in range(0, len(records), _CHUNK):
            if self._tasks.get(tp) is not task:
                return
            task.batch_at_ms = clock_ms()
            task.process(records[start : start + _CHUNK])
            await asyncio.sleep(0)

    async def tick(self, consumer: BatchConsumer, partitions: Any) -> None:
        """Send provisional results and start the checkpoints that are due, for all assigned partitions.

        The busy ones first: only the broker knows whether the silent ones are empty, and its answer may wait
        behind a fetch. Nothing is made after an await: the partition may have been revoked meanwhile, and a task
        made then would outlive the revocation, with what it knew.
        """
        looked_at_ms = clock_ms()
        since_ms = looked_at_ms - self._idle_after_ms
        tasks = [self.get(tp) for tp in partitions]
        silent = {task.tp: task for task in tasks if _is_silent(task, consumer, since_ms)}
        for task in tasks:
            if task.tp not in silent:
                await self._tend(task, consumer, None)
        if not silent:
            return
        empty = await self._empty(consumer, silent)
        for tp, task in silent.items():
            is_idle = tp in empty and _is_silent(task, consumer, since_ms)
            await self._tend(task, consumer, looked_at_ms if is_idle else None)

    async def _tend(self, task: PartitionTask, consumer: BatchConsumer, idle_at_ms: int | None) -> None:
        """A checkpoint if one is due, else provisional results; nothing where it was given away meanwhile."""
        if not self._is_ours(task, consumer):
            return
        now_ms = clock_ms()
        if task.is_due(now_ms):
            task.start_checkpoint(now_ms, idle_at_ms, self._on_error)
        elif not _is_behind(task):
            task.flush(now_ms, idle_at_ms)
        await asyncio.sleep(0)

    def _is_ours(self, task: PartitionTask, consumer: BatchConsumer) -> bool:
        """The task was not dropped, and its partition is not about to be given away."""
        tp = task.tp
        return self._tasks.get(tp) is task and consumer.app.serves(tp) and tp in consumer.assignment()

    async def _empty(self, consumer: BatchConsumer, silent: Mapping[TP, PartitionTask]) -> set[TP]:
        """Those of which the broker says that we have read them to their ends."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                ends = await consumer.highwaters(*silent)
                found = await asyncio.gather(*map(consumer.position, silent))
        except (IllegalStateError, KafkaError, TimeoutError):  # given away, or no answer: nobody can say
            return set()
        positions = dict(zip(silent, found, strict=True))
        empty = {tp for tp, at in positions.items() if at is not None and at >= ends[tp]}
        for tp in empty:
            silent[tp].fetch_position = positions[tp] or 0
        return empty

    async def finish(self, consumer: BatchConsumer) -> None:
        """A last checkpoint of everything, before the worker stops."""
        for task in list(self):
            await task.wait_checkpoint()
            if task.position is not None and (
                task.position > task.saved_position or task.position != consumer.committed(task.tp)
            ):
                task.start_checkpoint(clock_ms(), None, self._on_error)
        for task in list(self):
            await task.wait_checkpoint()


def _is_silent(task: PartitionTask, consumer: BatchConsumer, since_ms: int) -> bool:
    """Everything that was fetched is processed, and nothing came since then."""
    fetched = consumer.delivered.get(task.tp)
    return task.batch_at_ms <= since_ms and (
        fetched is None or (task.position is not None and fetched < task.position)
    )


def _is_behind(task: PartitionTask) -> bool:
    """Far from the partition's end, a provisional result is of no use: it goes with the next checkpoint."""
    end = task.end()
    return end is not None and task.position is not None and end - task.position > _BEHIND
