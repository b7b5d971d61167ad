"""One consumer without a group: it follows topics from where it began, and reads what was before when asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from confluent_kafka import OFFSET_END, OFFSET_INVALID, Consumer, KafkaException, Message, TopicPartition

from stream_monitor import clients
from stream_monitor.errors import MonitorError, StoppedError
from stream_monitor.feed.spin import LOOK_MS, Spin
from stream_monitor.settings import Settings

_BATCH = 2_000
_ANSWER_S = 10.0
_PATIENCE_S = 10.0
_LOOK_S = 0.05
_LOOK_AT_MOST_S = 2.0

Place = tuple[str, int]
"""(topic without prefix, partition)."""

Batch = list[tuple[Place, bytes | None]]


class Reader:
    """Raises KafkaException and MonitorError where the broker goes away, StoppedError soon after `stopped()`."""

    def __init__(self, settings: Settings, partitions: Mapping[str, int], stopped: Callable[[], bool]) -> None:
        """`partitions`: of the topics to follow, by name without prefix."""
        self.is_down = False
        """The client has said that no broker answers; a probe tells."""
        self._settings = settings
        self._stopped = stopped
        self._prefix = len(settings.topic(""))
        self._spin = Spin()
        self._consumer: Consumer = clients.consumer(
            settings,
            **{
                "fetch.wait.max.ms": 100,
                "fetch.queue.backoff.ms": 5,
                "auto.offset.reset": "error",  # of a topic that was deleted and made anew: all is read again
                "queued.min.messages": 20_000,
                "queued.max.messages.kbytes": 32_768,
                "error_cb": self._on_error,
                "statistics.interval.ms": LOOK_MS,
                "stats_cb": self._spin.take,
            },
        )
        self._places = [(name, p) for name, count in partitions.items() for p in range(count)]
        self._next: dict[Place, int] = {}
        """The offset that is followed next."""
        self._assigned: set[Place] | None = None
        """What is fetched to be followed; None: something else is."""

    def _on_error(self, _error: object) -> None:
        self.is_down = True

    @property
    def rests(self) -> bool:
        """The broker does not hold idle fetches back: only where topics have gone on is anything fetched."""
        return self._spin.found

    def begin(self) -> None:
        """From here on everything is followed."""
        for place in self._places:
            self._next[place] = self._ends(place)[1]

    def close(self) -> None:
        """No more reading."""
        self._consumer.close()

    def probe(self, timeout_s: float) -> None:
        """Return if the broker answers; raise KafkaException if not."""
        self._consumer.get_watermark_offsets(self._at(self._places[0]), timeout=timeout_s)
        self.is_down = False

    def partitions(self, name: str) -> int:
        """How many the topic has."""
        return sum(1 for topic, _ in self._places if topic == name)

    def distance(self, name: str, since_ms: Sequence[int]) -> int:
        """How many records lie between these times, one for each partition, and what is followed."""
        return sum(self._next[place] - start for place, start in self._starts(name, since_ms).items())

    def before(
        self, name: str, since_ms: Sequence[int | None], until_ms: int | None = None
    ) -> Iterator[tuple[int, list[bytes | None]]]:
        """A topic's records before those that are followed, as (partition, values), in batches.

        Of each partition from the first one of its time on (None: nothing), up to the first of `until_ms`.
        """
        starts = self._starts(name, since_ms)
        ends = {place: self._next[place] for place in starts}
        if until_ms is not None:
            ends |= self._starts(name, [until_ms if since is not None else None for since in since_ms])
        ends = {place: end for place, end in ends.items() if starts.get(place, end) < end}
        self._assigned = None
        self._consumer.assign([self._at(place, starts[place]) for place in ends])
        patience = time.monotonic() + _PATIENCE_S
        while ends:
            batch = self._fetch(_LOOK_S)
            if batch:
                yield from _by_partition(batch).items()
                patience = time.monotonic() + _PATIENCE_S  # what is done with it is not the broker's time
            if time.monotonic() > patience:
                raise MonitorError(f"the broker stopped answering while {self._settings.topic(name)} was read")
            self._leave_what_is_read(ends)

    def _leave_what_is_read(self, ends: dict[Place, int]) -> None:
        done = []
        for at in self._consumer.position([self._at(place) for place in ends]):
            place = (at.topic[self._prefix :], at.partition)
            if at.offset >= ends[place]:
                del ends[place]
                done.append(self._at(place))
        if done:
            self._consumer.incremental_unassign(done)

    def follow(self, timeout_s: float) -> Batch:
        """What has come, after at most this time."""
        if not self.rests:
            self._assign(set(self._next))
            return self._fetch(timeout_s, moves=True)
        behind = self._behind()
        self._assign(behind)
        if not behind:
            time.sleep(min(timeout_s, _LOOK_S))
        return self._fetch(timeout_s if behind else 0.0, moves=True)

    def _assign(self, places: set[Place]) -> None:
        """Fetch these from where they are followed; more are, where they already were: what is fetched is kept."""
        if self._assigned is None or not places or not places <= self._assigned:
            self._consumer.assign([self._at(place, self._next[place]) for place in places])
            self._assigned = places

    def _behind(self) -> set[Place]:
        """Where a topic goes on behind what has been followed. Raises MonitorError where it ends before that."""
        wanted = [self._at(place, OFFSET_END) for place in self._next]
        try:
            found = self._consumer.offsets_for_times(wanted, timeout=_LOOK_AT_MOST_S)
        except KafkaException:
            self.is_down = True
            return set()
        ends = {(at.topic[self._prefix :], at.partition): at for at in found}
        for at in ends.values():
            if at.error is not None:
                raise KafkaException(at.error)
        anew = [place for place, at in ends.items() if at.offset < self._next[place]]
        if anew:
            raise MonitorError(f"{self._settings.topic(anew[0][0])} has been made anew")
        return {place for place, at in ends.items() if at.offset > self._next[place]}

    def _fetch(self, timeout_s: float, *, moves: bool = False) -> Batch:
        if self._stopped():
            raise StoppedError("stopped while it read")
        found: Batch = []
        for message in self._messages(timeout_s):
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            place = ((message.topic() or "")[self._prefix :], message.partition() or 0)
            if moves:
                self._next[place] = (message.offset() or 0) + 1
            found.append((place, message.value()))
        return found

    def _messages(self, timeout_s: float) -> list[Message]:
        """What is there, at most a batch; else what comes first. (A batch would be waited for in full.)"""
        first = self._consumer.consume(1, timeout=timeout_s)
        return [*first, *self._consumer.consume(_BATCH - 1, timeout=0)] if first else first

    def _starts(self, name: str, since_ms: Sequence[int | None]) -> dict[Place, int]:
        """By place: the first offset of its time on; what is followed, where there is nothing that young."""
        wanted = [
            TopicPartition(self._settings.topic(name), p, since)
            for p, since in enumerate(since_ms)
            if since is not None
        ]
        found = {}
        for at in self._consumer.offsets_for_times(wanted, timeout=_ANSWER_S) if wanted else ():
            place = (name, at.partition)
            found[place] = min(at.offset, self._next[place]) if at.offset >= 0 else self._next[place]
        return found

    def _ends(self, place: Place) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(self._at(place), timeout=_ANSWER_S)
        return low, high

    def _at(self, place: Place, offset: int = OFFSET_INVALID) -> TopicPartition:
        return TopicPartition(self._settings.topic(place[0]), place[1], offset)


def _by_partition(batch: Batch) -> dict[int, list[bytes | None]]:
    found: dict[int, list[bytes | None]] = {}
    for (_, partition), value in batch:
        found.setdefault(partition, []).append(value)
    return found
