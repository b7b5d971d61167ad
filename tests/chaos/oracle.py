"""What a chaos run must have made: from the source topics themselves, by brute force, without the project's core.

A record is late by its own partition: its minute's end and `lateness` are behind the latest event time that the
partition has had before it. Everything else is fixtures/expect.py.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

from confluent_kafka import TopicPartition

from stream_monitor import clients, topics
from stream_monitor.settings import Settings
from tests.expected import Key, expect

expect.bucket = lru_cache(maxsize=None)(expect.bucket)

Place = tuple[str, int, int]


def read_all(settings: Settings, name: str) -> dict[int, list[tuple[int, int, bytes | None]]]:
    """By partition: (offset, Kafka timestamp, value) of every record, in order."""
    count = topics.partition_counts(settings)[name]
    consumer = clients.consumer(settings, **{"group.id": "oracle", "enable.partition.eof": True})
    consumer.assign([TopicPartition(settings.topic(name), p, 0) for p in range(count)])
    found: dict[int, list[tuple[int, int, bytes | None]]] = {p: [] for p in range(count)}
    ends = 0
    while ends < count:
        for message in consumer.consume(5000, timeout=0.5):
            if message.error():
                ends += 1
            else:
                found[message.partition()].append((message.offset(), message.timestamp()[1], message.value()))
    consumer.close()
    return found


def expected(settings: Settings) -> tuple[dict[Key, dict[str, Any]], dict[Place, str], Counter[tuple[str, int]]]:
    """(windows, reason of each rejected record by its place, records read by source partition)."""
    lateness_ms = round(settings.lateness * 1000)
    kept, rejected, read = [], {}, Counter()
    for kind in ("airflow", "kafka", "ml"):
        topic = settings.topic(f"logs.{kind}")
        for partition, records in read_all(settings, f"logs.{kind}").items():
            watermark = 0
            read[topic, partition] = len(records)
            for offset, kafka_ms, value in records:
                try:
                    at = expect.read(kind, value, kafka_ms)["at"]
                except expect.Reject as reject:
                    rejected[topic, partition, offset] = reject.args[0]
                    continue
                watermark = max(watermark, at)
                if at // 60_000 * 60_000 + 60_000 + lateness_ms < watermark:
                    rejected[topic, partition, offset] = "late"
                else:
                    kept.append((kind, kafka_ms, value))
    windows, more = expect.windows(kept)
    assert not more
    return windows, rejected, read
