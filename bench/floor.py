"""The floor: a confluent-kafka loop that consumes the source topics and `orjson.loads` each record; no more.

python -m bench.floor BROKER PREFIX RECORDS → one JSON line: seconds from the first record to the last, CPU seconds
"""

from __future__ import annotations

import json
import resource
import sys
import time

import orjson
from confluent_kafka import Consumer, TopicPartition


def main(broker: str, prefix: str, records: int) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": "floor",
            "enable.auto.commit": False,
            "queued.min.messages": 1_000_000,
            "fetch.queue.backoff.ms": 5,
            "check.crcs": False,
        }
    )
    names = [f"{prefix}.logs.{kind}" for kind in ("airflow", "kafka", "ml")]
    metadata = consumer.list_topics(timeout=10)
    cpu = cpu_seconds()
    consumer.assign([TopicPartition(n, p, 0) for n in names for p in metadata.topics[n].partitions])
    loads, seen, first = orjson.loads, 0, None
    while seen < records:
        messages = consumer.consume(10_000, 0.05)
        if messages and first is None:
            first = time.monotonic()
        for message in messages:
            loads(message.value())
        seen += len(messages)
    print(json.dumps({"seconds": time.monotonic() - first, "cpu": cpu_seconds() - cpu}))
    consumer.close()


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
