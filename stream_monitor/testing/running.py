"""A worker on a broker for one test: recorded topics in, metrics out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Self

import orjson
from confluent_kafka import TopicPartition

from stream_monitor import clients, replay, topics
from stream_monitor.settings import Settings
from stream_monitor.testing.expecting import check, winners
from stream_monitor.testing.worker import WorkerProcess

_METRICS = ("metrics.live", "metrics.1m", "metrics.1h", "metrics.1d")
_AGAIN_S = 0.5
_READ_S = 0.3


class Monitor:
    """A prefix of its own with its topics, and a worker that starts with the first logs; from `with` to its end.

    `settings` are the worker's. Metrics of whatever time stay: the topics' retention is taken away.
    """

    def __init__(self, broker: str, folder: Path, **settings: Any) -> None:
        own = {
            "broker": broker,
            "prefix": f"t{uuid.uuid4().hex[:8]}",
            "datadir": folder / "tables",
            "http_port": 0,
        }
        self.settings = Settings(**{**own, **settings})
        self.worker: WorkerProcess | None = None
        kept = [
            replace(topic, config={**topic.config, "retention.ms": "-1"} if _is_public(topic) else topic.config)
            for topic in topics.declared()
        ]
        topics.apply(self.settings, kept, replication_factor=1)

    def start(self) -> WorkerProcess:
        """The worker, started if it has not been."""
        if self.worker is None:
            self.settings.datadir.parent.mkdir(parents=True, exist_ok=True)
            self.worker = WorkerProcess(self.settings)
        return self.worker

    def replay_topic(self, path: str | PathLike[str], *, shift_to_now: bool = False) -> int:
        """A recorded topic into Kafka; returns how many records. Raises UsageError for a wrong line."""
        self.start()
        return replay.replay(self.settings, [Path(path)], shift_to_now=shift_to_now)

    def log(self, kind: str, *lines: Mapping[str, Any] | str | bytes) -> None:
        """Single lines into Kafka: mappings, JSON texts, or any bytes."""
        self.start()
        producer = clients.producer(self.settings)
        for line in lines:
            producer.produce(
                self.settings.topic(f"logs.{kind}"), orjson.dumps(line) if isinstance(line, Mapping) else line
            )
        producer.flush(self.settings.request_timeout)

    def metrics(self) -> list[dict[str, Any]]:
        """The winning record of each window so far, as a consumer reads it, by time; open ones are not `final`."""
        return winners(_records(self.settings, _METRICS))

    def expect_metrics(self, *expected: Mapping[str, Any], within: float = 60.0) -> None:
        """Wait until some window has these fields, for each of `expected`; see `expecting.check`.

        Raises AssertionError with what differs after `within` seconds, and with its log where the worker ended.
        """
        __tracebackhide__ = True
        worker = self.start()
        deadline = time.monotonic() + within
        while True:
            ended = worker.process.poll() is not None
            try:
                check(expected, self.metrics())
            except AssertionError as error:
                if ended:
                    raise AssertionError(f"{error}\nthe worker ended:\n{worker.log.read_text()[-2000:]}") from None
                if time.monotonic() > deadline:
                    raise AssertionError(f"{error}\n(waited for {within:g} s)") from None
                time.sleep(_AGAIN_S)
            else:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.worker is not None:
            self.worker.stop()


def _is_public(topic: topics.Topic) -> bool:
    return topic.name.startswith(("metrics.", "alerts"))


def _records(settings: Settings, names: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    """(key, value) of all records of topics, up to their ends as of now."""
    counts = topics.partition_counts(settings)
    places = [TopicPartition(settings.topic(name), p, 0) for name in names for p in range(counts[name])]
    consumer = clients.consumer(settings, **{"enable.partition.eof": True})
    consumer.assign(places)
    found: list[tuple[bytes, bytes]] = []
    ended: set[tuple[str, int]] = set()
    try:
        while len(ended) < len(places):
            for message in consumer.consume(5000, timeout=_READ_S):
                if message.error() is not None:
                    ended.add((message.topic() or "", message.partition() or 0))
                else:
                    found.append((message.key() or b"", message.value() or b""))
    finally:
        consumer.close()
    return found
