"""Consumers' lag as logs, measured: the broker's end offset minus the consumer's position, by partition.

    consumer = Consumer(reporting({"bootstrap.servers": …, "group.id": "orders"}))      confluent-kafka
    async with AiokafkaReporter(consumer, "orders"): …                                  aiokafka

librdkafka's own figure is that of its last fetch, which is old where a consumer has stopped fetching because it
cannot keep up: the very one whose lag one wants to know. So the broker is asked, in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import orjson

from stream_monitor.shipping.emitter import Emitter

LOGGER = "kafka.consumer.stats"
_CONNECTION = (
    "bootstrap.servers",
    "metadata.broker.list",
    "security.",
    "sasl.",
    "ssl.",
    "broker.address",
    "client.",
)
_ASK_S = 5.0
log = logging.getLogger("stream_monitor.shipping")


class Place(NamedTuple):
    """Where a consumer is in a partition: the offset of the record that it takes next."""

    topic: str
    partition: int
    position: int


class Reports:
    """Logs of a group: lag, and messages per second since the last report, by partition."""

    def __init__(self, group: str, logger: str = LOGGER) -> None:
        self._group, self._emitter = group, Emitter("kafka", logger)
        self._before: dict[tuple[str, int], tuple[int, float]] = {}

    def report(self, place: Place, end: int, at_s: float) -> None:
        """Log a position, taken at a monotonic time, and the end offset that the broker said."""
        key = (place.topic, place.partition)
        fields: dict[str, Any] = {
            "consumer_group": self._group,
            "topic": place.topic,
            "partition": place.partition,
            "consumer_lag": max(0, end - place.position),
            "position": place.position,
            "end_offset": end,
        }
        before = self._before.get(key)
        if before is not None and at_s > before[1] and place.position >= before[0]:
            fields["messages_per_second"] = round((place.position - before[0]) / (at_s - before[1]), 3)
        self._before[key] = (place.position, at_s)
        self._emitter.emit(logging.INFO, "consumer stats", fields)


def reporting(config: Mapping[str, Any], *, interval_s: float = 10.0, logger: str = LOGGER) -> dict[str, Any]:
    """The configuration of a confluent-kafka consumer, with statistics that are logged; its own `stats_cb` is
    called as well.
    """
    stats = ConsumerStats(config, logger)
    own = config.get("stats_cb")

    def both(text: str) -> None:
        stats(text)
        if own is not None:
            own(text)

    return {"statistics.interval.ms": round(interval_s * 1000), **config, "stats_cb": both}


class ConsumerStats:
    """A `stats_cb`: takes positions from librdkafka's statistics, and asks the broker for the end offsets."""

    def __init__(self, config: Mapping[str, Any], logger: str = LOGGER) -> None:
        self._reports = Reports(str(config.get("group.id", "")), logger)
        self._connection = {name: value for name, value in config.items() if name.startswith(_CONNECTION)}
        self._taken: queue.Queue[tuple[list[Place], float]] = queue.Queue(maxsize=2)
        self._thread: threading.Thread | None = None

    def __call__(self, text: str) -> None:
        """Called by `poll`; it waits for nothing."""
        places = positions(text)
        if not places:
            return
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="stream-monitor-consumer-stats", daemon=True)
            self._thread.start()
        with contextlib.suppress(queue.Full):  # the broker is slow to answer: the next one will do
            self._taken.put_nowait((places, time.monotonic()))

    def _run(self) -> None:
        from confluent_kafka import TopicPartition
        from confluent_kafka.admin import AdminClient, OffsetSpec

        quiet: Any = {"logger": logging.getLogger("stream_monitor.librdkafka")}
        admin, latest = AdminClient({**self._connection, **quiet}), cast("Any", OffsetSpec).latest
        while True:
            places, at_s = self._taken.get()
            wanted = {TopicPartition(place.topic, place.partition): latest() for place in places}
            try:
                futures = admin.list_offsets(wanted, request_timeout=_ASK_S)
                ends = {(tp.topic, tp.partition): future.result().offset for tp, future in futures.items()}
            except Exception as error:  # noqa: BLE001  (no broker, no right; the next time may be better)
                log.warning("cannot ask for end offsets: %s", error)
                continue
            for place in places:
                self._reports.report(place, ends[place.topic, place.partition], at_s)


def positions(text: str) -> list[Place]:
    """From librdkafka's statistics: where the application is in each of its partitions, if that is known."""
    found = []
    for topic, stats in orjson.loads(text).get("topics", {}).items():
        for name, partition in stats.get("partitions", {}).items():
            if name == "-1" or partition.get("fetch_state") in ("none", "stopped", "stopping"):
                continue
            position = partition.get("app_offset", -1001)
            position = position if position >= 0 else partition.get("committed_offset", -1001)
            if position >= 0:
                found.append(Place(topic, int(name), position))
    return found


class AiokafkaReporter:
    """Reports of an aiokafka consumer, every `interval_s` while the `async with` lasts."""

    def __init__(self, consumer: Any, group: str, *, interval_s: float = 10.0, logger: str = LOGGER) -> None:
        self._consumer, self._reports, self._interval_s = consumer, Reports(group, logger), interval_s
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> AiokafkaReporter:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def report(self) -> None:
        """Once, now."""
        partitions = list(self._consumer.assignment())
        if not partitions:
            return
        ends = await self._consumer.end_offsets(partitions)
        for tp in partitions:
            position = await self._consumer.position(tp)
            self._reports.report(Place(tp.topic, tp.partition, position), ends[tp], time.monotonic())

    async def _run(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self.report(), _ASK_S)
            except Exception as error:  # noqa: BLE001  (no broker, or a rebalance; the next time may be better)
                log.warning("cannot ask for end offsets: %s", error)
            await asyncio.sleep(self._interval_s)
