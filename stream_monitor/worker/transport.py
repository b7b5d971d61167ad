"""Faust's transport, changed in two places: batches come in, and only checkpoints are committed.

Per event Faust costs about a millisecond; per fetched batch that is nothing. So every topic is delivered one
event a fetch and partition: the event's value holds aiokafka's records, its offset is the last one's.
`app.batched_topics` are those with an agent; the others are the tables' changelogs (store.py).

Faust commits what was acknowledged. Here nothing is: `allow_commit` says how far a partition's state is
safe in Kafka, and that is all that is ever committed. See task.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import faust
from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, IllegalStateError
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.types import TP, ConsumerMessage

log = logging.getLogger(__name__)

_FETCH_BYTES = 64 << 10
_FETCH_WAIT_S = 0.1
"""A broker answers a fetch when it has so many bytes, or after so long. By Faust that is 1 byte and 1.5 s: under
steady traffic every few records are a fetch of their own, and the worker does nothing else.
"""


class PacedFetcher(fetcher.Fetcher):
    """aiokafka's fetcher with the limits above, which Faust has no setting for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options |= {"fetch_min_bytes": _FETCH_BYTES, "fetch_max_wait_ms": round(_FETCH_WAIT_S * 1000)}
        super().__init__(*args, **options)

    async def _proc_fetch_request(self, assignment: Any, node_id: Any, request: Any) -> bool:
        """An empty answer takes as long as was asked for, also where a broker (the embedded one) does not wait."""
        loop = asyncio.get_running_loop()
        over_s = loop.time() + _FETCH_WAIT_S
        has_records: bool = await super()._proc_fetch_request(assignment, node_id, request)
        if not has_records:
            await asyncio.sleep(max(0.0, over_s - loop.time()))
        return has_records


class LeanRecords(fetcher.PartitionRecords):
    """aiokafka's fetched records of a partition, taken by the compressed batch instead of one by one.

    What it hands on (offset, timestamp, key, value) is already there; a generator step and a ConsumerRecord for
    each cost as much as parsing it. Transactions' control batches are skipped; their aborted records are not:
    nothing here reads with `read_committed`.
    """

    next_fetch_offset: int
    _records_iterator: Any
    _batch: Any = None
    """The compressed batch at hand."""
    _rest: Iterator[Any] = iter(())
    """Its records, unpacked as they are taken."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._records_iterator = None  # aiokafka's own: it refers to this, and a cycle keeps the fetch for minutes

    def take(self, most: int | None) -> list[Any]:
        """The next records, at most so many."""
        taken: list[Any] = []
        while not self.is_over and (most is None or len(taken) < most):
            if self._batch is None:
                self._open_batch()
            room = None if most is None else most - len(taken)
            records = list(islice(self._rest, room))
            is_last = room is None or len(records) < room
            if records and records[0].offset < self.next_fetch_offset:  # a batch that was sought into
                records = [record for record in records if record.offset >= self.next_fetch_offset]
            if records:
                self.next_fetch_offset = records[-1].offset + 1
                taken += records
            if is_last:
                self.next_fetch_offset = max(self.next_fetch_offset, self._batch.next_offset)
                self._batch = None
        return taken

    def _open_batch(self) -> None:
        batch = self._batch = self._records.next_batch()
        if self._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {self._tp}")
        self._rest = iter(()) if batch.is_control_batch else chain(batch)  # it may be iterated once only

    @property
    def is_over(self) -> bool:
        """Everything was taken."""
        return self._batch is None and not self._records.has_next()


class LeanResult(fetcher.FetchResult):
    """aiokafka's fetch of a partition, on the above."""

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        """The next records, at most so many; none where the partition was given away, paused or sought."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        records, self._partition_records = self._partition_records, None  # gone, if it raises: fetched again
        taken: list[Any] = records.take(max_records)
        self._partition_records = records
        self._update_position()
        if records.is_over:
            self._partition_records = None
        return taken


class Batch(NamedTuple):
    """The value of an event."""

    records: Sequence[Any]
    """aiokafka's records, in order, at least one."""
    follows: int | None
    """The last offset of the batch delivered before it since the assignment; None for the first."""


