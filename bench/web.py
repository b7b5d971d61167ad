"""The web view on Apache Kafka: thirty days of 100 series, fifty listeners, one that does not read.

    a producer ──hours of 30 days; live, each second──▶ Apache Kafka ──▶ stream-monitor web ──▶ Chromium, listeners

python -m bench.web [looks | listeners] [--minutes 5] [--series 100] [--listeners 50]

looks      how soon a browser shows a chart; about four minutes
listeners  fifty for five minutes, one that does not read; less than six minutes. Neither is said: both
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psutil
from playwright.sync_api import Playwright, sync_playwright

from bench.tui import RECORDS, Load, minutes, series
from stream_monitor import clients, topics, wire
from stream_monitor.broker import free_port
from stream_monitor.core.metric import Metric
from stream_monitor.core.window import DAY_MS, HOUR_MS, window_start
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.testing import brokers

LOOK_S = 12.0
"""How long nobody looks into a browser that draws."""
QUIET_S = 30.0
"""After a server is ready: it reads what long ranges need."""


def fill(settings: Settings, count: int) -> int:
    """The hours and days of thirty days; returns how many windows."""
    producer = clients.producer(settings, **{"linger.ms": 20, "queue.buffering.max.messages": 500_000})
    made, now, sent = minutes(), window_start(time.time_ns() // 1_000_000, HOUR_MS), 0
    for size, name in ((HOUR_MS, "metrics.1h"), (DAY_MS, "metrics.1d")):
        for start in range(window_start(now - 30 * DAY_MS, size), now - size + 1, size):
            values = {
                kind: wire.metric_value(Metric(KINDS[kind], ("@0", "@1"), start, size, True, some[-1]), "t")
                for kind, some in made.items()
            }
            for kind, labels in series(count):
                key = wire.series_key(kind, labels)
                value = values[kind].replace(b"@0", labels[0].encode()).replace(b"@1", labels[1].encode())
                producer.produce(
                    settings.topic(name), value, wire.metric_key(key, start), wire.partition_for(key, 4),
                    timestamp=start,
                )  # fmt: skip
                sent += 1
            producer.poll(0)
    producer.flush()
    return sent


class Listener(threading.Thread):
    """Reads a stream, and notes when boards come."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.boards, self.bytes, self.ended = port, 0, 0, False
        self.over = threading.Event()

    def run(self) -> None:
        try:
            url = f"http://127.0.0.1:{self.port}/api/v1/stream?every=2"
            with urllib.request.urlopen(url, timeout=120) as answer:
                while not self.over.is_set():
                    line = answer.readline()
                    if not line:
                        break
                    self.bytes += len(line)
                    self.boards += line.startswith(b"event: board")
        except OSError:
            pass  # dropped, which is counted
        finally:
            self.ended = not self.over.is_set()


