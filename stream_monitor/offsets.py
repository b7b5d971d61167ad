"""Where topics end, and how far the workers have come: offsets by topic and partition."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import TopicPartition

from stream_monitor import clients, topics
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings

SOURCES = tuple(f"logs.{kind}" for kind in KINDS)

Offsets = dict[tuple[str, int], int]
"""By (topic, partition)."""

_ANSWER_S = 10


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
        places = consumer.committed(_places(settings, names), timeout=_ANSWER_S)
        return {(place.topic, place.partition): max(0, place.offset) for place in places}
    finally:
        consumer.close()


def behind(settings: Settings, upto: Offsets) -> int:
    """How many records before `upto` are not in a committed checkpoint."""
    prefix = len(settings.topic(""))
    at = committed(settings, sorted({topic[prefix:] for topic, _ in upto}))
    return sum(max(0, end - at[place]) for place, end in upto.items())


def _places(settings: Settings, names: Iterable[str]) -> list[TopicPartition]:
    counts = topics.partition_counts(settings)
    return [TopicPartition(settings.topic(name), p) for name in names for p in range(counts[name])]
