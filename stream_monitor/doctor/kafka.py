"""What Kafka says: the cluster, its topics, its clock, how far the workers are, what was rejected."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AclOperation, AdminClient, NewTopic

from stream_monitor import broker, clients, offsets, topics
from stream_monitor.doctor import rights
from stream_monitor.doctor.finding import Finding
from stream_monitor.doctor.rights import ANSWER_S
from stream_monitor.errors import MonitorError
from stream_monitor.settings import Settings

_TRIES = 3
_SKEW_WARN_S, _SKEW_FAIL_S = 2.0, 60.0
_WAITS_S = 60.0
"""A log that waits longer than this has a worker that is behind."""
_HOUR_MS = 3_600_000


def cluster(admin: AdminClient, settings: Settings) -> Iterator[Finding]:
    """Who answers."""
    said = admin.describe_cluster(request_timeout=ANSWER_S).result(timeout=ANSWER_S)
    if broker.is_embedded(settings):
        says = f"the embedded stand-in answers at {settings.broker}"
        yield Finding("warn", "broker", says, "use Apache Kafka for anything but a demo and tests")
        return
    controller = said.controller.id if said.controller else "unknown"
    brokers = "1 broker" if len(said.nodes) == 1 else f"{len(said.nodes)} brokers"
    says = f"{settings.broker} answers: cluster {said.cluster_id}, {brokers}, controller {controller}"
    yield Finding("ok", "broker", says)


def declared(admin: AdminClient, settings: Settings) -> Iterator[Finding]:
    """The topics as they are declared, and as they are."""
    allowed = rights.of_topics(admin, settings)
    every = topics.declared()
    missing = [topic for topic in every if topic.name not in allowed]
    if missing:
        says = f"{len(missing)} of {len(every)} of {settings.prefix}.* are missing, or not for this user to see: "
        says += missing[0].name
        says += f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        told = allowed and None not in allowed.values()
        hidden = told and not _is_super(admin)
        yield Finding("warn" if hidden else "fail", "topics", says, _how_to_make(admin, settings, missing[0]))
    if any(has is not None and AclOperation.DESCRIBE_CONFIGS not in has for has in allowed.values()):
        yield Finding("warn", "topics", "their configuration was not compared: this user may not describe it")
        return
    changes = topics.plan(settings, [topic for topic in every if topic.name in allowed])
    for change in changes:
        serious = change.action == "impossible"
        do = "a new prefix, or the setting that it names" if serious else "stream-monitor topics apply"
        yield Finding("fail" if serious else "warn", "topics", str(change), do)
    if not missing and not changes:
        yield Finding("ok", "topics", f"all {len(every)} of {settings.prefix}.* are as declared")


def _is_super(admin: AdminClient) -> bool:
    """Nothing is hidden from this user: the broker asks nobody who he is, or this is a super user."""
    said = admin.describe_cluster(include_authorized_operations=True, request_timeout=ANSWER_S)
    return AclOperation.CLUSTER_ACTION in (said.result(timeout=ANSWER_S).authorized_operations or ())


def _how_to_make(admin: AdminClient, settings: Settings, topic: topics.Topic) -> str:
    """The broker is asked whether it would make a topic, and makes none."""
    name = settings.topic(topic.name)
    new = NewTopic(name, 1, -1)
    try:
        admin.create_topics([new], validate_only=True, request_timeout=ANSWER_S)[name].result(timeout=ANSWER_S)
    except KafkaException as error:
        return f"stream-monitor topics apply, by another user: {name}: {clients.reason(error)}"
    return "stream-monitor topics apply; this user may make them"


def clock(admin: AdminClient, settings: Settings) -> Iterator[Finding]:
    """The broker's clock and ours, by records in a topic that is made for it and deleted."""
    allowed = rights.of_topics(admin, settings)
    if not allowed:
        return
    needed = {AclOperation.CREATE, AclOperation.DELETE, AclOperation.WRITE}
    if any(has is not None and not needed <= has for has in allowed.values()):
        do = f"look at NTP on both, or run doctor as one who may create, write and delete {settings.prefix}.*"
        yield Finding("warn", "clock", "not compared with the broker's: this user may not make a topic for it", do)
        return
    with _topic_for_a_moment(admin, settings) as name:
        skew_s, bound_s = min((_skew(settings, name) for _ in range(_TRIES)), key=lambda each: each[1])
    side = "ahead of" if skew_s > 0 else "behind"
    says = f"the broker's clock is {abs(skew_s):.2f} s {side} ours (± {bound_s:.2f} s)"
    over = abs(skew_s) - bound_s
    if over > _SKEW_WARN_S:
        do = f"set both by NTP; logs more than {settings.future_tolerance:g} s ahead are rejected"
        yield Finding("fail" if over > _SKEW_FAIL_S else "warn", "clock", says, do)
    else:
        yield Finding("ok", "clock", says)


