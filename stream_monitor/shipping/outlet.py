"""The producers of a process, and what the broker says that concerns no single log. In the sender's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, Producer

from stream_monitor import clients
from stream_monitor.shipping.connection import Connection
from stream_monitor.shipping.frame import Item

Report = Callable[[KafkaError | None, Any], None]
Headers = list[tuple[str, str | bytes | None]]
_QUEUE = 50_000
"""Logs that librdkafka holds at most: more than all lanes' windows together."""


class Outlet:
    """`outstanding` is what was produced and not answered. `trouble` says why logs wait, if they do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.producers: list[Producer] = []
        self.outstanding = self.delivered = 0
        self.is_down = self.is_fatal = False
        self.trouble = ""

    def open(self) -> None:
        """Make the producer."""
        self.producers = [self._producer()]

    def produce(self, item: Item, headers: Headers, report: Report, *, is_alone: bool) -> None:
        """Send a log; with `is_alone` in a batch of its own. Raises as librdkafka's `produce`."""
        if is_alone and len(self.producers) < 2:
            self.producers.append(self._producer(**{"batch.num.messages": 1, "linger.ms": 0}))
        self.producers[is_alone].produce(
            item.topic, item.value, item.key, headers=headers, timestamp=item.time_ms, on_delivery=report
        )
        self.outstanding += 1

    def answered(self, error: KafkaError | None) -> None:
        """A log that was produced is."""
        self.outstanding -= 1
        if error is None:
            self.delivered += 1
            self.is_down, self.trouble = False, ""

    def poll(self) -> None:
        """Hear what the broker has said."""
        for producer in self.producers:
            producer.poll(0)
        if self.is_fatal and not self.outstanding:
            self.is_fatal = False
            self.open()

    def close(self) -> None:
        """Forget what is under way."""
        for producer in self.producers:
            producer.purge()

    def _producer(self, **options: Any) -> Producer:
        return clients.producer(
            self._connection,
            **{
                "message.timeout.ms": 0,
                "linger.ms": 50,
                "topic.metadata.propagation.max.ms": 3000,  # how long a topic is thought to be on its way
                "queue.buffering.max.messages": _QUEUE,
                "queue.buffering.max.kbytes": 128_000,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 1000,
                "error_cb": self._told_of,
                **options,
            },
        )

    def _told_of(self, error: KafkaError) -> None:
        """librdkafka's errors that belong to no log."""
        if error.fatal():
            self.is_fatal = True
            self.trouble = f"logs wait: {error.str()}"
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.is_down = True
            self.trouble = f"no broker answers at {self._connection.broker}; logs wait"
        elif error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
            self.is_down = True
            self.trouble = f"the broker at {self._connection.broker} refused the connection: {error.str()[:300]}"
