"""Recorded topics into Kafka: as fast as possible or at a pace, in their own time or shifted to now."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Producer
from rich.console import Console
from rich.progress import Progress

from stream_monitor import clients, offsets, recording, topics
from stream_monitor.errors import MonitorError, StoppedError, UsageError
from stream_monitor.recording import MINUTE_MS, Recorded
from stream_monitor.settings import Settings

_LOOK_S = 0.2
_STOP_S = 5.0
"""How long what was sent may take to be acknowledged after a signal."""


def _never() -> bool:
    return False


class Sender:
    """Sends Recorded records. Bounded memory; `close` waits for every acknowledgement.

    Raises MonitorError, one line, where Kafka does not take a record. `keyless` leaves keys and partitions
    out, as a producer would that ignores both. After `stopped()` nothing waits longer than 5 s.
    """

    def __init__(self, settings: Settings, *, keyless: bool = False, stopped: Callable[[], bool] = _never) -> None:
        topics.check(settings, offsets.SOURCES)
        self._settings = settings
        self._keyless = keyless
        self._stopped = stopped
        self._partitions = topics.partition_counts(settings)
        self._failure: str | None = None
        extra = {"partitioner": "random"} if keyless else {}
        self._producer: Producer = clients.producer(
            settings,
            **{"linger.ms": 50, "sticky.partitioning.linger.ms": 0, "message.max.bytes": 4_000_000, **extra},
        )
        self.sent = 0

    def send(self, record: Recorded) -> None:
        """Queue one record."""
        partitions = self._partitions.get(record.topic)
        if partitions is None:
            raise UsageError(f"no topic {self._settings.topic(record.topic)} on {self._settings.broker}")
        place: dict[str, Any] = {}
        if record.partition is not None and not self._keyless:
            place["partition"] = record.partition % partitions
        while True:
            try:
                self._producer.produce(
                    self._settings.topic(record.topic),
                    record.value,
                    None if self._keyless else record.key,
                    timestamp=record.timestamp_ms,
                    headers=list(record.headers),
                    on_delivery=self._delivered,
                    **place,
                )
            except BufferError:
                self._make_room()
            except KafkaException as error:
                raise MonitorError(f"cannot send to {record.topic}: {clients.reason(error)}") from None
            else:
                break
        self.sent += 1
        if self.sent % 1000 == 0:
            self.poll()

    def poll(self) -> None:
        """Serve acknowledgements; raises for a failed one."""
        self._producer.poll(0)
        if self._failure is not None:
            raise MonitorError(self._failure)

    def close(self) -> None:
        """Wait until all is acknowledged."""
        begun = time.monotonic()
        while left := self._producer.flush(_LOOK_S):
            patience = _STOP_S if self._stopped() else self._settings.request_timeout * 4
            if time.monotonic() - begun > patience:
                raise MonitorError(
                    f"{left} of {self.sent} records were not acknowledged by {self._settings.broker}"
                )
        self.poll()

    def _make_room(self) -> None:
        """Wait a little for acknowledgements: the queue is full."""
        self._producer.poll(0.1)
        self.poll()
        if self._stopped():
            raise StoppedError(f"stopped while {self._settings.broker} took no records")

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failure = f"{message.topic()} did not take a record: {error.str()}"


def check_files(paths: Iterable[Path]) -> None:
    """Raises UsageError for one that cannot be opened."""
    for path in paths:
        try:
            path.open("rb").close()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror or error}") from None


def replay(
    settings: Settings,
    paths: Sequence[Path],
    *,
    speed: float | None = None,
    shift_ms: int | None = None,
    shift_to_now: bool = False,
    keyless: bool = False,
    progress: bool = False,
    stopped: Callable[[], bool] = _never,
) -> int:
    """Send recorded topics, merged by timestamp, to their end or until `stopped()`; returns how many records.

    `speed` 2 is twice as fast as recorded, None as fast as possible. `shift_ms` moves everything in time by
    whole minutes; `shift_to_now` chooses it so that the last record is at most a minute old.
    """
    total, last_ms = _measure(paths)
    if shift_to_now:
        shift_ms = (time.time_ns() // 1_000_000 - last_ms) // MINUTE_MS * MINUTE_MS
    if shift_ms and shift_ms % MINUTE_MS:
        raise UsageError(f"a shift is a whole number of minutes, not {shift_ms} ms")
    sender = Sender(settings, keyless=keyless, stopped=stopped)
    with _bar(progress, total) as advance:
        for record in _paced(_merged(paths), speed, stopped):
            sender.send(recording.shifted(record, shift_ms or 0))
            advance()
    sender.close()
    return sender.sent


def _merged(paths: Iterable[Path]) -> Iterator[Recorded]:
    return heapq.merge(*(recording.read(path) for path in paths), key=lambda record: record.timestamp_ms)


def _measure(paths: Sequence[Path]) -> tuple[int, int]:
    """(records, last timestamp); also checks every line before the first is sent."""
    total, last_ms = 0, 0
    for path in paths:
        for record in recording.read(path):
            total += 1
            last_ms = max(last_ms, record.timestamp_ms)
    if not total:
        raise UsageError(f"nothing to replay in {', '.join(map(str, paths))}")
    return total, last_ms


def _paced(records: Iterable[Recorded], speed: float | None, stopped: Callable[[], bool]) -> Iterator[Recorded]:
    first_ms: int | None = None
    started = time.monotonic()
    for record in records:
        first_ms = record.timestamp_ms if first_ms is None else first_ms
        due = started if speed is None else started + (record.timestamp_ms - first_ms) / 1000 / speed
        while not stopped() and (wait := due - time.monotonic()) > 0:
            time.sleep(min(wait, _LOOK_S))
        if stopped():
            return
        yield record


def _bar(wanted: bool, total: int) -> Any:
    """A context that gives `advance()`; a progress bar on a terminal's stderr."""
    console = Console(stderr=True)
    if not wanted or not console.is_terminal:
        return nullcontext(lambda: None)

    class _Bar(Progress):
        def __enter__(self) -> Any:
            super().__enter__()
            task = self.add_task("replay", total=total)
            return lambda: self.advance(task)

    return _Bar(console=console)