class BatchConsumer(Consumer):
    """One ConsumerMessage per partition and fetch; commits checkpoints only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._allowed: dict[TP, int] = {}
        self.delivered: dict[TP, int] = {}
        """By partition: the last offset handed to the streams since the last seek."""
        self._sought: dict[TP, int] = {}
        """By partition: where reading has to go on, until the first batch has come."""
        self._missed: dict[TP, int] = {}
        """By partition: what came in place of it the first time."""

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """Fetched records as messages; nothing while partitions are being reassigned."""
        records, active = await self._wait_next_records(timeout)
        if records is None or self.should_stop:
            return
        generation = self.app.consumer_generation_id
        if not self.flow_active:
            await self.perform_seek()
            return
        await self._put_back(records)
        for tp in await self._seek_again(records):
            del records[tp]
        for tp, message in self._messages(records):
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if active is None or tp in active or tp in self._buffered_partitions:
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                self.delivered[tp] = message.offset
                yield tp, message

    async def _put_back(self, records: dict[Any, list[Any]]) -> None:
        """What nobody serves yet is not handed on; it will be fetched again.

        Its table may not be restored, and Faust empties the agents' queues before they go on.
        """
        early = [tp for tp in records if tp.topic in self.app.batched_topics and not self.app.serves(TP(*tp))]
        if not early:
            return
        batches = {place: records.pop(place) for place in early}
        await self._seek_to({TP(*place): batch[0].offset for place, batch in batches.items() if batch})

    def _messages(self, records: dict[Any, list[Any]]) -> Iterator[tuple[TP, Any]]:
        for topic_partition, batch in records.items():
            if batch:
                tp = TP(topic_partition.topic, topic_partition.partition)
                yield tp, self._batch_message(tp, batch)

    def _batch_message(self, tp: TP, batch: list[Any]) -> ConsumerMessage:
        last = batch[-1]
        value = Batch(batch, self.delivered.get(tp))
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000,
            last.timestamp_type,
            [],
            None,
            value,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def unknown(self, topics: Iterable[str]) -> list[str]:
        """Those that the broker has not told of, as one that has just started may not."""
        consumer = self._thread._consumer
        if consumer is None:
            return []
        cluster = consumer._client.cluster
        return sorted(topic for topic in topics if not cluster.partitions_for_topic(topic))

    async def ask_again(self) -> None:
        """Ask the broker for its topics: where that is news, aiokafka joins the group again."""

        async def ask() -> None:
            await self._thread._ensure_consumer()._client.force_metadata_update()

        await self._thread.call_thread(ask)

    def allow_commit(self, tp: TP, offset: int) -> None:
        """The state of everything before `offset` is safe in Kafka."""
        self._allowed[tp] = offset

    def committed(self, tp: TP) -> int | None:
        """The committed offset of an assigned partition; None where there is none yet."""
        offset: int | None = self._committed_offset[tp]
        return offset

    def ack(self, message: Any) -> bool:
        """Acknowledging means nothing here; only checkpoints are committed."""
        self._unacked_messages.discard(message)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self._allowed) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._allowed.get(tp)

    async def _commit_offsets(self, offsets: Mapping[TP, int], **options: Any) -> bool:
        """Faust takes a commit that the broker refused for done; this does not."""
        before = {tp: self._committed_offset[tp] for tp in offsets if tp in self._committed_offset}
        done: bool = await super()._commit_offsets(offsets, **options)
        if not done:
            self._committed_offset.update(before)
        return done

    async def perform_seek(self) -> None:
        """Back to the committed offsets: what was delivered before will be delivered again.

        Faust and aiokafka leave a partition without a committed offset where it is, behind records that were
        fetched and dropped in the rebalance. Those go back to their beginning.
        """
        self.delivered.clear()
        self._missed.clear()
        try:
            await super().perform_seek()
        except IllegalStateError:  # given away this very moment: Faust seeks again when it has new ones
            return
        batched = [tp for tp in self.assignment() if tp.topic in self.app.batched_topics]
        self._sought = {tp: offset for tp in batched if (offset := self._committed_offset[tp])}
        fresh = [tp for tp in batched if tp not in self._sought]
        if fresh:
            beginnings = {tp: offset or 0 for tp, offset in (await self.earliest_offsets(*fresh)).items()}
            await self._seek_to(beginnings)
            self._sought |= beginnings

    async def _seek_to(self, places: Mapping[TP, int]) -> None:
        """Seek the partitions that are still ours; whoever gets the others seeks them."""
        with contextlib.suppress(IllegalStateError):  # given away this very moment: all is sought again
            await self.seek_wait({tp: offset for tp, offset in places.items() if tp in self.assignment()})

    async def _seek_again(self, records: dict[Any, list[Any]]) -> list[Any]:
        """The partitions whose first batch since a seek is not from there: it was fetched before. Seeks again.

        The second time it is so the records are gone from the topic: what is there is taken.
        """
        again = []
        for topic_partition, batch in records.items():
            tp = TP(topic_partition.topic, topic_partition.partition)
            if not batch or tp not in self._sought:
                continue
            start, first = self._sought[tp], batch[0].offset
            if first <= start or self._missed.get(tp) == first:
                if first > start:
                    log.warning("%s %d: records %d to %d are gone", tp.topic, tp.partition, start, first - 1)
                del self._sought[tp]
                continue
            self._missed[tp] = first
            await self._seek_to({tp: start})
            again.append(topic_partition)
        return again

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """A gap in offsets is nothing to track: a checkpoint knows its position."""

    async def on_partitions_revoked(self, revoked: Iterable[TP]) -> None:
        """Forget what was allowed before anything else can happen to the partitions."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._allowed.pop(tp, None)
            self.delivered.pop(tp, None)
            self._sought.pop(tp, None)


class BatchTransport(Transport):
    """aiokafka's transport with the consumer above."""

    Consumer = BatchConsumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        aiokafka_consumer.Fetcher = PacedFetcher  # aiokafka looks them up by these names; it has no other hook
        fetcher.PartitionRecords = LeanRecords
        fetcher.FetchResult = LeanResult


class RawSchema(faust.Schema):
    """Hands the message's key and value on as they are."""

    def compile(self, app: Any, **_: Any) -> Any:
        """The decode function of a topic."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return create_event(message.key, message.value, message.headers, message)

        return decode
