"""What the owner of a partition does, whatever it holds: keep a position, checkpoint, let it be committed.

A checkpoint of everything before offset P:

    rows, tombstones ──▶ changelog ────────────┐
    results sent before P (partials, metrics) ─┼─▶ all acknowledged ─▶ meta row(P) ─▶ acknowledged ─▶ commit P
    DLQ records sent before P ─────────────────┘                                                        │
                                                                                   all of it to RocksDB ◀┘

The meta row is written last, so where it says P everything before P is safe in Kafka, and a replay below P
has nothing to do. A row carries the offset folded into it, so a replay above P skips what the row already
holds: a checkpoint that was cut off may have left rows in the changelog.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka.errors import IllegalStateError
from faust.types import TP

from stream_monitor import wire
from stream_monitor.errors import MonitorError
from stream_monitor.settings import Settings
from stream_monitor.worker import failpoint
from stream_monitor.worker.outbox import Outbox, Receipt
from stream_monitor.worker.state import META_KEY, PartitionState
from stream_monitor.worker.store import stamped
from stream_monitor.worker.transport import Batch, BatchConsumer

log = logging.getLogger(__name__)

_COMMIT_TRIES = 20
_COMMIT_PAUSE_S = 0.05
"""A commit that does not come through (a rebalance) is left to the next checkpoint."""

_STUCK_MS = 15_000

MAX_UNSAVED_ROWS = 400
"""With more of them a checkpoint comes early: saved rows of closed windows leave memory."""


class LostBatchError(Exception):
    """Faust skipped a batch without going back for it. The worker must stop: a replay brings it again."""


class LostStateError(MonitorError):
    """The state of something committed is not in the table. Going on would lose it in silence."""


class PartitionTask(ABC):
    """The owner of one partition of a batched topic. Lives from its assignment to its revocation."""

    def __init__(
        self, tp: TP, state: PartitionState, outbox: Outbox, consumer: BatchConsumer, settings: Settings
    ) -> None:
        self.tp = tp
        self.state = state
        self.outbox = outbox
        self.settings = settings
        self.receipt = Receipt()
        self.position: int | None = None
        """The offset after the last record processed; None before the first."""
        self.fetch_position = 0
        """Where the consumer was when the partition was last verified empty."""
        self.saved_position = 0
        """The position in the newest meta row."""
        self.counters: dict[str, int] = {}
        """Conservation counters, part of the checkpoint: records read, folded, and rejected by reason."""
        self.checkpointed_at_ms = 0
        self.checkpoints = 0
        self.checkpoints_s = 0.0
        """How many were committed, and how long they took together."""
        self.batch_at_ms = 0
        self._consumer = consumer
        self._checkpoint: asyncio.Task[None] | None = None
        self._load()

    def _load(self) -> None:
        stored = self.state.get(META_KEY)
        if stored is not None:
            meta = wire.row_in(stored)
            self.position = self.saved_position = meta.pop("position")
            self.counters = meta.pop("counters")
            self._check_topic(meta.pop("topic_id"))
            self.restore(meta)
        committed = self._consumer.committed(self.tp)
        if committed and committed > self.saved_position:
            raise LostStateError(
                f"{self.tp.topic} partition {self.tp.partition}: {committed} is committed, but the table ends at "
                f"{self.saved_position}: its changelog {self.state.changelog} has lost records. Restore that "
                "topic, or reset the group's offsets to let the worker read again what the source still holds"
            )

    def _check_topic(self, topic_id: str) -> None:
        if topic_id != self.state.topic_id:
            raise LostStateError(
                f"topic {self.tp.topic} was deleted and made anew, and the tables are of the old one. Choose "
                "another prefix, or delete the topics of this one, and the datadirs; then: stream-monitor topics "
                "apply"
            )

    def unprocessed(self, batch: Batch) -> Sequence[Any]:
        """The batch's records that are not behind the position; after a restart a few are.

        Raises LostBatchError where an earlier batch of this assignment never came here.
        """
        records, position = batch.records, self.position
        if batch.follows is not None and (position is None or batch.follows >= position):
            raise LostBatchError(f"{self.tp}: a batch up to offset {batch.follows} was lost at {position}")
        if position is None or not records or records[0].offset >= position:
            return records
        return [record for record in records if record.offset >= position]

    def end(self) -> int | None:
        """The partition's end offset as last heard of; None before that, and when it is not assigned any more."""
        try:
            end: int | None = self._consumer.highwater(self.tp)
        except (AssertionError, IllegalStateError):  # aiokafka asserts the assignment
            return None
        return end

    def count(self, name: str, times: int = 1) -> None:
        """Add to a conservation counter."""
        self.counters[name] = self.counters.get(name, 0) + times

    # What the two kinds of owner add

    @abstractmethod
    def restore(self, meta: dict[str, Any]) -> None:
        """Take what `meta` gave at the last checkpoint."""

    @abstractmethod
    def process(self, records: Sequence[Any]) -> None:
        """Take aiokafka records, none of them behind the position, at least one; moves the position."""

    @abstractmethod
    def flush(self, now_ms: int, idle_at_ms: int | None) -> None:
        """Send provisional results. `idle_at_ms`: the partition was empty then, and had been for a while."""

    @abstractmethod
    def unsaved_rows(self) -> int:
        """How many rows the next checkpoint will write, about."""

    @abstractmethod
    def dirty_rows(self) -> dict[bytes, bytes | None]:
        """What has to be saved for the position to be a checkpoint, stamped; None is a tombstone."""

    @abstractmethod
    def meta(self) -> dict[str, Any]:
        """What the meta row holds besides position and counters: plain values, of this very moment."""

    @abstractmethod
    def on_committed(self, meta: dict[str, Any]) -> None:
        """The checkpoint with this meta is committed: what it retired can go."""

    # Checkpoints

    @property
    def checkpointing(self) -> bool:
        """A checkpoint is under way."""
        return self._checkpoint is not None and not self._checkpoint.done()

    def is_stuck(self, now_ms: int) -> bool:
        """Kafka has not acknowledged the checkpoint under way for too long."""
        return self.checkpointing and now_ms - self.checkpointed_at_ms > _STUCK_MS

    def is_due(self, now_ms: int) -> bool:
        """It is time for a checkpoint and there is something to save."""
        return (
            not self.checkpointing
            and self.position is not None
            and (
                self.unsaved_rows() > MAX_UNSAVED_ROWS
                or (
                    now_ms - self.checkpointed_at_ms >= self.settings.checkpoint_interval * 1000
                    and (self.position > self.saved_position or self.has_pending())
                )
            )
        )

    def has_pending(self) -> bool:
        """There is something to save although the position has not moved."""
        return self.position != self._consumer.committed(self.tp)

    def start_checkpoint(
        self, now_ms: int, idle_at_ms: int | None, on_error: Callable[[BaseException], None]
    ) -> None:
        """Send and save everything up to the position; `on_error` is told when that fails."""
        assert self.position is not None
        self.flush(now_ms, idle_at_ms)
        self.checkpointed_at_ms = now_ms
        position, meta = self.position, self.meta()
        own = {"position": position, "counters": self.counters, "topic_id": self.state.topic_id}
        stored = wire.row_out({**meta, **own})
        rows = self.dirty_rows()  # may send results, which belong to this checkpoint
        receipt, self.receipt = self.receipt, Receipt()
        failpoint.reach("before_rows")
        self.state.write(rows, receipt)
        failpoint.reach("rows_sent")
        self._checkpoint = asyncio.create_task(self._finish(position, meta, stored, receipt))
        self._checkpoint.add_done_callback(lambda task: _report(task, on_error))

    async def _finish(self, position: int, meta: dict[str, Any], stored: bytes, receipt: Receipt) -> None:
        began_s = time.monotonic()
        await receipt.wait()
        failpoint.reach("rows_acknowledged")
        final = Receipt()
        self.state.write({META_KEY: stamped(position, stored)}, final)
        failpoint.reach("meta_sent")
        await final.wait()
        self.saved_position = position
        failpoint.reach("before_commit")
        self._consumer.allow_commit(self.tp, position)
        for _ in range(_COMMIT_TRIES):
            await self._consumer.commit()  # does nothing while another commit is under way
            if self._consumer.committed(self.tp) == position:
                failpoint.reach("after_commit")
                self.checkpoints += 1
                self.checkpoints_s += time.monotonic() - began_s
                self.state.settle(final.last_offset)
                self.on_committed(meta)
                return
            await asyncio.sleep(_COMMIT_PAUSE_S)

    async def wait_checkpoint(self) -> None:
        """Until the checkpoint under way, if any, has ended; its failure went to `on_error`."""
        if self._checkpoint is not None:
            await asyncio.wait([self._checkpoint])

    def cancel(self) -> None:
        """The partition is no longer ours."""
        if self._checkpoint is not None:
            self._checkpoint.cancel()


def _report(task: asyncio.Task[None], on_error: Callable[[BaseException], None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        on_error(error)
