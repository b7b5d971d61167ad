"""What the long runs share: a broker, a prefix, workers, and what they cost."""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psutil

from stream_monitor import topics
from stream_monitor.settings import Settings
from stream_monitor.testing.brokers import JarsKafka
from tests.chaos.fleet import Fleet
from tests.workers import WorkerProcess


@contextlib.contextmanager
def lab(name: str) -> Iterator[tuple[Settings, Fleet]]:
    """An Apache Kafka of its own, the topics, and no worker yet."""
    kafka = JarsKafka()
    kafka.start()
    settings = Settings(broker=kafka.address, prefix=name)
    topics.apply(settings, replication_factor=1)
    fleet = Fleet(settings, Path(tempfile.mkdtemp(prefix=f"stream-monitor-{name}-")), [])
    print(f"{date.today()} · {name} · Apache Kafka from the jars, {psutil.cpu_count()} cores", flush=True)
    try:
        yield settings, fleet
    finally:
        fleet.close()
        kafka.close()


def cost(worker: WorkerProcess) -> tuple[float, int, float]:
    """(resident MB, open files, MB in the datadir)."""
    process = psutil.Process(worker.process.pid)
    files = [path for path in worker.datadir.rglob("*") if path.is_file()]
    disk = 0
    for path in files:
        with contextlib.suppress(FileNotFoundError):
            disk += path.stat().st_size
    return process.memory_info().rss / 1e6, process.num_fds(), disk / 1e6


def memory(worker: WorkerProcess) -> tuple[float, float]:
    """(MB that are the process's own, no file's; MB of it that RocksDB says it holds)."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text().split("RssAnon:")[1]
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.settings.http_port}/metrics", timeout=5) as page:
        lines = page.read().decode().splitlines()
    held = [line for line in lines if line.startswith("stream_monitor_rocksdb_bytes") and 'of="files"' not in line]
    return int(status.split()[0]) / 1000, sum(float(line.split()[-1]) for line in held) / 1e6


def peak_mb(worker: WorkerProcess) -> float:
    """The most resident memory that it ever had."""
    for line in Path(f"/proc/{worker.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    return float("nan")


def now_ms() -> int:
    """UTC milliseconds."""
    return time.time_ns() // 1_000_000


def rng(seed: int) -> random.Random:
    """A seeded source of chance."""
    return random.Random(seed)
