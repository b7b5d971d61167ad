"""The thread between a handler's queue and Kafka: queue → spool → window → librdkafka.

    caller ──append──▶ queue ──drain──▶ spool (disk) ──feed──▶ window ──produce──▶ librdkafka ──▶ broker
                     in memory,                │   in memory, at most WINDOW logs,    │
                     bounded                   │   in order, each until acknowledged ◀┘ delivery reports
                                               └─ what the window has no room for is read from here again

Everything is written to the spool before it is produced, so that a kill loses no more than the queue, which is
drained every few milliseconds. While the window keeps up nothing is read back. librdkafka never gives a log up by
itself (`message.timeout.ms` 0): it keeps the order of a partition however long the broker is away. Where the
broker refuses (no such topic, no right), nothing more is produced until all that is under way has been answered;
then what failed is produced again, in order. This thread logs, and what it logs reaches no Kafka handler.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from stream_monitor import clients
from stream_monitor.shipping.buffer import Buffer
from stream_monitor.shipping.connection import Connection
from stream_monitor.shipping.formatter import Captured
from stream_monitor.shipping.message import headers
from stream_monitor.shipping.spool import Item, Limits, NoSpool, Spool, orphans

log = logging.getLogger("stream_monitor.shipping")

WINDOW = 10_000
_WINDOW_BYTES = 16_000_000
_BATCH = 32
"""Logs handled in one go: about a millisecond, so that no caller waits long for the interpreter."""
_WAIT_S, _IDLE_S = 0.01, 1.0
_SAVE_S, _REPORT_S, _RETRY_S = 1.0, 60.0, 2.0
_CLOSE_S = 2.0

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

    __slots__ = ("_sender", "item", "number", "spool", "state")

    def __init__(self, sender: Sender, spool: Spool | NoSpool, number: int, item: Item) -> None:
        self._sender, self.spool, self.number, self.item, self.state = sender, spool, number, item, _WAITING

    def delivered(self, error: KafkaError | None, _message: Any) -> None:
        """librdkafka's report."""
        self._sender.delivered(self, error)


