"""The worker as its user runs it: a process of its own. Tests start, stop and kill it, and read what it made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from confluent_kafka import Message, TopicPartition

from stream_monitor import clients, offsets, topics, wire
from stream_monitor.core.metric import Metric
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings

Found = dict[tuple[str, tuple[str, ...], int, int], Metric]
"""By (kind, labels, size in s, start in ms): the winning result."""


class WorkerProcess:
    """`stream-monitor worker` on a broker, a prefix and a datadir."""

    def __init__(self, settings: Settings, datadir: Path | None = None, **environment: str) -> None:
        self.settings = settings
        self.datadir = datadir or settings.datadir
        self.log = Path(f"{self.datadir}.log")
        flags = {
            "STREAM_MONITOR_BROKER": settings.broker,
            "STREAM_MONITOR_PREFIX": settings.prefix,
            "STREAM_MONITOR_DATADIR": str(self.datadir),
            "STREAM_MONITOR_HTTP_PORT": str(settings.http_port),
            "STREAM_MONITOR_LATENESS": str(settings.lateness),
            "STREAM_MONITOR_IDLE_AFTER": "1",
            "STREAM_MONITOR_CHECKPOINT_INTERVAL": "1",
            "STREAM_MONITOR_FLUSH_INTERVAL": "0.3",
            "STREAM_MONITOR_SESSION_TIMEOUT": "6",
        }
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stream_monitor", "worker"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **flags, **environment},
            )

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """End it; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(60)

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)


def wait_for(what: Callable[[], bool], seconds: float, worker: WorkerProcess | None = None) -> None:
    """Until `what()`; fails with the worker's log when it takes too long or the worker ends."""
    deadline = time.monotonic() + seconds
    while not what():
        ended = worker is not None and worker.process.poll() is not None
        if ended or time.monotonic() > deadline:
            log = worker.log.read_text()[-3000:] if worker else ""
            raise AssertionError(f"{'the worker ended' if ended else f'not within {seconds} s'}\n{log}")
        time.sleep(0.2)


def wait_settled(settings: Settings, seconds: float, worker: WorkerProcess) -> None:
    """Until the logs that are there, and then the partials that came of them, are in committed checkpoints."""
    for names in (offsets.SOURCES, ("partials",)):
        upto = offsets.ends(settings, names)
        wait_for(partial(_is_committed, settings, upto), seconds, worker)


def _is_committed(settings: Settings, upto: offsets.Offsets) -> bool:
    return offsets.behind(settings, upto) == 0


def committed(settings: Settings, name: str) -> int:
    """How many records of a topic are in committed checkpoints."""
    return sum(offsets.committed(settings, (name,)).values())


def messages(settings: Settings, name: str) -> list[Message]:
    """All messages of a topic up to its end as of now, by partition in order."""
    consumer = clients.consumer(settings, **{"group.id": "tests", "enable.partition.eof": True})
    count = topics.partition_counts(settings)[name]
    consumer.assign([TopicPartition(settings.topic(name), p, 0) for p in range(count)])
    found: list[Message] = []
    ended: set[int] = set()  # one that grows meanwhile ends more than once
    while len(ended) < count:
        for message in consumer.consume(5000, timeout=0.3):
            if message.error():
                ended.add(message.partition())
            else:
                found.append(message)
    consumer.close()
    return found


def everything(settings: Settings, name: str) -> list[tuple[bytes | None, bytes | None]]:
    """All (key, value) of a topic, up to its end as of now."""
    return [(message.key(), message.value()) for message in messages(settings, name)]


def metrics(settings: Settings, *, live: bool = False) -> Found:
    """The winning result of each key of metrics.1m, 1h and 1d (or of metrics.live)."""
    best: Found = {}
    for name in ("metrics.live",) if live else ("metrics.1m", "metrics.1h", "metrics.1d"):
        for _, value in everything(settings, name):
            metric = wire.metric_from(value or b"", KINDS)
            key = (metric.kind.name, metric.labels, metric.size_ms // 1000, metric.start_ms)
            if key not in best or metric.supersedes(best[key]):
                best[key] = metric
    return best


def folded(found: Found, size_s: int = 60) -> int:
    """How many log records are in the results of a size."""
    return sum(metric.revision for key, metric in found.items() if key[2] == size_s)