@contextmanager
def _topic_for_a_moment(admin: AdminClient, settings: Settings) -> Iterator[str]:
    name = settings.topic(f"doctor.{uuid.uuid4().hex[:8]}")
    new = NewTopic(name, 1, -1, config={"message.timestamp.type": "LogAppendTime", "retention.ms": "3600000"})
    admin.create_topics([new], request_timeout=ANSWER_S)[name].result(timeout=ANSWER_S)
    try:
        yield name
    finally:
        admin.delete_topics([name], request_timeout=ANSWER_S)[name].result(timeout=ANSWER_S)


def _skew(settings: Settings, topic: str) -> tuple[float, float]:
    """(The broker's clock less ours, how far off that may be) in seconds, by one record."""
    stamps: list[float] = []
    producer = clients.producer(settings, **{"linger.ms": 0, "delivery.timeout.ms": round(ANSWER_S * 1000)})
    for _ in range(2):  # the first one pays for the connection
        before = time.time()
        producer.produce(topic, b"", on_delivery=lambda _, message: stamps.append(message.timestamp()[1] / 1000))
        producer.flush(ANSWER_S)
        after = time.time()
    if len(stamps) < 2:
        raise MonitorError(f"a record in {topic} was not acknowledged")
    return stamps[-1] - (before + after) / 2, (after - before) / 2 + 0.001


def workers(admin: AdminClient, settings: Settings) -> Iterator[Finding]:
    """Are there any, and how far have they come?"""
    group = settings.group_id
    names = [f"logs.{kind}" for kind in settings.kinds]
    if not {*names} <= topics.partition_counts(settings).keys():
        return
    members = _members(admin, group)  # first: it says so where this user may not see the group
    ends = offsets.ends(settings, names)
    at = offsets.committed(settings, names)
    behind = {place: end - at[place] for place, end in ends.items() if end > at[place]}
    waits_s = max((_waits_s(settings, place, at[place]) for place in behind), default=0.0)
    records = sum(behind.values())
    says = f"{members or 'no'} {'worker' if members == 1 else 'workers'} in the group {group}; "
    says += (
        f"{records:,} logs are not folded, the first of them for {waits_s:.0f} s"
        if records
        else "all logs are folded"
    )
    if not members:
        yield Finding("warn", "workers", says, "start one: stream-monitor worker")
    elif waits_s > _WAITS_S:
        yield Finding("warn", "workers", says, "look at the worker's log; more workers share the partitions")
    else:
        yield Finding("ok", "workers", says)


def _members(admin: AdminClient, group: str) -> int:
    described = admin.describe_consumer_groups([group], request_timeout=ANSWER_S)[group]
    try:
        return len(described.result(timeout=ANSWER_S).members)
    except KafkaException as error:
        if clients.code(error) == KafkaError.GROUP_ID_NOT_FOUND:
            return 0
        raise


def _waits_s(settings: Settings, place: tuple[str, int], offset: int) -> float:
    """How long the record at an offset has been there; 0 where it is gone."""
    consumer = clients.consumer(settings)
    try:
        consumer.assign([TopicPartition(*place, offset)])
        message = consumer.poll(ANSWER_S / 3)
        if message is None or message.error() is not None:
            return 0.0
        return max(0.0, time.time() - message.timestamp()[1] / 1000)
    finally:
        consumer.close()


def dead_letters(settings: Settings) -> Iterator[Finding]:
    """How many in the last hour."""
    count = topics.partition_counts(settings).get("dlq")
    if count is None:
        return
    consumer = clients.consumer(settings)
    try:
        recent = sum(_since(consumer, settings, partition) for partition in range(count))
    finally:
        consumer.close()
    if recent:
        says = f"{recent:,} {'record was' if recent == 1 else 'records were'} rejected in the last hour"
        yield Finding("warn", "dlq", says, "stream-monitor dlq says which, and why")
    else:
        yield Finding("ok", "dlq", "no record was rejected in the last hour")


def _since(consumer: Consumer, settings: Settings, partition: int) -> int:
    at_ms = time.time_ns() // 1_000_000 - _HOUR_MS
    place = TopicPartition(settings.topic("dlq"), partition, at_ms)
    [start] = consumer.offsets_for_times([place], timeout=ANSWER_S)
    _, end = consumer.get_watermark_offsets(place, timeout=ANSWER_S)
    return max(0, end - start.offset) if start.offset >= 0 else 0