class Chromium:
    """A browser that nobody looks into until its page is drawn: a debugger makes scripts start far slower."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._port = free_port()
        command = [
            shutil.which("chromium") or "chromium", "--headless=new", "--no-sandbox", "--no-first-run",
            f"--remote-debugging-port={self._port}", f"--user-data-dir={self._folder.name}",
            "--window-size=1280,900", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: answers(f"http://127.0.0.1:{self._port}/json/version"))

    def navigate(self, playwright: Playwright, address: str, seconds: float) -> tuple[float, float]:
        """Seconds from navigation until a chart of the whole range is drawn; until those in sight are, in full."""
        new = f"http://127.0.0.1:{self._port}/json/new?{address}"
        urllib.request.urlopen(urllib.request.Request(new, method="PUT"), timeout=60).read()
        time.sleep(seconds)
        browser = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{self._port}")
        page = next(page for page in browser.contexts[0].pages if page.url.startswith(address))
        marks: dict[str, float] = dict(
            page.evaluate("performance.getEntriesByType('mark').map(mark => [mark.name, mark.startTime / 1000])")
        )
        page.close()
        browser.close()
        return marks["first chart"], marks.get("charts in sight", math.nan)

    def close(self) -> None:
        """No more of it."""
        self._process.terminate()
        self._process.wait(30)
        self._folder.cleanup()


@contextmanager
def browsing() -> Iterator[Chromium]:
    """A browser with an empty profile: nothing is cached."""
    browser = Chromium()
    try:
        yield browser
    finally:
        browser.close()


@contextmanager
def serving(address: str) -> Iterator[tuple[int, psutil.Process]]:
    """(port, process) of a web view that listens, whatever it has read."""
    port = free_port()
    command = [sys.executable, "-m", "stream_monitor", "web", "--broker", address, "--prefix", "webbench"]
    server = subprocess.Popen([*command, "--port", str(port)], env={**os.environ}, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/healthz"))
        yield port, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(60)


def looks(playwright: Playwright, port: int, query: str, times: int) -> list[tuple[float, float]]:
    """One browser looks at the same so often, long enough each time."""
    with browsing() as browser:
        return [browser.navigate(playwright, f"http://127.0.0.1:{port}/?{query}", LOOK_S) for _ in range(times)]


def say(what: str, found: list[tuple[float, float]]) -> None:
    """Medians, and the worst."""
    first, whole = zip(*found, strict=True)
    print(f"{what}: first chart {statistics.median(first):.2f} s (most {max(first):.2f}), "
          f"those in sight {max(whole):.2f} s", flush=True)  # fmt: skip


def deaf(port: int) -> socket.socket:
    """One that asks for the stream, as often as it can, and never reads."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    found.connect(("127.0.0.1", port))
    found.sendall(b"GET /api/v1/stream?every=1&limit=5000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return found


def number(port: int, name: str) -> float:
    """Of /metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name)))


def listen(process: psutil.Process, port: int, count: int, seconds: float) -> None:
    """Many listeners, and one that does not read."""
    all_of_them = [Listener(port) for _ in range(count)]
    for one in all_of_them:
        one.start()
    bad, before, began, memory = deaf(port), process.cpu_times(), time.monotonic(), []
    while time.monotonic() - began < seconds:
        time.sleep(min(10.0, seconds))
        memory.append(process.memory_info().rss / 1e6)
    after = process.cpu_times()
    boards = sorted(one.boards for one in all_of_them)
    share = (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
    print(f"{count} listeners for {seconds:.0f} s: {sum(one.ended for one in all_of_them)} dropped; boards each "
          f"{boards[0]} to {boards[-1]}; {sum(one.bytes for one in all_of_them) / 1e6:.0f} MB sent; "
          f"{share * 100:.0f} % of a core; of one that does not read "
          f"{number(port, 'stream_monitor_web_clients_cut_total'):.0f} cut off")  # fmt: skip
    print("resident MB: " + " ".join(f"{mb:.0f}" for mb in memory[:: max(1, len(memory) // 15)]))
    for one in all_of_them:
        one.over.set()
    bad.close()


def look(playwright: Playwright, address: str) -> None:
    """How soon browsers show something, in each way that a view can be met."""
    for _ in range(3):
        with serving(address) as (port, _process):
            say("30 days, the server has just begun to listen", looks(playwright, port, "from=now-30d", 1))
    with serving(address) as (port, _process):
        until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        time.sleep(QUIET_S)
        found = looks(playwright, port, "from=now-30d", 5)
        say("30 days, nobody has looked at them before", found[:1])
        say("30 days, the same browser again", found[1:])
        say("30 days, another browser", looks(playwright, port, "from=now-30d", 1))
        say("24 hours, nobody has looked at them before", looks(playwright, port, "from=now-24h", 1))
        say("1 hour", looks(playwright, port, "", 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("looks", "listeners"))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--series", type=int, default=100)
    parser.add_argument("--listeners", type=int, default=50)
    asked = parser.parse_args()
    with brokers.kafka() as address:
        settings = Settings(broker=address, prefix="webbench")
        topics.apply(settings, replication_factor=1)
        print(f"{datetime.now(UTC):%F %H:%M} {asked.series} series, {fill(settings, asked.series)} windows, "
              f"{RECORDS} records in each", flush=True)  # fmt: skip
        load = Load(settings, asked.series)
        load.fill()
        load.start()
        try:
            if asked.part != "listeners":
                with sync_playwright() as playwright:
                    look(playwright, address)
            if asked.part != "looks":
                with serving(address) as (port, process):
                    until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
                    listen(process, port, asked.listeners, asked.minutes * 60)
        finally:
            load.over.set()


def answers(url: str) -> bool:
    """Something says 200 there."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def until(true: Callable[[], bool]) -> None:
    """Wait for it."""
    while not true():
        time.sleep(0.02)


if __name__ == "__main__":
    main()
