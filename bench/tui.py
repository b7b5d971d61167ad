"""The dashboard with 2,000 series that change every second: its start, its answers to keys, its cost, its memory.

    a producer ──live, each second; closed minutes──▶ Apache Kafka ──▶ stream-monitor tui, in a pseudo-terminal

python -m bench.tui [--minutes 2] [--series 2000] [--rounds 10] [--samples FILE]
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import orjson
import psutil

from bench.report import LOG
from bench.tui_keys import Samples, keep, kept, measure, rows, table
from stream_monitor import clients, topics, wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.metric import Metric
from stream_monitor.core.window import HOUR_MS, MINUTE_MS, window_start
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.testing import brokers
from tests.lines import decode, fold_one
from tests.tui.terminal import Terminal, tui

RECORDS = 30
"""In a minute of a series."""
SIZE = (120, 40)
WARM_S = 10.0
"""From the first rows to the first key."""
ALERT = {
    "v": 1, "rule": "bench-rule", "kind": "ml", "labels": {"service": "component-0002", "model_version": "part-2"},
    "entity": "component-0002/part-2", "state": "firing", "severity": "warning", "value": 1, "summary": "one",
}  # fmt: skip


def series(count: int) -> list[tuple[str, tuple[str, str]]]:
    """A third of each kind."""
    return [(("airflow", "kafka", "ml")[n % 3], (f"component-{n // 3:04}", f"part-{n % 7}")) for n in range(count)]


def minutes() -> dict[str, list[Aggregate]]:
    """Of each kind some minutes, growing: after 1 record, after 2 …"""
    rng = random.Random(1)
    made: dict[str, list[Aggregate]] = {}
    for kind in KINDS:
        lines = [decode(KINDS[kind], LOG[kind] % (1_705_314_600_000 + n, rng.lognormvariate(3, 0.6)))
                 for n in range(RECORDS)]  # fmt: skip
        for upto in range(1, RECORDS + 1):
            whole = Aggregate.empty(KINDS[kind])
            for offset, line in enumerate(lines[:upto]):
                fold_one(whole, KINDS[kind], line, 0, offset)
            made.setdefault(kind, []).append(whole)
    return made


class Load(threading.Thread):
    """History of an hour in minutes, of a day in hours; then every series each second, minutes as they close."""

    def __init__(self, settings: Settings, count: int) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.late_s = 0.0
        self._settings, self._series, self._made = settings, series(count), minutes()
        self._producer = clients.producer(settings, **{"linger.ms": 20, "queue.buffering.max.messages": 500_000})

    def fill(self) -> None:
        """The closed minutes of the last hour, the hours of the day before, an alert, the logs themselves."""
        now = window_start(time.time_ns() // 1_000_000)
        hour = window_start(now, HOUR_MS)
        for start in range(hour - 24 * HOUR_MS, hour, HOUR_MS):
            self._send("metrics.1h", start, RECORDS, final=True, size_ms=HOUR_MS)
        for start in range(min(hour, now - 60 * MINUTE_MS), now, MINUTE_MS):
            self._send("metrics.1m", start, RECORDS, final=True)
            self._producer.flush()
        alert = orjson.dumps(ALERT | {"since": wire.iso(now), "at": wire.iso(now)})
        self._producer.produce(self._settings.topic("alerts"), alert, wire.alert_in(alert).key)
        for kind, line in LOG.items():
            for n in range(RECORDS):
                self._producer.produce(self._settings.topic(f"logs.{kind}"), line % (now + n, 20.0), partition=0)
        self._producer.flush()

    def run(self) -> None:
        closed = window_start(time.time_ns() // 1_000_000) - MINUTE_MS
        due = time.monotonic()
        while not self.over.is_set():
            now = time.time_ns() // 1_000_000
            start = window_start(now)
            self._send("metrics.live", start, 1 + (now - start) * (RECORDS - 1) // MINUTE_MS, final=False)
            if start - MINUTE_MS > closed and now - start > 10_000:
                closed = start - MINUTE_MS
                self._send("metrics.1m", closed, RECORDS, final=True)
            due += 1.0
            self.late_s = max(self.late_s, time.monotonic() - due)
            self.over.wait(max(0.0, due - time.monotonic()))
        self._producer.flush()

    def _send(self, topic: str, start: int, records: int, *, final: bool, size_ms: int = MINUTE_MS) -> None:
        name = self._settings.topic(topic)
        values = {
            kind: wire.metric_value(
                Metric(KINDS[kind], ("@0", "@1"), start, size_ms, final, made[records - 1]), "t"
            )
            for kind, made in self._made.items()
        }
        for kind, labels in self._series:
            key = wire.series_key(kind, labels)
            value = values[kind].replace(b"@0", labels[0].encode()).replace(b"@1", labels[1].encode())
            self._producer.produce(
                name, value, wire.metric_key(key, start), wire.partition_for(key, 4), timestamp=start
            )
        self._producer.poll(0)


def watch(terminal: Terminal, seconds: float) -> tuple[float, list[float]]:
    """(share of a core, resident megabytes each ten seconds)."""
    process = psutil.Process(terminal.process.pid)
    before, began = process.cpu_times(), time.monotonic()
    memory = [process.memory_info().rss / 1e6]
    while (elapsed := time.monotonic() - began) < seconds:
        terminal.look(min(10.0, seconds - elapsed))
        memory.append(process.memory_info().rss / 1e6)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - began), memory


def run(settings: Settings, asked: argparse.Namespace, samples: Samples) -> None:
    """One dashboard from its start to its end."""
    command = tui("--broker", settings.broker, "--prefix", settings.prefix)
    with tempfile.TemporaryDirectory() as folder, Terminal(command, SIZE, XDG_STATE_HOME=folder) as terminal:
        first = terminal.until(lambda lines: bool(rows(lines)), 60, terminal.began)
        samples.setdefault("start: rows on the screen", []).append(first)
        terminal.look(WARM_S)
        measure(terminal, asked.rounds, samples)
        if asked.minutes:
            share, memory = watch(terminal, asked.minutes * 60)
            print(f"{share * 100:.0f} % of a core over {asked.minutes:g} min; {terminal.bytes / 1e6:.1f} MB drawn")
            print("resident MB: " + " ".join(f"{mb:.0f}" for mb in memory[:: max(1, len(memory) // 30)]))
        terminal.press("q")
        terminal.process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="without keys, for cost and memory")
    parser.add_argument("--series", type=int, default=2000)
    parser.add_argument("--starts", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10, help="of all keys, for each start")
    parser.add_argument("--samples", type=Path, help="a file that several runs add to")
    asked = parser.parse_args()
    samples = kept(asked.samples)
    print(f"{datetime.now(UTC):%F %H:%M} {asked.series} series, load {os.getloadavg()[0]:.1f}", flush=True)
    with brokers.kafka() as address:
        settings = Settings(broker=address, prefix="tuibench")
        topics.apply(settings, replication_factor=1)
        load = Load(settings, asked.series)
        load.fill()
        load.start()
        for _ in range(asked.starts):
            run(settings, asked, samples)
        load.over.set()
        load.join()
    print(f"producer late by at most {load.late_s:.2f} s; times in ms")
    print(table(samples))
    keep(asked.samples, samples)


if __name__ == "__main__":
    main()
