"""The log records behind an exemplar: the one at its coordinates, with key and headers, and its neighbours."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import cast

from confluent_kafka import KafkaException, Message, TopicPartition

from stream_monitor import clients
from stream_monitor.errors import MonitorError
from stream_monitor.settings import Settings

NEIGHBOURS = 20
"""Records before it, and as many after."""

_ANSWER_S = 10.0
_WAIT_S = 0.2


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A source record as it stands in Kafka."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch of a partition around an offset. [low, high) is what Kafka still holds of the partition."""

    topic: str
    partition: int
    offset: int
    records: list[RawRecord]
    low: int
    high: int

    @property
    def is_gone(self) -> bool:
        """The record itself is not there any more: its topic's retention has taken it."""
        return all(record.offset != self.offset for record in self.records)


def read_around(
    settings: Settings,
    topic: str,
    partition: int,
    offset: int,
    *,
    before: int = NEIGHBOURS,
    after: int = NEIGHBOURS,
) -> Excerpt:
    """Read the record and its neighbours.

    Raises KafkaException where topic or broker are not there, MonitorError where the broker stops answering.
    """
    consumer = clients.consumer(settings, **{"fetch.wait.max.ms": 50, "queued.min.messages": before + after + 1})
    try:
        place = TopicPartition(topic, partition)
        low, high = consumer.get_watermark_offsets(place, timeout=_ANSWER_S)
        start, end = max(low, offset - before), min(high, offset + after + 1)
        found: list[RawRecord] = []
        if start < end:
            consumer.assign([TopicPartition(topic, partition, start)])
            deadline = time.monotonic() + _ANSWER_S
            while True:
                for message in consumer.consume(end - start, timeout=_WAIT_S):
                    error = message.error()
                    if error is not None:
                        raise KafkaException(error)
                    if (message.offset() or 0) < end:
                        found.append(_record(message))
                if consumer.position([place])[0].offset >= end:
                    break
                if time.monotonic() > deadline:
                    raise MonitorError(f"the broker stopped answering while {topic} was read at {offset}")
        return Excerpt(topic, partition, offset, found, low, high)
    finally:
        consumer.close()


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _record(message: Message) -> RawRecord:
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    return RawRecord(
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple((name, _bytes(value)) for name, value in headers),
    )
