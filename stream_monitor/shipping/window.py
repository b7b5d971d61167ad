"""Logs on their way to the broker, in order, each until it is acknowledged. In the sender's thread alone."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from stream_monitor import clients
from stream_monitor.shipping.connection import Connection
from stream_monitor.shipping.message import headers
from stream_monitor.shipping.spool import Item, NoSpool, Spool

WINDOW = 10_000
_WINDOW_BYTES = 16_000_000
BATCH = 256
"""Logs handled in one go: a few milliseconds of the interpreter, which a busy caller gives away no sooner."""
_RETRY_S = 2.0
_REFUSED_FOR_GOOD = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
    }
)
_WAITING, _SENT, _DONE = range(3)


class _Flight:
    """A log in the window."""

    __slots__ = ("_window", "item", "number", "spool", "state")

    def __init__(self, window: Window, spool: Spool | NoSpool, number: int, item: Item) -> None:
        self._window, self.spool, self.number, self.item, self.state = window, spool, number, item, _WAITING

    def delivered(self, error: KafkaError | None, _message: Any) -> None:
        """librdkafka's report."""
        self._window.delivered(self, error)


class Window:
    """What was read from the spools and is not settled; its producer. `trouble` says why logs wait, if they do."""

    def __init__(self, connection: Connection, lost: Counter[str]) -> None:
        self._connection, self._lost = connection, lost
        self._flights: deque[_Flight] = deque()
        self._bytes = 0
        self._retry_at: float | None = None
        self._is_fatal = False
        self.outstanding = self.delivered_total = 0
        self.is_down = False
        self.trouble = ""
        self.producer: Producer | None = None

    def open(self) -> None:
        """Make the producer."""
        self.producer = self._new_producer()

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def is_flowing(self) -> bool:
        """Nothing has to be produced again."""
        return self._retry_at is None

    @property
    def has_room(self) -> bool:
        """For another batch."""
        return self.is_flowing and len(self._flights) < WINDOW - BATCH and self._bytes < _WINDOW_BYTES

    def fly(self, spool: Spool | NoSpool, number: int, item: Item) -> None:
        """Take a log in, and produce it if nothing before it waits."""
        flight = _Flight(self, spool, number, item)
        self._flights.append(flight)
        self._bytes += len(item.value)
        if self.is_flowing:
            self._produce(flight)

    def poll(self, seconds: float) -> None:
        """Hear what the broker says, at most so long."""
        assert self.producer is not None
        self.producer.poll(seconds)

    def settle(self) -> None:
        """What is delivered, up to the first that is not, leaves the window and its spool."""
        flights = self._flights
        while flights and flights[0].state == _DONE:
            flight = flights.popleft()
            self._bytes -= len(flight.item.value)
            if not flights or flights[0].spool is not flight.spool or flight.number % BATCH == 0:
                flight.spool.acknowledge(flight.number + 1)

    def holds(self, spool: Spool | NoSpool) -> bool:
        """Of a spool before which all is settled."""
        return bool(self._flights) and self._flights[0].spool is spool

    def retry(self) -> bool:
        """Once all that is under way has been answered: produce what waits, in order."""
        if self.outstanding or self._retry_at is None or time.monotonic() < self._retry_at:
            return False
        if self._is_fatal:
            self.producer, self._is_fatal = self._new_producer(), False
        self._retry_at = None
        for flight in self._flights:
            if flight.state == _WAITING and self.is_flowing:
                self._produce(flight)
        return self.is_flowing

    def close(self) -> None:
        """Forget what is under way."""
        if self.producer is not None:
            self.producer.purge()

    def _produce(self, flight: _Flight) -> None:
        item = flight.item
        assert self.producer is not None
        try:
            self.producer.produce(
                item.topic,
                item.value,
                item.key,
                headers=headers(flight.spool.name, flight.number, item),
                timestamp=item.time_ms,
                on_delivery=flight.delivered,
            )
        except KafkaException as error:
            self._failed(flight, error.args[0])
        except (BufferError, ValueError, TypeError) as error:
            self._wait_to_retry(str(error))
        else:
            flight.state = _SENT
            self.outstanding += 1

    def delivered(self, flight: _Flight, error: KafkaError | None) -> None:
        """What became of a log; called by `poll`, in this thread."""
        self.outstanding -= 1
        if error is not None:
            self._failed(flight, error)
            return
        flight.state = _DONE
        self.delivered_total += 1
        self.is_down, self.trouble = False, ""

    def _failed(self, flight: _Flight, error: KafkaError) -> None:
        if error.code() in _REFUSED_FOR_GOOD:
            flight.state = _DONE
            self._lost["refused"] += 1
            self.trouble = f"{flight.item.topic} refused a log: {error.str()}"
            return
        flight.state = _WAITING
        hint = "; make it with: stream-monitor topics apply" if "nknown topic" in error.str() else ""
        self._wait_to_retry(f"{flight.item.topic}: {error.str()}{hint}")

    def _wait_to_retry(self, why: str) -> None:
        self._retry_at = time.monotonic() + _RETRY_S
        self.trouble = f"logs wait: {why}"

    def _new_producer(self) -> Producer:
        return clients.producer(
            self._connection,
            **{
                "message.timeout.ms": 0,
                "linger.ms": 50,
                "topic.metadata.propagation.max.ms": 3000,  # how long a topic is thought to be on its way
                "queue.buffering.max.messages": WINDOW * 2,
                "queue.buffering.max.kbytes": 64_000,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 1000,
                "error_cb": self._told_of,
            },
        )

    def _told_of(self, error: KafkaError) -> None:
        """librdkafka's errors that belong to no log."""
        if error.fatal():
            self._is_fatal = True
            self._wait_to_retry(error.str())
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.is_down = True
            self.trouble = f"no broker answers at {self._connection.broker}; logs wait"
        elif error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
            self.is_down = True
            self.trouble = f"the broker at {self._connection.broker} refused the connection: {error.str()[:300]}"
