"""The dashboard with 2,000 series that change every second: its cost, its answers to keys, its memory.

    a producer ──live, each second; closed minutes──▶ Apache Kafka ──▶ stream-monitor tui, in a pseudo-terminal

python -m bench.tui [--minutes 2] [--series 2000] [--sort p99]
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import random
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bench.report import LOG
from stream_monitor import clients, topics, wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.metric import Metric
from stream_monitor.core.window import MINUTE_MS, window_start
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.testing import brokers
from tests.lines import decode, fold_one

RECORDS = 30
"""In a minute of a series."""


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
    """History of an hour at once; then every series once a second, and its minute when it closes."""

    def __init__(self, settings: Settings, count: int) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.late_s = 0.0
        self._settings, self._series, self._made = settings, series(count), minutes()
        self._producer = clients.producer(settings, **{"linger.ms": 20, "queue.buffering.max.messages": 500_000})

    def fill(self) -> None:
        """The closed minutes of the last hour."""
        now = window_start(time.time_ns() // 1_000_000)
        for start in range(now - 60 * MINUTE_MS, now, MINUTE_MS):
            self._send("metrics.1m", start, RECORDS, final=True)
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

    def _send(self, topic: str, start: int, records: int, *, final: bool) -> None:
        name = self._settings.topic(topic)
        values = {
            kind: wire.metric_value(
                Metric(KINDS[kind], ("@0", "@1"), start, MINUTE_MS, final, made[records - 1]), "t"
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


class Terminal:
    """A pseudo-terminal with the dashboard in it."""

    def __init__(self, settings: Settings, folder: Path, size: tuple[int, int]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        environment = {
            **os.environ,
            "XDG_STATE_HOME": str(folder),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
        }
        command = [
            sys.executable,
            "-m",
            "stream_monitor",
            "tui",
            "--broker",
            settings.broker,
            "--prefix",
            settings.prefix,
        ]
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.bytes = 0

    def read(self, seconds: float, until: re.Pattern[bytes] | None = None) -> float | None:
        """Read what is drawn; how long it took until something matched, None if nothing did."""
        began, seen = time.monotonic(), b""
        while (left := began + seconds - time.monotonic()) > 0:
            if select.select([self._master], [], [], left)[0]:
                drawn = os.read(self._master, 1 << 16)
                self.bytes += len(drawn)
                seen = (seen + drawn)[-200_000:]
                if until is not None and until.search(seen):
                    return time.monotonic() - began
        return None

    def press(self, key: bytes) -> None:
        """Type."""
        os.write(self._master, key)

    def end(self) -> None:
        """q, and wait; it is read until the end, or the app could not write its last screen."""
        self.press(b"q")
        for _ in range(10):
            if self.process.poll() is not None:
                return
            self.read_some(1)
        self.process.kill()
        self.process.wait(10)

    def read_some(self, seconds: float) -> None:
        """Read; the other end may be closed."""
        with contextlib.suppress(OSError):
            self.read(seconds)


KEYS = (
    ("a row down", b"j", rb"48;2;40;64;92"),
    ("another tab", b"3", rb"lag over time"),
    ("and back", b"1", rb"share of activity"),
    ("help", b"?", rb"the raw log records"),
    ("and back ", b"\x1b", rb"share of activity|48;2;40;64;92"),
)
"""What it is called, what is typed, what is drawn then (a colour: the cursor's)."""


def key_times(terminal: Terminal, times: int) -> dict[str, list[float]]:
    """From a key to what it draws, at any moment between two refreshes."""
    found: dict[str, list[float]] = {}
    rng = random.Random(2)
    for _ in range(times):
        for name, key, drawn in KEYS:
            terminal.read(rng.uniform(0.3, 1.3))
            terminal.press(key)
            took = terminal.read(3, re.compile(drawn))
            found.setdefault(name, []).append(3.0 if took is None else took)
    return found


def watch(terminal: Terminal, seconds: float) -> tuple[float, list[float]]:
    """(share of a core, resident megabytes each ten seconds)."""
    process = psutil.Process(terminal.process.pid)
    before, began = process.cpu_times(), time.monotonic()
    memory = []
    while (elapsed := time.monotonic() - began) < seconds:
        terminal.read(min(10.0, seconds - elapsed))
        memory.append(process.memory_info().rss / 1e6)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - began), memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--series", type=int, default=2000)
    parser.add_argument("--keys", type=int, default=30)
    parser.add_argument("--sort", type=int, default=0, help="how often s is pressed first")
    asked = parser.parse_args()
    with brokers.kafka() as address, tempfile.TemporaryDirectory() as folder:
        settings = Settings(broker=address, prefix="tuibench")
        topics.apply(settings, replication_factor=1)
        load = Load(settings, asked.series)
        load.fill()
        load.start()
        terminal = Terminal(settings, Path(folder), (120, 40))
        first = terminal.read(60, re.compile(rb"component-0"))
        print(f"{datetime.now(UTC):%F %H:%M} {asked.series} series on the screen {first or 60:.2f} s after start")
        terminal.read(20)
        for _ in range(asked.sort):
            terminal.press(b"s")
            terminal.read(0.5)
        for name, took in key_times(terminal, asked.keys).items():
            took.sort()
            print(f"  {name}: median {statistics.median(took) * 1000:.0f} ms, "
                  f"p95 {took[int(len(took) * 0.95)] * 1000:.0f} ms, most {took[-1] * 1000:.0f} ms")  # fmt: skip
        share, memory = watch(terminal, asked.minutes * 60)
        print(f"{share * 100:.0f} % of a core over {asked.minutes:g} min; {terminal.bytes / 1e6:.1f} MB drawn; "
              f"producer late by at most {load.late_s:.2f} s")  # fmt: skip
        print("resident MB: " + " ".join(f"{mb:.0f}" for mb in memory[:: max(1, len(memory) // 30)]))
        terminal.end()
        load.over.set()
        load.join()


if __name__ == "__main__":
    main()
