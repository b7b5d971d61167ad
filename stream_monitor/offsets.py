"""Where topics end, and how far the workers have come: offsets by topic and partition."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_monitor import clients, topics
from stream_monitor.errors import MonitorError
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


class Asker:
    """One client that answers many questions, so that it connects once; for one thread at a time.

    It belongs to a group by its name alone: it joins none, and commits nothing. Questions raise KafkaException
    where the broker does not answer (they may be asked again when it does), and MonitorError for a topic that is
    not there.
    """

    def __init__(self, settings: Settings, **extra: Any) -> None:
        """`extra` is librdkafka's."""
        self._settings = settings
        self._consumer = clients.consumer(settings, **extra)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def ends(self, names: Sequence[str]) -> Offsets:
        """The end offset of every partition of the topics, named without the prefix."""
        return {
            (place.topic, place.partition): self._consumer.get_watermark_offsets(place, timeout=_ANSWER_S)[1]
            for place in self._places(names)
        }

    def committed(self, names: Sequence[str]) -> Offsets:
        """What the group has committed: the next offset to read; 0 where there is no commit yet."""
        places = _committed(self._consumer, self._places(names))
        return {(place.topic, place.partition): max(0, place.offset) for place in places}

    def behind(self, upto: Offsets) -> int:
        """How many records before `upto` are not in a committed checkpoint."""
        prefix = len(self._settings.topic(""))
        at = self.committed(sorted({topic[prefix:] for topic, _ in upto}))
        return sum(max(0, end - at[place]) for place, end in upto.items())

    def _places(self, names: Sequence[str]) -> list[TopicPartition]:
        counts = topics.counts_in(self._consumer.list_topics(timeout=_ANSWER_S), self._settings)
        for name in names:
            if name not in counts:
                raise MonitorError(f"topic {self._settings.topic(name)} is not there")
        return [TopicPartition(self._settings.topic(name), p) for name in names for p in range(counts[name])]


def of_workers(settings: Settings) -> Asker:
    """One that asks for what the workers' checkpoints have committed, too."""
    return Asker(settings, **{"group.id": settings.group_id})


def ends(settings: Settings, names: Sequence[str]) -> Offsets:
    """`Asker.ends`, once; it takes no right to the workers' group."""
    with Asker(settings) as asker:
        return asker.ends(names)


def committed(settings: Settings, names: Sequence[str]) -> Offsets:
    """`Asker.committed` of the workers, once."""
    with of_workers(settings) as asker:
        return asker.committed(names)


def behind(settings: Settings, upto: Offsets) -> int:
    """`Asker.behind` of the workers, once."""
    with of_workers(settings) as asker:
        return asker.behind(upto)


def _committed(consumer: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
    deadline = time.monotonic() + _ANSWER_S
    while True:
        try:
            return consumer.committed(places, timeout=_ANSWER_S)
        except KafkaException as error:
            if clients.code(error) not in _ON_ITS_WAY or time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_S)
