"""Records taken by the compressed batch: what aiokafka's own iterator gives, whatever is asked for at once."""

from __future__ import annotations

import gc
import random
import weakref

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from stream_monitor.worker.transport import LeanRecords

TP = TopicPartition("logs", 0)
PLAIN, LZ4 = 0, 3
CONTROL = 0x20


def batch(base, offsets, codec=LZ4, control=False):
    """One batch as it stands in Kafka; `offsets` are relative and may have gaps, as after a compaction."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=int(control), producer_id=-1, producer_epoch=-1,
        base_sequence=0, batch_size=1 << 20,
    )  # fmt: skip
    for offset in offsets:
        builder.append(offset, 1_705_314_600_000 + offset, b"key", b"value %d" % offset, [])
    data = builder.build()
    data[0:8] = base.to_bytes(8, "big")
    if control:
        data[21:23] = (int.from_bytes(data[21:23], "big") | CONTROL).to_bytes(2, "big")
    return bytes(data)


def fields(records):
    return [(record.offset, record.timestamp, record.key, record.value) for record in records]


def taken(data, start, sizes):
    """Everything, asked for in these sizes over and over."""
    records = LeanRecords(TP, MemoryRecords(data), [], start, None, None, False, 0)
    found = []
    while not records.is_over:
        most = next(sizes)
        some = records.take(most)
        assert most is None or len(some) <= most
        found += fields(some)
    return found, records.next_fetch_offset


def everything(data, start):
    """By aiokafka's own iterator."""
    records = PartitionRecords(TP, MemoryRecords(data), [], start, None, None, False, 0)
    return fields(records), records.next_fetch_offset


@pytest.mark.parametrize("seed", range(30))
def test_what_is_taken_is_what_aiokafka_reads(seed):
    rng = random.Random(seed)
    data, base, first = b"", 100, 0
    for _ in range(rng.randrange(1, 6)):
        length = rng.randrange(1, 40)
        kept = sorted({*rng.sample(range(length), rng.randrange(1, length + 1)), length - 1})
        data += batch(base, kept, rng.choice((PLAIN, LZ4)), control=rng.random() < 0.2)
        base += length
        first = first or base
    start = rng.randrange(100, first)  # a broker answers with the batch that holds it
    sizes = iter(lambda: rng.choice((1, 2, 7, 40, None)), object())
    assert taken(data, start, sizes) == everything(data, start)


def test_a_batch_whose_checksum_is_wrong_is_not_handed_on():
    data = bytearray(batch(0, range(5)) + batch(5, range(5)))
    data[-1] ^= 1
    records = LeanRecords(TP, MemoryRecords(bytes(data)), [], 0, None, None, True, 0)
    assert len(records.take(5)) == 5
    with pytest.raises(CorruptRecordException):
        records.take(5)
    assert records.next_fetch_offset == 5


def test_a_fetch_is_gone_when_it_is_used_up():
    """Without the collector: it is a megabyte, and the worker's collector comes by rarely."""
    data = batch(0, range(10))
    records = LeanRecords(TP, MemoryRecords(data), [], 0, None, None, False, 0)
    records.take(None)
    alive = weakref.ref(records)
    gc.disable()
    try:
        del records
        assert alive() is None
    finally:
        gc.enable()
