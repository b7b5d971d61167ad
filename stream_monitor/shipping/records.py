"""The records of a batch on their way to Kafka: produced and acknowledged; one that is too large is lost alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from stream_monitor import clients
from stream_monitor.errors import MonitorError

_LOOK_S = 0.2
_STOP_S = 5.0
_NOT_TAKEN = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD)
"""The broker's answers where a record is too large or malformed: all that are in its batch get them."""


class Record(NamedTuple):
    """Topic, value, key and headers."""

    topic: str
    value: bytes
    key: bytes | None
    headers: list[tuple[str, str | bytes | None]]


class Records:
    """`counts`: `sent` were acknowledged, `too_large` refused. Raises MonitorError where Kafka takes nothing."""

    def __init__(self, settings: clients.Endpoint, stopped: Callable[[], bool]) -> None:
        self._settings, self._stopped = settings, stopped
        self._producer = self._made(**{"linger.ms": 5})
        self._alone: Producer | None = None
        self._refused: list[Record] = []
        self._failure: str | None = None
        self.counts: Counter[str] = Counter()

    def _made(self, **options: Any) -> Producer:
        return clients.producer(self._settings, **{"message.timeout.ms": 0, **options})

    def send(self, record: Record) -> None:
        """Produce it."""
        self._produce(self._producer, record, partial(self._answered, record))

    def delivered(self) -> bool:
        """Wait, as long as it takes, until Kafka has acknowledged all of it; False soon after `stopped()`."""
        if not self._flushed(self._producer):
            return False
        again, self._refused = self._refused, []
        if again:
            self._alone = self._alone or self._made(**{"batch.num.messages": 1, "linger.ms": 0})
            for record in again:
                self._produce(self._alone, record, partial(self._answered_alone, record))
            if not self._flushed(self._alone):
                return False
        if self._failure is not None:
            raise MonitorError(self._failure)
        return True

    def _produce(
        self, producer: Producer, record: Record, report: Callable[[KafkaError | None, Any], None]
    ) -> None:
        while True:
            try:
                producer.produce(
                    record.topic, record.value, record.key, headers=record.headers, on_delivery=report
                )
            except BufferError:
                producer.poll(_LOOK_S)
            except KafkaException as error:
                if error.args[0].code() not in _NOT_TAKEN:
                    raise MonitorError(f"cannot send to {record.topic}: {clients.reason(error)}") from None
                self.counts["too_large"] += 1
                return
            else:
                return

    def _answered(self, record: Record, error: KafkaError | None, message: Any) -> None:
        if error is not None and error.code() in _NOT_TAKEN:
            self._refused.append(record)
        else:
            self._answered_alone(record, error, message)

    def _answered_alone(self, record: Record, error: KafkaError | None, _message: Any) -> None:
        if error is None:
            self.counts["sent"] += 1
        elif error.code() in _NOT_TAKEN:
            self.counts["too_large"] += 1
        else:
            self._failure = f"{record.topic} did not take a record: {error.str()}"

    def _flushed(self, producer: Producer) -> bool:
        asked: float | None = None
        while producer.flush(_LOOK_S):
            if self._stopped():
                asked = asked or time.monotonic()
                if time.monotonic() - asked > _STOP_S:
                    return False
        return True
