"""The broker away for two minutes under 5,000 logs a second from four threads: nothing lost, order, memory, cost.

    make shipping-outage        python -m tests.shipping.outage [--rate 5000] [--down 120]

Every thread logs under two keys of its own. What arrived is read back whole and compared: every number of every
key, in order, a repeat only under the `ce_id` that it had.
"""

from __future__ import annotations

import argparse
import gc
import logging
import signal
import sys
import tempfile
import threading
import time
from datetime import date

import psutil

from stream_monitor import topics
from stream_monitor.settings import Settings
from stream_monitor.shipping import KafkaHandler
from stream_monitor.testing.brokers import JarsKafka
from tests.shipping.reading import header, messages, numbers

THREADS = 4
log = logging.getLogger("outage")


class Load:
    """Threads that log at a rate; what each call has cost, by phase."""

    def __init__(self, rate: float) -> None:
        self.rate, self.phase, self.over = rate / THREADS, "before", threading.Event()
        self.costs: dict[str, list[float]] = {}
        self.logged: dict[str, int] = {}
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(THREADS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, thread: int) -> None:
        clock, begun, number = time.perf_counter, time.monotonic(), 0
        while not self.over.is_set():
            costs = self.costs.setdefault(self.phase, [])
            while number < (time.monotonic() - begun) * self.rate:
                key = f"{thread}{'ab'[number % 2]}"
                extra = {"service": "s", "model_version": key, "number": number, "latency_ms": 4.5}
                before = clock()
                log.info("prediction %d", number, extra=extra)
                costs.append(clock() - before)
                self.logged[key] = number
                number += 1
            time.sleep(0.002)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=5000)
    parser.add_argument("--down", type=float, default=120)
    options = parser.parse_args()
    kafka = JarsKafka()
    kafka.start()
    settings = Settings(broker=kafka.address, prefix="outage")
    topics.apply(settings, replication_factor=1)
    print(
        f"{date.today()} · {options.rate:,.0f} logs/s from {THREADS} threads, broker away for {options.down:.0f} s"
    )
    log.setLevel(logging.INFO)
    log.propagate = False
    with tempfile.TemporaryDirectory() as spool:
        handler = KafkaHandler(broker=kafka.address, prefix="outage", spool_dir=spool)
        log.addHandler(handler)
        load, memory = Load(options.rate), {}
        try:
            load.start()
            watch(load, "before", 30, handler, memory)
            kafka.stop(signal.SIGKILL)
            watch(load, "during", options.down, handler, memory)
            kafka.start()
            watch(load, "after", 60, handler, memory)
            load.stop()
            begun = time.monotonic()
            is_delivered = handler.wait_delivered(120)
            print(
                f"delivered {time.monotonic() - begun:.1f} s after the last log: {is_delivered}; {handler.counts}"
            )
            show(load, memory)
            return 0 if is_delivered and check(load, messages(settings)) and not handler.lost else 1
        finally:
            load.stop()
            handler.close()
            kafka.close()


def watch(load: Load, phase: str, seconds: float, handler: KafkaHandler, memory: dict[str, float]) -> None:
    """Let it run; the most memory of the phase, and without the lists that this test fills."""
    load.phase = phase
    process, end = psutil.Process(), time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.5)
        costs = sum(len(found) for found in load.costs.values()) * 32
        memory[phase] = max(memory.get(phase, 0.0), (process.memory_info().rss - costs) / 1e6)
    print(f"{phase}: {handler.counts}", flush=True)


def show(load: Load, memory: dict[str, float]) -> None:
    print(
        "| phase | logs | p50 µs | p99 µs | p99.9 µs | most ms | resident MB, less the test's own |\n"
        + "|---" * 7
        + "|"
    )
    for phase, costs in load.costs.items():
        ordered, count = sorted(costs), len(costs)
        p50, p99, p999 = (ordered[int(count * q)] * 1e6 for q in (0.5, 0.99, 0.999))
        times = f"{p50:.1f} | {p99:.1f} | {p999:.1f} | {ordered[-1] * 1000:.1f}"
        print(f"| {phase} | {count:,} | {times} | {memory[phase]:.0f} |")


def check(load: Load, found: list) -> bool:
    """Every number of every key, in order."""
    gc.collect()
    by_key = numbers(found)
    unique = len({header(message, "ce_id") for message in found})
    good = by_key.keys() == load.logged.keys()
    for key, last in load.logged.items():
        good &= by_key.get(key) == list(range("ab".index(key[-1]), last + 1, 2))
    print(f"{len(found):,} records arrived, {len(found) - unique} repeats; nothing lost, in order by key: {good}")
    return good


if __name__ == "__main__":
    sys.exit(main())
