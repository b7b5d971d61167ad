"""What steady traffic costs: cores of the worker and of the broker, and what is written to which topics.

python -m bench.steady [--seconds 30]

The mixed load at a fixed rate, one worker pinned to one core, the sender and the broker on the other. These are
the figures that a deployment is planned by: docs/explanation/sizing.md.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path

import orjson
import psutil

from bench.__main__ import REST, WORK, peak_mb, used
from bench.load import MIX, record
from stream_monitor import clients, offsets, topics, wire
from stream_monitor.broker import free_port
from stream_monitor.settings import Settings
from stream_monitor.testing.brokers import JarsKafka
from tests.workers import WorkerProcess, wait_for

CASES = (
    (1000, 100, 1),
    (10_000, 100, 1),
    (50_000, 100, 1),
    (10_000, 1000, 1),
    (50_000, 1000, 1),
    (10_000, 1000, 10),
    (50_000, 1000, 10),
    (10_000, 10_000, 10),
    (50_000, 10_000, 10),
)
"""(logs a second, series, flush interval in s)."""

WARM_UP_S = 12
TICK_S = 0.01
POOL = 20_000
ROOMS = {"partials": "partials", "metrics": "metrics.", "changelogs": "state.", "logs": "logs."}


class Load:
    """Logs made beforehand, but for their timestamps."""

    def __init__(self, settings: Settings, rate: int, series: int) -> None:
        chance = random.Random(1)
        self._producer = clients.producer(settings, **{"linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
        self._rate, self._sent, self._began = rate, 0, time.monotonic()
        shares = [(kind, max(1, round(series * share))) for kind, share in MIX]
        self._pool = []
        for kind, count in chance.choices(shares, weights=[share for _, share in MIX], k=POOL):
            key, log = record(chance, kind, chance.randrange(count), 0)
            rest = orjson.dumps(log)[len('{"timestamp":"') + len(log["timestamp"]) :]
            self._pool.append((settings.topic(f"logs.{kind}"), key, rest))

    def run(self, until: float) -> None:
        """Send at the rate until then, by the monotonic clock."""
        while (now := time.monotonic()) < until:
            stamp = b'{"timestamp":"' + wire.iso(time.time_ns() // 1_000_000).encode()
            while self._sent < (now - self._began) * self._rate:
                topic, key, rest = self._pool[self._sent % POOL]
                self._producer.produce(topic, stamp + rest, key)
                self._sent += 1
            self._producer.poll(0)
            time.sleep(TICK_S)


def written(settings: Settings, broker: JarsKafka) -> Counter[str]:
    """Bytes in the broker's log files, as compressed, by room."""
    found: Counter[str] = Counter()
    for room, name in ROOMS.items():
        for file in broker.data.glob(f"{settings.topic(name)}*/*.log"):
            found[room] += file.stat().st_size
    return found


def sent(settings: Settings) -> Counter[str]:
    """Records by room."""
    found: Counter[str] = Counter()
    names = [topic.name for topic in topics.declared()]
    for (topic, _), end in offsets.ends(settings, names).items():
        found.update({room: end for room, name in ROOMS.items() if topic.startswith(settings.topic(name))})
    return found


def run(broker: JarsKafka, rate: int, series: int, flush_s: int, seconds: float) -> None:
    """One case, as a row of the table."""
    settings = Settings(broker=broker.address, prefix=f"steady{rate}-{series}-{flush_s}", http_port=free_port())
    topics.apply(settings, replication_factor=1)
    flags = {"STREAM_MONITOR_FLUSH_INTERVAL": str(flush_s), "STREAM_MONITOR_CHECKPOINT_INTERVAL": "10"}
    with (
        tempfile.TemporaryDirectory() as folder,
        WorkerProcess(settings, Path(folder) / "data", **flags) as worker,
    ):
        inside, jvm = psutil.Process(worker.process.pid), psutil.Process(broker.pid)
        inside.cpu_affinity(list(WORK))
        for thread in inside.threads():
            os.sched_setaffinity(thread.id, WORK)
        wait_for(lambda: "ready" in worker.log.read_text(), 60, worker)
        load = Load(settings, rate, series)
        load.run(time.monotonic() + WARM_UP_S)
        began, cpu, broker_cpu = time.monotonic(), used(inside), used(jvm)
        size, count = written(settings, broker), sent(settings)
        load.run(began + seconds)
        passed = time.monotonic() - began
        cores, broker_cores = (used(inside) - cpu) / passed, (used(jvm) - broker_cpu) / passed
        size, count = written(settings, broker) - size, sent(settings) - count
        behind = offsets.behind(settings, offsets.ends(settings, offsets.SOURCES)) / rate
        rooms = " | ".join(f"{count[room] / passed:,.0f} | {size[room] / passed / 1e6:.2f}" for room in ROOMS)
        print(
            f"| {rate:,} | {series:,} | {flush_s} | {cores:.2f} | {broker_cores:.2f} | {rooms} | {behind:.0f} | "
            f"{peak_mb(worker.process.pid):.0f} |",
            flush=True,
        )


def main() -> None:
    """A row for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of cases, from 0")
    options = parser.parse_args()
    os.sched_setaffinity(0, REST)
    rooms = " | ".join(f"{room}/s | MB/s" for room in ROOMS)
    print(f"{date.today()}, a checkpoint every 10 s\n")
    print(f"| logs/s | series | flush s | worker cores | broker cores | {rooms} | s to commit | peak MB |")
    print("|---" * (7 + 2 * len(ROOMS)) + "|")
    broker = JarsKafka()
    broker.start()
    try:
        for number, case in enumerate(CASES):
            if options.only is None or number in options.only:
                run(broker, *case, options.seconds)
    finally:
        broker.close()


if __name__ == "__main__":
    main()
