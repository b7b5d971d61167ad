"""The lag of consumer groups as of now, asked of the broker: logs of the kind `kafka`, on the groups' behalf.

    committed offset of each partition ─┐
                                        ├─▶ lag, progress ─▶ <prefix>.logs.kafka ─▶ as any consumer's own report
    end offset, now ────────────────────┘

A consumer that has died says nothing, and what it said last is the lag of when it died. This asks while producers
go on: its lag grows, its offset does not move, and the rules call that STALL. It is a record like any other, so
whatever is decided by it is decided again in a replay.

What a group has committed is a little behind what it has read: between two commits the lag seems higher.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, cast

import orjson
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from stream_monitor import clients, wire
from stream_monitor.plural import counted
from stream_monitor.recording import Recorded
from stream_monitor.replay import Sender
from stream_monitor.settings import Settings
from stream_monitor.terminal import log_to_stderr

LOGGER = "stream_monitor.lag"
_ANSWER_S = 10
_LOOK_S = 0.2
_AGAIN_S = 600.0
log = logging.getLogger(LOGGER)


class Repeats(logging.Filter):
    """What was said in the last ten minutes is not said again."""

    def __init__(self) -> None:
        super().__init__()
        self._said_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is news."""
        now, said = time.monotonic(), record.getMessage()
        self._said_s = {text: at for text, at in self._said_s.items() if now - at < _AGAIN_S}
        if said in self._said_s:
            return False
        self._said_s[said] = now
        return True


refused = logging.getLogger(f"{LOGGER}.refused")
"""What this user may not see, or is no more: a group keeps its offsets of a topic that was deleted."""
refused.addFilter(Repeats())


class Place(NamedTuple):
    """A partition of a group."""

    group: str
    topic: str
    partition: int


class Seen(NamedTuple):
    """How far a group has come in a partition, and how far the partition goes."""

    committed: int
    end: int
    at_ms: int


Looked = Mapping[Place, Seen]


def look(admin: AdminClient, settings: Settings, patterns: Sequence[str]) -> Looked:
    """What the broker says now of the groups whose names fit. Raises KafkaException where it does not answer.

    A group or a topic that this user may not see is left out, with a warning.
    """
    names = [name for name in _groups(admin) if _is_asked_for(name, settings, patterns)]
    committed = {place: offset for name in names for place, offset in _committed(admin, name)}
    places = {TopicPartition(place.topic, place.partition) for place in committed}
    ends, at_ms = _ends(admin, places), time.time_ns() // 1_000_000
    return {
        place: Seen(offset, ends[place.topic, place.partition], at_ms)
        for place, offset in committed.items()
        if (place.topic, place.partition) in ends
    }


def _groups(admin: AdminClient) -> list[str]:
    listed = admin.list_consumer_groups(request_timeout=_ANSWER_S).result(timeout=2 * _ANSWER_S)
    for error in listed.errors:
        if not listed.valid:
            raise KafkaException(error)
        refused.warning("some consumer groups are not listed: %s", error)
    return sorted(group.group_id for group in listed.valid)


def _is_asked_for(name: str, settings: Settings, patterns: Sequence[str]) -> bool:
    """Our own groups only by their full name: the worker's lag is in its own metrics."""
    is_ours = name.startswith(f"{settings.prefix}.") or name == settings.group_id
    return name in patterns or (not is_ours and any(fnmatchcase(name, pattern) for pattern in patterns))


def _committed(admin: AdminClient, group: str) -> Iterable[tuple[Place, int]]:
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=_ANSWER_S)
    try:
        found = asked[group].result(timeout=2 * _ANSWER_S).topic_partitions or []
    except KafkaException as error:
        refused.warning("cannot ask for the offsets of group %s: %s", group, clients.reason(error))
        return
    for each in found:
        if each.error is None and each.offset >= 0:
            yield Place(group, each.topic, each.partition), each.offset


def _ends(admin: AdminClient, places: Iterable[TopicPartition]) -> dict[tuple[str, int], int]:
    wanted = {place: cast("Any", OffsetSpec).latest() for place in places}
    found: dict[tuple[str, int], int] = {}
    for place, future in (admin.list_offsets(wanted, request_timeout=_ANSWER_S) if wanted else {}).items():
        try:
            found[place.topic, place.partition] = future.result(timeout=2 * _ANSWER_S).offset
        except KafkaException as error:
            refused.warning("cannot ask where %s ends: %s", place.topic, clients.reason(error))
    return found


def reports(now: Looked, before: Looked) -> list[Recorded]:
    """A log of each partition, with its progress since the look before where that is known."""
    return [_report(place, seen, before.get(place)) for place, seen in now.items()]


def _report(place: Place, seen: Seen, before: Seen | None) -> Recorded:
    fields: dict[str, Any] = {
        "timestamp": wire.iso(seen.at_ms),
        "level": "INFO",
        "name": LOGGER,
        "message": "consumer group lag",
        "consumer_group": place.group,
        "topic": place.topic,
        "partition": place.partition,
        "consumer_lag": max(0, seen.end - seen.committed),
        "position": seen.committed,
        "end_offset": seen.end,
    }
    if before is not None and seen.at_ms > before.at_ms and seen.committed >= before.committed:
        read, took_s = seen.committed - before.committed, (seen.at_ms - before.at_ms) / 1000
        fields["messages_per_second"] = round(read / took_s, 3)
    return Recorded("logs.kafka", seen.at_ms, orjson.dumps(fields), f"{place.group}/{place.topic}")


def run(settings: Settings, patterns: Sequence[str], interval_s: float, stopped: Callable[[], bool]) -> int:
    """Report every `interval_s` until stopped. Raises MonitorError for what a user can cause."""
    log_to_stderr()
    clients.ensure_broker(settings, stopped)
    sender, admin = Sender(settings, stopped=stopped), clients.admin(settings)
    before: Looked = {}
    groups = -1
    while not stopped():
        due_s = time.monotonic() + interval_s
        try:
            now = look(admin, settings, patterns)
        except (KafkaException, TimeoutError) as error:
            said = clients.reason(error) if isinstance(error, KafkaException) else "no answer in time"
            log.warning("the broker does not answer: %s", said)
        else:
            for record in reports(now, before):
                sender.send(record)
            found = len({place.group for place in now})
            if found != groups:
                log.info("%s with committed offsets", counted(found, "group"))
            before, groups = now, found
        while not stopped() and time.monotonic() < due_s:
            sender.poll()
            time.sleep(_LOOK_S)
    sender.close()
    return 0
