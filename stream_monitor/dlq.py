"""Reads the dead-letter queue for a person or a script."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable

from confluent_kafka import TopicPartition

from stream_monitor import clients, topics
from stream_monitor.errors import MonitorError
from stream_monitor.settings import Settings


def run(settings: Settings, *, follow: bool, limit: int, stopped: Callable[[], bool]) -> int:
    """Print the newest `limit` records, then, with `follow`, what comes. Returns 0; none is none.

    Raises MonitorError where the broker stops answering before the newest are read.
    """
    clients.ensure_broker(settings, stopped)
    topics.check(settings, ("dlq",))
    topic = settings.topic("dlq")
    consumer = clients.consumer(settings)
    try:
        places, left = [], 0
        for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            start = max(low, high - limit)
            left += high - start
            places.append(TopicPartition(topic, partition, start))
        consumer.assign(places)
        newest: deque[bytes] = deque(maxlen=limit)
        deadline = time.monotonic() + 10
        while left > 0 and not stopped() and time.monotonic() < deadline:
            for message in consumer.consume(1000, timeout=0.2):
                if message.error() is None:
                    newest.append(message.value() or b"")
                    left -= 1
        for value in newest:
            _print(value)
        if left > 0 and not stopped():
            raise MonitorError(f"the broker stopped answering while {topic} was read; {left} records are left")
        while follow and not stopped():
            for message in consumer.consume(100, timeout=0.2):
                if message.error() is None:
                    _print(message.value() or b"")
    finally:
        consumer.close()
    return 0


def _print(value: bytes) -> None:
    sys.stdout.write(value.decode("utf-8", "replace") + "\n")
    sys.stdout.flush()
