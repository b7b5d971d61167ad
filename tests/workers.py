"""The worker as its user runs it: a process of its own. Tests start, stop and kill it, and read what it made."""

from __future__ import annotations

from functools import partial

from confluent_kafka import Message, TopicPartition

from stream_monitor import clients, offsets, topics, wire
from stream_monitor.core.metric import Metric
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.testing.worker import WorkerProcess, wait_for

__all__ = [
    "WorkerProcess", "committed", "everything", "folded", "messages", "metrics", "wait_for", "wait_settled",
]  # fmt: skip

Found = dict[tuple[str, tuple[str, ...], int, int], Metric]
"""By (kind, labels, size in s, start in ms): the winning result."""


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