class Sender:
    """One thread, one producer, one spool. `start` once; then `wake`, `flush` and `close` from any thread."""

    def __init__(
        self,
        connection: Connection,
        queue: Buffer,
        limits: Limits,
        lost: Counter[str],
        item: Callable[[Captured], Item | None],
    ) -> None:
        self._connection, self._queue, self._limits = connection, queue, limits
        self.lost, self._item = lost, item
        self._sources: deque[Spool | NoSpool] = deque()
        self._own: Spool | NoSpool = NoSpool()
        self._window: deque[_Flight] = deque()
        self._window_bytes = self._outstanding = 0
        self._retry_at: float | None = None
        self._is_fatal = self._is_down = self._is_busy = False
        self._deadline: float | None = None
        self._trouble, self._told, self._reported = "", Counter[str](), -_REPORT_S
        self._saved = 0.0
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream-monitor-shipping", daemon=True)
        self.is_resting = False
        self.delivered_total = 0
        self.ident = 0
        self.producer: Producer | None = None

    # From any thread

    def start(self) -> None:
        """Raises RuntimeError while the interpreter ends."""
        self._thread.start()

    def wake(self) -> None:
        """There is something in the queue."""
        self._wake.set()

    @property
    def is_delivered(self) -> bool:
        """Kafka has all that was queued."""
        if self._queue or self._is_busy or not self._sources:
            return False
        return not self._window and self._unread() is None and self._own.is_tidy

    @property
    def is_safe(self) -> bool:
        """All is delivered, or the broker is away and all is on the disk."""
        is_kept = self._is_down and self._own.is_open and not self._queue and not self._is_busy
        return is_kept or self.is_delivered

    def wait(self, is_enough: Callable[[Sender], bool], seconds: float) -> bool:
        """Until it is enough, at most so long."""
        deadline = time.monotonic() + seconds
        self.wake()
        while not is_enough(self) and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.002)
        return is_enough(self)

    def close(self) -> None:
        """Deliver what there is, within the flush timeout, and end the thread. The rest stays in the spool."""
        self._deadline = time.monotonic() + self._limits.flush_timeout_s
        self.wake()
        if self._thread.ident is not None and threading.get_ident() != self.ident:
            self._thread.join(self._limits.flush_timeout_s + _CLOSE_S)

    def forget(self) -> None:
        """In a forked child: nothing of this is ours."""
        for source in self._sources:
            source.forget()

    @property
    def state(self) -> dict[str, int]:
        """For whoever wants to watch it."""
        return {
            "in_flight": len(self._window),
            "delivered": self.delivered_total,
            "spool_bytes": sum(source.size_bytes for source in list(self._sources)),
        }

    # In the thread

    def _run(self) -> None:
        self.ident = threading.get_ident()
        try:
            self.producer = self._new_producer()
            self._open()
            while self._deadline is None or (time.monotonic() < self._deadline and not self.is_safe):
                if not self._round():
                    self._rest()
        except Exception:  # the application goes on, whatever happens here
            log.exception("shipping has stopped; logs are lost from here on")
        finally:
            self._end()

    def _open(self) -> None:
        root = self._limits.spool
        if root is not None:
            try:
                self._own = Spool.create(root, self._limits.spool_bytes)
                self._sources.extend(self._adopted(root))
            except OSError as error:
                self._trouble = f"the spool {root} cannot be used ({error.strerror}): logs wait in memory alone"
        self._sources.append(self._own)

    def _adopted(self, root: Path) -> list[Spool]:
        """What killed processes left, at most as much as a spool may hold; of more the oldest goes."""
        found = [spool for spool in orphans(root, self._limits.spool_bytes) if spool.folder.name != self._own.name]
        excess = sum(spool.size_bytes for spool in found) - self._limits.spool_bytes
        while excess > 0 and found:
            oldest = found.pop(0)
            excess -= oldest.size_bytes
            self.lost["spool_full"] += oldest.drop()
        return found

    def _round(self) -> bool:
        """One turn; False if there was nothing to do."""
        assert self.producer is not None
        moved = self._drain()
        moved |= self._feed()
        self.producer.poll(0)
        self._settle()
        self._look_at_the_clock(time.monotonic())
        return moved

    def _drain(self) -> bool:
        """From the queue to the spool, and on to the window if all before it is there."""
        count = min(len(self._queue), _BATCH)
        is_direct = self._unread() is None and self._has_room
        if not count or not (is_direct or self._own.is_open):
            return False
        self._is_busy = True
        items = [item for item in map(self._item, self._queue.take(count)) if item is not None]
        count = len(items)
        if not items:
            self._is_busy = False
            return True
        try:
            first = self._own.append(items)
        except OSError as error:
            first = self._own.reserve(count)
            if self._own.is_open:
                self._trouble = f"the spool takes nothing: {error.strerror}"
            if not is_direct:
                self.lost["spool_failed"] += count
        if is_direct:
            self._own.take(first + count)
            for index, item in enumerate(items):
                self._fly(_Flight(self, self._own, first + index, item))
        self._is_busy = False
        return True

    @property
    def _has_room(self) -> bool:
        return (
            self._retry_at is None and len(self._window) < WINDOW - _BATCH and self._window_bytes < _WINDOW_BYTES
        )

    def _feed(self) -> bool:
        """From the spools to the window; what failed again, when its time has come."""
        if self._retry_at is not None:
            return self._retry()
        source = self._unread()
        if source is None or not self._has_room:
            return False
        try:
            found = source.next(_BATCH)
        except OSError as error:
            self._trouble = f"the spool cannot be read: {error.strerror}"
            found = []
        for number, item in found:
            self._fly(_Flight(self, source, number, item))
        return bool(found)

    def _unread(self) -> Spool | NoSpool | None:
        """The first spool that holds what is not in the window."""
        return next((source for source in list(self._sources) if not source.is_read), None)

    def _fly(self, flight: _Flight) -> None:
        self._window.append(flight)
        self._window_bytes += len(flight.item.value)
        if self._retry_at is None:
            self._produce(flight)

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
            self._outstanding += 1

    def delivered(self, flight: _Flight, error: KafkaError | None) -> None:
        """What became of a log; called by `poll`, in this thread."""
        self._outstanding -= 1
        if error is not None:
            self._failed(flight, error)
            return
        flight.state = _DONE
        self.delivered_total += 1
        self._is_down, self._trouble = False, ""

    def _failed(self, flight: _Flight, error: KafkaError) -> None:
        if error.code() in _REFUSED_FOR_GOOD:
            flight.state = _DONE
            self.lost["refused"] += 1
            self._trouble = f"{flight.item.topic} refused a log: {error.str()}"
            return
        flight.state = _WAITING
        hint = "; make it with: stream-monitor topics apply" if "nknown topic" in error.str() else ""
        self._wait_to_retry(f"{flight.item.topic}: {error.str()}{hint}")

    def _wait_to_retry(self, why: str) -> None:
        self._retry_at = time.monotonic() + _RETRY_S
        self._trouble = f"logs wait: {why}"

    def _retry(self) -> bool:
        """All that was under way has been answered: produce what waits, in order."""
        if self._outstanding or self._retry_at is None or time.monotonic() < self._retry_at:
            return False
        if self._is_fatal:
            self.producer, self._is_fatal = self._new_producer(), False
        self._retry_at = None
        for flight in self._window:
            if flight.state == _WAITING and self._retry_at is None:
                self._produce(flight)
        return self._is_flowing

    @property
    def _is_flowing(self) -> bool:
        return self._retry_at is None

    def _settle(self) -> None:
        """What is delivered up to here leaves the window and the spool."""
        while self._window and self._window[0].state == _DONE:
            flight = self._window.popleft()
            self._window_bytes -= len(flight.item.value)
            if not self._window or self._window[0].spool is not flight.spool or flight.number % _BATCH == 0:
                flight.spool.acknowledge(flight.number + 1)
        while len(self._sources) > 1 and self._sources[0].is_read and not self._flies_from(self._sources[0]):
            self._sources.popleft().close()

    def _flies_from(self, source: Spool | NoSpool) -> bool:
        return bool(self._window) and self._window[0].spool is source

    def _look_at_the_clock(self, now: float) -> None:
        if now - self._saved >= _SAVE_S:
            self._saved = now
            for source in itertools.islice(self._sources, 2):
                with contextlib.suppress(OSError):
                    source.save()
            self.lost["spool_full"] += self._own.evicted
            self._own.evicted = 0
        news = self.lost - self._told
        if (news or self._trouble) and now - self._reported >= _REPORT_S:
            self._report(news, now)

    def _report(self, news: Counter[str], now: float) -> None:
        self._reported, self._told = now, Counter(self.lost)
        trouble, self._trouble = self._trouble, ""
        if news:
            reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(news.items()))
            log.warning(
                "%d log records were lost on their way to %s: %s", news.total(), self._connection.broker, reasons
            )
        if trouble:
            log.warning("%s", trouble)

    def _rest(self) -> None:
        assert self.producer is not None
        if self._outstanding:
            self.producer.poll(_WAIT_S)
            return
        if self._retry_at is not None:
            time.sleep(_WAIT_S)
            self.producer.poll(0)
            return
        self._own.tidy()
        self.is_resting = True
        if not self._queue:
            self._wake.wait(_IDLE_S)
        self.is_resting = False
        self._wake.clear()

    def _new_producer(self) -> Producer:
        return clients.producer(
            self._connection,
            **{
                "message.timeout.ms": 0,
                "linger.ms": 20,
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
            self._is_down = True
            self._trouble = f"no broker answers at {self._connection.broker}; logs wait"
        elif error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
            self._is_down = True
            self._trouble = f"the broker at {self._connection.broker} refused the connection: {error.str()[:300]}"

    def _end(self) -> None:
        left = len(self._queue) + (0 if self._own.is_open else len(self._window))
        if left and self._deadline is not None:
            self.lost["closed"] += left
        with contextlib.suppress(Exception):
            self._report(self.lost - self._told, time.monotonic())
        for source in self._sources:
            with contextlib.suppress(OSError):
                source.close()
        if self.producer is not None:
            self.producer.purge()
