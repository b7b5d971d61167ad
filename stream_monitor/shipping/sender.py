"""The thread between a handler's queue and Kafka: queue → spool → lane → librdkafka.

    caller ──append──▶ queue ──drain──▶ spool (disk) ──feed──▶ window ──produce──▶ librdkafka ──▶ broker
                     in memory,                │   in memory, at most WINDOW logs,    │
                     bounded                   │   in order, each until acknowledged ◀┘ delivery reports
                                               └─ what the window has no room for is read from here again

A spool and a window are a lane, of which every topic has one. Everything is written to the spool before it is
produced, so that a kill loses no more than the queue. While the window keeps up nothing is read back. librdkafka
never gives a log up by itself (`message.timeout.ms` 0): it keeps the order of a partition however long the broker
is away. Where the broker refuses a topic, its lane produces nothing more until all that is under way has been
answered; then what failed is produced again, in order. What ended processes have left has a lane of its own, and
goes first while it gets on. This thread logs, and what it logs reaches no Kafka handler.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from confluent_kafka import Producer

from stream_monitor.shipping.buffer import Buffer
from stream_monitor.shipping.connection import Connection
from stream_monitor.shipping.formatter import Captured
from stream_monitor.shipping.frame import Item
from stream_monitor.shipping.lane import BATCH, Lane
from stream_monitor.shipping.legacy import Legacy
from stream_monitor.shipping.outlet import Outlet
from stream_monitor.shipping.spool import Limits, NoSpool, Spool

log = logging.getLogger("stream_monitor.shipping")

_TICK_S, _HURRY_S, _IDLE_S = 0.05, 0.002, 1.0
"""How often it looks while something is under way; while somebody waits for it; while there is nothing to do. A
thread that wakes more often costs its callers more: they lose the interpreter, and find their caches cold.
"""
_MOST_BATCHES = 40
"""Of the queue in one turn, before acknowledgements are heard."""
_PORTION_BYTES = 1_000_000
"""Written to a spool in one go, at most, but for a log that is longer."""
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
    """One thread, one producer, a lane by topic. `start` once; then `wake`, `wait` and `close` from any thread."""

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
        self._outlet = Outlet(connection)
        self._lanes: dict[str, Lane] = {}
        self._legacy = Legacy(limits, self._outlet, lost)
        self._trouble = ""
        self._is_busy = False
        self._waiting = 0
        self._deadline: float | None = None
        self._told, self._reported = Counter[str](), -_REPORT_S
        self._saved = 0.0
        self._wake = Gate()
        self._thread = threading.Thread(target=self._run, name="stream-monitor-shipping", daemon=True)
        self.is_resting = self.has_ended = False
        self.ident = 0

    # From any thread

    def start(self) -> None:
        """Raises RuntimeError while the interpreter ends."""
        self._thread.start()

    def run_here(self, deadline: float) -> None:
        """In place of a thread, where none can be started: deliver what is queued, until then; keep the rest."""
        self._deadline = deadline
        self._run()

    def wake(self) -> None:
        """There is something in the queue."""
        self._wake.set()

    @property
    def is_closed(self) -> bool:
        """It was told to end; if it has ended without, it was by an error."""
        return self._deadline is not None

    @property
    def producers(self) -> list[Producer]:
        """librdkafka's handles."""
        return self._outlet.producers

    @property
    def is_delivered(self) -> bool:
        """Kafka has all that was queued."""
        if self._queue or self._is_busy:
            return False
        return all(lane.is_finished and lane.spool.is_tidy for lane in self._own())

    @property
    def is_safe(self) -> bool:
        """All is delivered, or the broker is away and all is on the disk."""
        if self._outlet.is_down and not self._queue and not self._is_busy:
            return all(lane.is_saved for lane in self._own())
        return self.is_delivered

    def wait(self, is_enough: Callable[[Sender], bool], seconds: float) -> bool:
        """Until it is enough, at most so long."""
        deadline = time.monotonic() + seconds
        self._waiting += 1
        self.wake()
        while not is_enough(self) and not self.has_ended and time.monotonic() < deadline:
            time.sleep(_HURRY_S)
        self._waiting -= 1
        return is_enough(self)

    def close(self, seconds: float) -> None:
        """Deliver what there is, within that time, and end the thread. The rest stays in the spool."""
        self._deadline = time.monotonic() + seconds
        self.wake()
        if self._thread.ident is not None and threading.get_ident() != self.ident:
            self._thread.join(seconds + _CLOSE_S)

    def forget(self) -> None:
        """In a forked child: nothing of this is ours."""
        for lane in self._every():
            lane.spool.forget()

    @property
    def state(self) -> dict[str, int]:
        """For whoever wants to watch it."""
        lanes = self._every()
        return {
            "in_flight": sum(lane.in_flight for lane in lanes),
            "delivered": self._outlet.delivered,
            "spool_bytes": sum(lane.spool.size_bytes for lane in lanes),
            "set_aside": self._legacy.set_aside,
        }

    # In the thread

    def _own(self) -> list[Lane]:
        return list(self._lanes.values())

    def _every(self) -> list[Lane]:
        lane = self._legacy.lane
        return self._own() if lane is None else [lane, *self._own()]

    def _run(self) -> None:
        self.ident = threading.get_ident()
        try:
            self._outlet.open()
            self._legacy.open()
            while self._deadline is None or (time.monotonic() < self._deadline and not self.is_safe):
                if not self._round():
                    self._rest()
        except Exception:  # the application goes on, whatever happens here
            log.exception("shipping has stopped; logs are lost from here on")
        finally:
            self._end()
            self.has_ended = True

    def _round(self) -> bool:
        """One turn; False if there was nothing to do. The queue goes first, and whole: it is bounded, the spool is
        much larger, and after an outage there is more in the spool than one turn can feed.
        """
        moved = False
        for _ in range(_MOST_BATCHES):
            if not self._drain():
                break
            moved = True
        is_first = self._legacy.goes_first
        for lane in self._every():
            if lane is self._legacy.lane or not is_first:
                moved |= lane.feed()
        self._outlet.poll()
        for lane in self._every():
            lane.settle()
        moved |= self._legacy.look()
        self._look_at_the_clock(time.monotonic())
        return moved

    def _drain(self) -> bool:
        """From the queue to the spools, and on their way if all before them are."""
        if not self._queue or not all(lane.can_take for lane in self._own()):
            return False
        self._is_busy = True
        by_topic: dict[str, list[Item]] = {}
        for item in map(self._made, self._queue.take(BATCH)):
            if item is not None:
                by_topic.setdefault(item.topic, []).append(item)
        for topic, items in by_topic.items():
            lane = self._lanes.get(topic) or self._new_lane(topic)
            for portion in _portions(items, min(_PORTION_BYTES, self._limits.spool_bytes // 8)):
                lane.add(portion, may_fly=not self._legacy.goes_first)
        self._make_room()
        self._is_busy = False
        return True

    def _made(self, captured: Captured) -> Item | None:
        """A record's message. One that nobody thought of is counted, and ends no thread."""
        try:
            return self._item(captured)
        except Exception:  # noqa: BLE001
            self.lost["failed"] += 1
            return None

    def _new_lane(self, topic: str) -> Lane:
        spool: Spool | NoSpool = NoSpool()
        root = self._limits.spool
        if root is not None:
            try:
                spool = Spool.create(root, self._limits.spool_bytes)
            except OSError as error:
                self._trouble = f"the spool {root} cannot be used ({error.strerror}): logs wait in memory alone"
        lane = self._lanes[topic] = Lane(spool, self._outlet, self.lost)
        return lane

    def _make_room(self) -> None:
        """Each spool is bounded; all together, too: of the largest the oldest goes."""
        lanes = self._own()
        while len(lanes) > 1 and sum(lane.spool.size_bytes for lane in lanes) > self._limits.spool_bytes:
            if not max(lanes, key=lambda lane: lane.spool.size_bytes).spool.shrink():
                return

    def _look_at_the_clock(self, now: float) -> None:
        if now - self._saved >= _SAVE_S:
            self._saved = now
            for lane in self._every():
                with contextlib.suppress(OSError):
                    lane.spool.save()
                self._count(lane.spool)
        news = self.lost - self._told
        if now - self._reported >= _REPORT_S and (news or self._troubles()):
            self._report(news, now)

    def _count(self, spool: Spool | NoSpool) -> None:
        """What a spool has lost."""
        if spool.evicted:
            self.lost["spool_full"] += spool.evicted
        if spool.damaged:
            self.lost["damaged"] += spool.damaged
        spool.evicted = spool.damaged = 0

    def _troubles(self) -> list[str]:
        every = [self._trouble, self._outlet.trouble]
        for lane in self._every():
            every += (lane.trouble, lane.refusal)
        return [trouble for trouble in every if trouble]

    def _report(self, news: Counter[str], now: float) -> None:
        self._reported, self._told = now, Counter(self.lost)
        troubles, self._trouble, self._outlet.trouble = self._troubles(), "", ""
        for lane in self._every():
            lane.trouble = lane.refusal = ""
        if news:
            reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(news.items()))
            log.warning(
                "%d log records were lost on their way to %s: %s", news.total(), self._connection.broker, reasons
            )
        for trouble in troubles:
            log.warning("%s", trouble)

    def _rest(self) -> None:
        if (
            self._outlet.outstanding
            or self._legacy.lane is not None
            or not all(lane.is_flowing for lane in self._own())
        ):
            is_hurried = self._waiting or self._deadline is not None
            self._wake.wait(_HURRY_S if is_hurried else _TICK_S)
            return
        for lane in self._own():
            lane.spool.tidy()
        self.is_resting = True
        if not self._queue:
            self._wake.wait(_IDLE_S)
        self.is_resting = False

    def _end(self) -> None:
        with contextlib.suppress(Exception):
            while self._drain():
                pass
        left = sum(lane.unsaved() for lane in self._own())
        if self._deadline is not None:
            left += len(self._queue.take(len(self._queue)))
        if left:
            self.lost["closed"] += left
        for lane in self._every():
            with contextlib.suppress(OSError):
                self._count(lane.spool)
                lane.spool.close()
        with contextlib.suppress(Exception):
            self._report(self.lost - self._told, time.monotonic())
        self._outlet.close()


def _portions(items: Sequence[Item], most_bytes: int) -> Iterator[Sequence[Item]]:
    """In order, each of at most so many bytes, or of one."""
    begin = size = 0
    for index, item in enumerate(items):
        size += len(item.value)
        if size > most_bytes and index > begin:
            yield items[begin:index]
            begin, size = index, len(item.value)
    yield items[begin:]
