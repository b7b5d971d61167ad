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

from confluent_kafka import Producer

from stream_monitor.shipping.buffer import Buffer
from stream_monitor.shipping.connection import Connection
from stream_monitor.shipping.formatter import Captured
from stream_monitor.shipping.spool import Item, Limits, NoSpool, Spool, orphans
from stream_monitor.shipping.window import BATCH, Window

log = logging.getLogger("stream_monitor.shipping")

_TICK_S, _HURRY_S, _IDLE_S = 0.05, 0.002, 1.0
"""How often it looks while something is under way; while somebody waits for it; while there is nothing to do. A
thread that wakes more often costs its callers more: they lose the interpreter, and find their caches cold.
"""
_MOST_BATCHES = 40
"""Of the queue in one turn, before acknowledgements are heard."""
_SAVE_S, _REPORT_S = 1.0, 60.0
_CLOSE_S = 2.0


class Gate:
    """Wakes one waiting thread. Unlike an Event's, its `set` may be called by a signal handler or a finalizer that
    interrupts another `set` in the same thread: it takes no lock, it gives one back.
    """

    def __init__(self) -> None:
        self._closed = threading.Lock()
        self._closed.acquire()

    def set(self) -> None:
        """Let the waiting one go on, or the next that will wait."""
        with contextlib.suppress(RuntimeError):  # it is open
            self._closed.release()

    def wait(self, seconds: float) -> None:
        """Until it is set, or for so long; then it is closed again."""
        self._closed.acquire(timeout=seconds)


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
        self._window = Window(connection, lost)
        self._is_busy = False
        self._waiting = 0
        self._deadline: float | None = None
        self._told, self._reported = Counter[str](), -_REPORT_S
        self._saved = 0.0
        self._wake = Gate()
        self._thread = threading.Thread(target=self._run, name="stream-monitor-shipping", daemon=True)
        self.is_resting = False
        self.ident = 0

    # From any thread

    def start(self) -> None:
        """Raises RuntimeError while the interpreter ends."""
        self._thread.start()

    def wake(self) -> None:
        """There is something in the queue."""
        self._wake.set()

    @property
    def has_ended(self) -> bool:
        """Its thread is no more."""
        return self._thread.ident is not None and not self._thread.is_alive()

    @property
    def producer(self) -> Producer | None:
        """librdkafka's handle."""
        return self._window.producer

    @property
    def is_delivered(self) -> bool:
        """Kafka has all that was queued."""
        if self._queue or self._is_busy or not self._sources:
            return False
        return not self._window and self._unread() is None and self._own.is_tidy

    @property
    def is_safe(self) -> bool:
        """All is delivered, or the broker is away and all is on the disk."""
        is_kept = self._window.is_down and self._own.is_open and not self._queue and not self._is_busy
        return is_kept or self.is_delivered

    def wait(self, is_enough: Callable[[Sender], bool], seconds: float) -> bool:
        """Until it is enough, at most so long."""
        deadline = time.monotonic() + seconds
        self._waiting += 1
        self.wake()
        while not is_enough(self) and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(_HURRY_S)
        self._waiting -= 1
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
            "delivered": self._window.delivered_total,
            "spool_bytes": sum(source.size_bytes for source in list(self._sources)),
        }

    # In the thread

    def _run(self) -> None:
        self.ident = threading.get_ident()
        try:
            self._window.open()
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
                self._window.trouble = (
                    f"the spool {root} cannot be used ({error.strerror}): logs wait in memory alone"
                )
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
        """One turn; False if there was nothing to do. The queue goes first, and whole: it is bounded, the spool is
        much larger, and after an outage there is more in the spool than one turn can feed.
        """
        moved = False
        for _ in range(_MOST_BATCHES):
            if not self._drain():
                break
            moved = True
        moved |= self._feed()
        self._window.poll(0)
        self._settle()
        self._look_at_the_clock(time.monotonic())
        return moved

    def _drain(self) -> bool:
        """From the queue to the spool, and on to the window if all before it is there."""
        count = min(len(self._queue), BATCH)
        is_direct = self._unread() is None and self._window.has_room
        if not count or not (is_direct or self._own.is_open):
            return False
        self._is_busy = True
        items = [item for item in map(self._made, self._queue.take(count)) if item is not None]
        count = len(items)
        if not items:
            self._is_busy = False
            return True
        try:
            first = self._own.append(items)
        except OSError as error:
            first = self._own.reserve(count)
            if self._own.is_open:
                self._window.trouble = f"the spool takes nothing: {error.strerror}"
            if not is_direct:
                self.lost["spool_failed"] += count
        if is_direct:
            self._own.take(first + count)
            for index, item in enumerate(items):
                self._window.fly(self._own, first + index, item)
        self._is_busy = False
        return True

    def _made(self, captured: Captured) -> Item | None:
        """A record's message. One that nobody thought of is counted, and ends no thread."""
        try:
            return self._item(captured)
        except Exception:  # noqa: BLE001
            self.lost["failed"] += 1
            return None

    def _feed(self) -> bool:
        """From the spools to the window; what failed again, when its time has come."""
        if not self._window.is_flowing:
            return self._window.retry()
        source = self._unread()
        if source is None or not self._window.has_room:
            return False
        try:
            found = source.next(BATCH)
        except OSError as error:
            self._window.trouble = f"the spool cannot be read: {error.strerror}"
            found = []
        for number, item in found:
            self._window.fly(source, number, item)
        return bool(found)

    def _unread(self) -> Spool | NoSpool | None:
        """The first spool that holds what is not in the window."""
        return next((source for source in list(self._sources) if not source.is_read), None)

    def _settle(self) -> None:
        """What is delivered up to here leaves the window and the spool."""
        self._window.settle()
        while len(self._sources) > 1 and self._sources[0].is_read and not self._window.holds(self._sources[0]):
            self._sources.popleft().close()

    def _look_at_the_clock(self, now: float) -> None:
        if now - self._saved >= _SAVE_S:
            self._saved = now
            for source in itertools.islice(self._sources, 2):
                with contextlib.suppress(OSError):
                    source.save()
            self.lost["spool_full"] += self._own.evicted
            self._own.evicted = 0
        news = self.lost - self._told
        if (news or self._window.trouble) and now - self._reported >= _REPORT_S:
            self._report(news, now)

    def _report(self, news: Counter[str], now: float) -> None:
        self._reported, self._told = now, Counter(self.lost)
        trouble, self._window.trouble = self._window.trouble, ""
        if news:
            reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(news.items()))
            log.warning(
                "%d log records were lost on their way to %s: %s", news.total(), self._connection.broker, reasons
            )
        if trouble:
            log.warning("%s", trouble)

    def _rest(self) -> None:
        if self._window.outstanding or not self._window.is_flowing:
            is_hurried = self._waiting or self._deadline is not None
            self._wake.wait(_HURRY_S if is_hurried else _TICK_S)
            return
        self._own.tidy()
        self.is_resting = True
        if not self._queue:
            self._wake.wait(_IDLE_S)
        self.is_resting = False

    def _end(self) -> None:
        with contextlib.suppress(Exception):
            while self._own.is_open and self._drain():
                pass
        left = len(self._queue) + (0 if self._own.is_open else len(self._window))
        if left and self._deadline is not None:
            self.lost["closed"] += left
        with contextlib.suppress(Exception):
            self._report(self.lost - self._told, time.monotonic())
        for source in self._sources:
            with contextlib.suppress(OSError):
                source.close()
        self._window.close()
