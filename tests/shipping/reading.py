"""What is in a topic, with keys and headers."""

from __future__ import annotations

from collections import defaultdict

import orjson
from confluent_kafka import TopicPartition

from stream_monitor import clients, topics


def messages(settings, name="logs.ml"):
    """All messages of a topic up to its end as of now, by partition in order."""
    consumer = clients.consumer(settings, **{"group.id": "tests", "enable.partition.eof": True})
    count = topics.partition_counts(settings)[name]
    consumer.assign([TopicPartition(settings.topic(name), p, 0) for p in range(count)])
    found, ends = [], 0
    while ends < count:
        for message in consumer.consume(5000, timeout=0.3):
            if message.error():
                ends += 1
            else:
                found.append(message)
    consumer.close()
    return found


def header(message, name):
    return dict(message.headers())[name].decode()


def numbers(found):
    """By model version: the numbers logged, in order. A repeat (by ce_id) says the same and counts once."""
    by_key, by_id = defaultdict(list), {}
    for message in found:
        ce_id = header(message, "ce_id")
        if ce_id in by_id:
            assert by_id[ce_id] == message.value()
            continue
        by_id[ce_id] = message.value()
        by_key[message.key().decode().partition("/")[2]].append(orjson.loads(message.value())["number"])
    return dict(by_key)
