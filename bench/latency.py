"""From a log's produce to the provisional window that holds it in metrics.live, at a steady rate.

python -m bench.latency [--rates 1000,10000,50000] [--seconds 30]

Every series goes to one partition, so a result of revision r holds the first r logs of its series and minute: a
log is seen when the first result with at least its number arrives. The worker has one core, all else the other.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections import defaultdict
from datetime import date
from pathlib import Path

import numpy as np
import orjson
import psutil
from confluent_kafka import TopicPartition

from bench.__main__ import REST, WORK
from stream_monitor import clients, topics, wire
from stream_monitor.broker import free_port
from stream_monitor.settings import Settings
from stream_monitor.testing import brokers
from tests.workers import WorkerProcess, wait_for

SERIES = 100
TICK_S = 0.01
WARM_UP_S = 5.0
"""Sent first, and not counted: the first fetch, the first rows."""
Window = tuple[str, int]
"""(service, start in ms)."""


def send(settings: Settings, rate: int, seconds: float, sent: dict[Window, list[float]]) -> None:
    """Predictions at the rate; when each was given to the producer, by window and number."""
    producer = clients.producer(settings, **{"linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
    topic, began, number = settings.topic("logs.ml"), time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        now_ms = time.time_ns() // 1_000_000
        stamp, start_ms = wire.iso(now_ms), now_ms // 60_000 * 60_000
        while number < passed * rate:
            service = f"s{number % SERIES}"
            value = b'{"timestamp":"%b","level":"INFO","service":"%b","model_version":"v","latency_ms":12.5}' % (
                stamp.encode(), service.encode(),
            )  # fmt: skip
            sent[service, start_ms].append(time.monotonic())
            producer.produce(topic, value, service)
            number += 1
        producer.poll(0)
        time.sleep(TICK_S)
    producer.flush()


def watch(settings: Settings, over: threading.Event, seen: list[tuple[Window, int, float]]) -> None:
    """Every provisional or final result: (window, revision, when it came)."""
    consumer = clients.consumer(settings, **{"group.id": "latency", "fetch.wait.max.ms": 10})
    counts = topics.partition_counts(settings)
    names = ("metrics.live", "metrics.1m")
    consumer.assign([TopicPartition(settings.topic(n), p, 0) for n in names for p in range(counts[n])])
    while not over.is_set():
        for message in consumer.consume(1000, 0.02):
            if not message.error():
                found, now = orjson.loads(message.value()), time.monotonic()
                start_ms = wire.from_iso(found["window"]["start"])
                seen.append(((found["labels"]["service"], start_ms), found["revision"], now))
    consumer.close()


def latencies(sent: dict[Window, list[float]], seen: list[tuple[Window, int, float]], since: float) -> list[float]:
    """Seconds of every log that was sent since then, and seen."""
    upto: dict[Window, int] = defaultdict(int)
    found = []
    for window, revision, at in seen:
        first, times = upto[window], sent[window]
        found += [at - t for t in times[first:revision] if t >= since]
        upto[window] = max(first, revision)
    return found


def run(address: str, rate: int, seconds: float) -> tuple[int, int, np.ndarray]:
    """(logs sent, logs seen, p50, p95, p99 and maximum in ms)."""
    settings = Settings(broker=address, prefix=f"latency{rate}", http_port=free_port())
    topics.apply(settings, replication_factor=1)
    sent: dict[Window, list[float]] = defaultdict(list)
    seen: list[tuple[Window, int, float]] = []
    over = threading.Event()
    with tempfile.TemporaryDirectory() as folder, WorkerProcess(settings, Path(folder) / "data",
            STREAM_MONITOR_FLUSH_INTERVAL="1", STREAM_MONITOR_CHECKPOINT_INTERVAL="5") as worker:  # fmt: skip
        inside = psutil.Process(worker.process.pid)
        inside.cpu_affinity(list(WORK))
        for thread in inside.threads():
            os.sched_setaffinity(thread.id, WORK)
        wait_for(lambda: "ready" in worker.log.read_text(), 60, worker)
        watcher = threading.Thread(target=watch, args=(settings, over, seen))
        watcher.start()
        since = time.monotonic() + WARM_UP_S
        send(settings, rate, WARM_UP_S + seconds, sent)
        time.sleep(5)
        over.set()
        watcher.join()
    found = latencies(sent, seen, since)
    counted = sum(t >= since for times in sent.values() for t in times)
    return counted, len(found), np.quantile(found, (0.5, 0.95, 0.99, 1.0)) * 1000


def main() -> None:
    """A row for each rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="1000,10000,50000")
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    os.sched_setaffinity(0, REST)
    print(f"{date.today()}, {SERIES} series, a flush every second\n")
    print("| logs/s | sent | seen | p50 ms | p95 ms | p99 ms | most ms |\n|---|---|---|---|---|---|---|")
    with brokers.kafka() as address:
        for rate in map(int, options.rates.split(",")):
            total, seen, (p50, p95, p99, most) = run(address, rate, options.seconds)
            print(
                f"| {rate:,} | {total:,} | {seen:,} | {p50:.0f} | {p95:.0f} | {p99:.0f} | {most:.0f} |", flush=True
            )


if __name__ == "__main__":
    main()
