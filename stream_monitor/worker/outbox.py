"""Everything the worker sends: one idempotent librdkafka producer, and receipts.

A Receipt counts what was sent under it and not yet acknowledged; a checkpoint waits for its receipt.
librdkafka keeps the order within a partition and sends again what got lost; what it gives up is a failed
receipt, and that stops the worker before the commit.
"""

from __future__ import annotations

import asyncio

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream_monitor import clients
from stream_monitor.errors import MonitorError
from stream_monitor.settings import Settings

_POLL_S = 0.02
_FULL_WAIT_S = 0.1


class SendFailedError(MonitorError):
    """Kafka did not take a record that the state depends on."""


class Receipt:
    """What was sent together. `wait` returns when all of it is acknowledged."""

    __slots__ = ("_failure", "_pending", "_waiter", "last_offset")

    def __init__(self) -> None:
        self._pending = 0
        self._failure: SendFailedError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.last_offset = -1
        """The highest offset acknowledged; of use where all went to one partition."""

    def expect(self) -> None:
        """One more record was handed to the producer."""
        self._pending += 1

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """One record was acknowledged, or given up. The producer's delivery callback."""
        self._pending -= 1
        if error is not None:
            self._failure = SendFailedError(f"could not write to topic {message.topic()}: {error.str()}")
        else:
            self.last_offset = max(self.last_offset, message.offset() or 0)
        if self._waiter is not None and not self._waiter.done() and (not self._pending or error):
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Return when all is acknowledged. Raises SendFailedError when something never will be."""
        if self._pending and self._failure is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._failure is not None:
            raise self._failure


class Outbox:
    """The worker's producer. Not thread-safe: it belongs to the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._producer: Producer = clients.producer(
            settings,
            **{
                "linger.ms": 20,
                "message.max.bytes": 8 << 20,  # as the topics allow
                "queue.buffering.max.kbytes": 16384,
                "queue.buffering.max.messages": 50_000,
                "delivery.timeout.ms": 120_000,
            },
        )
        self.sent_total = 0

    def send(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        receipt: Receipt,
        timestamp_ms: int = 0,
    ) -> None:
        """Queue one record; blocks only while 16 MiB are waiting to be acknowledged."""
        receipt.expect()
        self.sent_total += 1
        while True:
            try:
                self._producer.produce(
                    topic, value, key, partition, on_delivery=receipt.delivered, timestamp=timestamp_ms
                )
            except BufferError:
                self._producer.poll(_FULL_WAIT_S)
            except KafkaException as error:
                raise SendFailedError(f"could not write to topic {topic}: {error.args[0].str()}") from None
            else:
                return

    async def pump(self) -> None:
        """Serve acknowledgements for ever."""
        while True:
            self._producer.poll(0)
            await asyncio.sleep(_POLL_S)

    async def drain(self, seconds: float) -> int:
        """Wait until everything is acknowledged or the time is over. Returns how many records are not."""
        deadline = asyncio.get_running_loop().time() + seconds
        while len(self._producer) and asyncio.get_running_loop().time() < deadline:
            self._producer.poll(0)
            await asyncio.sleep(_POLL_S)
        return len(self._producer)
