"""Where topics end, and how far the workers have come: offsets by topic and partition."""

from __future__ import annotations

import time
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_monitor import clients, topics
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings

SOURCES = tuple(f"logs.{kind}" for kind in KINDS)

Offsets = dict[tuple[str, int], int]
"""By (topic, partition)."""

_ANSWER_S = 10
_AGAIN_S = 0.2
_ON_ITS_WAY = frozenset(
    {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS}
)
"""Said of a group while its coordinator is found or moves: for a moment after a cluster's first group, too."""


def ends(settings: Settings, names: Iterable[str]) -> Offsets:
    """The end offset of every partition of the topics, named without the prefix."""
    consumer = clients.consumer(settings)
    try:
        return {
            (place.topic, place.partition): consumer.get_watermark_offsets(place, timeout=_ANSWER_S)[1]
            for place in _places(settings, names)
        }
    finally:
        consumer.close()


def committed(settings: Settings, names: Iterable[str]) -> Offsets:
    """What the workers' checkpoints have committed: the next offset to read; 0 where there is no commit yet."""
    consumer = clients.consumer(settings, **{"group.id": settings.group_id})
    try:
        places = _committed(consumer, _places(settings, names))
        return {(place.topic, place.partition): max(0, place.offset) for place in places}
    finally:
        consumer.close()


def _committed(consumer: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
    deadline = time.monotonic() + _ANSWER_S
    while True:
        try:
            return consumer.committed(places, timeout=_ANSWER_S)
        except KafkaException as error:
            if clients.code(error) not in _ON_ITS_WAY or time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_S)


def behind(settings: Settings, upto: Offsets) -> int:
    """How many records before `upto` are not in a committed checkpoint."""
    prefix = len(settings.topic(""))
    at = committed(settings, sorted({topic[prefix:] for topic, _ in upto}))
    return sum(max(0, end - at[place]) for place, end in upto.items())


def _places(settings: Settings, names: Iterable[str]) -> list[TopicPartition]:
    counts = topics.partition_counts(settings)
    return [TopicPartition(settings.topic(name), p) for name in names for p in range(counts[name])]
