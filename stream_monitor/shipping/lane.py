"""A topic's way to the broker: a spool, and those of its logs that are on their way, in order, each until it is
acknowledged. A topic that the broker refuses holds up its own lane and no other. In the sender's thread alone.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from stream_monitor.shipping.frame import Item
from stream_monitor.shipping.message import headers
from stream_monitor.shipping.outlet import Outlet
from stream_monitor.shipping.spool import NoSpool, Spool

WINDOW = 10_000
_WINDOW_BYTES = 16_000_000
BATCH = 256
"""Logs handled in one go: a few milliseconds of the interpreter, which a busy caller gives away no sooner."""
_RETRY_S = 2.0
_ALONE_S = 60.0
"""How long every log goes in a batch of its own after one in a batch was not taken."""
_NOT_TAKEN = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
    }
)
"""The broker's answers where a log is too large or malformed: all that are in its batch get them."""
_WAITING, _SENT, _DONE = range(3)


class _Flight:
    """A log on its way."""

    __slots__ = ("_lane", "is_alone", "is_kept", "item", "number", "state")

    def __init__(self, lane: Lane, number: int, item: Item, *, is_kept: bool) -> None:
        self._lane, self.number, self.item, self.is_kept = lane, number, item, is_kept
        self.state, self.is_alone = _WAITING, False

    def __call__(self, error: KafkaError | None, _message: Any) -> None:
        """librdkafka's report."""
        self._lane.answered(self, error)


class Lane:
    """`trouble` says why its logs wait, if they do, `refusal` why one was given up; `is_refused`: the broker takes
    nothing for its topic.
    """

    def __init__(self, spool: Spool | NoSpool, outlet: Outlet, lost: Counter[str]) -> None:
        self.spool, self._outlet, self._lost = spool, outlet, lost
        self._flights: deque[_Flight] = deque()
        self._bytes = 0
        self._retry_at: float | None = None
        self._alone_until, self._is_alone = 0.0, False
        self.outstanding = self._unkept = self._seen = 0
        self.trouble, self.refusal, self.is_refused = "", "", False

    @property
    def in_flight(self) -> int:
        """Logs in the window."""
        return len(self._flights)

    @property
    def is_flowing(self) -> bool:
        """Nothing has to be produced again."""
        return self._retry_at is None and not self._outlet.is_fatal

    @property
    def has_room(self) -> bool:
        """For another batch."""
        return self.is_flowing and len(self._flights) < WINDOW - BATCH and self._bytes < _WINDOW_BYTES

    @property
    def can_take(self) -> bool:
        """On the disk, or on the way. What is refused and has no disk is taken and lost: others need the queue."""
        return self.spool.is_open or self.has_room or self.is_refused

    @property
    def is_finished(self) -> bool:
        """All that was in its spool is delivered."""
        return not self._flights and self.spool.is_read

    @property
    def is_saved(self) -> bool:
        """Nothing of it is in memory alone."""
        return not self._flights or (self.spool.is_open and not self._unkept)

    def unsaved(self) -> int:
        """How many logs are lost if the process ends now."""
        return sum(flight.state != _DONE and not self._is_on_disk(flight) for flight in self._flights)

    def _is_on_disk(self, flight: _Flight) -> bool:
        return self.spool.is_open and flight.is_kept and self.spool.keeps(flight.number)

    def has_moved(self) -> bool:
        """Something was delivered since this was asked last."""
        before, self._seen = self._seen, self.spool.acked
        return self._seen != before

    def add(self, items: Sequence[Item], *, may_fly: bool) -> None:
        """To the spool, and at once on their way if all before them are. What no disk takes need not wait."""
        is_direct = self.spool.is_read and self.has_room
        try:
            first, is_kept = self.spool.append(items), True
        except OSError as error:
            first, is_kept = self.spool.reserve(len(items)), False
            if self.spool.is_open:
                self.trouble = f"the spool takes nothing: {error.strerror}"
            if not is_direct:
                self._lost["spool_failed"] += len(items)
        if is_direct and (may_fly or not is_kept):
            self.spool.take(first + len(items))
            for index, item in enumerate(items):
                self._fly(first + index, item, is_kept=is_kept)

    def feed(self) -> bool:
        """From the spool on their way; what failed again, when its time has come. False: nothing to do."""
        if self._retry_at is not None:
            return self._retry()
        if self.spool.is_read or not self.has_room:
            return False
        try:
            found = self.spool.next(BATCH)
        except OSError as error:
            self.trouble = f"the spool cannot be read: {error.strerror}"
            found = []
        for number, item in found:
            self._fly(number, item, is_kept=True)
        return bool(found)

    def settle(self) -> None:
        """What is delivered, up to the first that is not, leaves the window and the spool."""
        flights = self._flights
        while flights and flights[0].state == _DONE:
            flight = flights.popleft()
            self._bytes -= len(flight.item.value)
            self._unkept -= not flight.is_kept
            if not flights or flight.number % BATCH == 0:
                self.spool.acknowledge(flight.number + 1)

    def answered(self, flight: _Flight, error: KafkaError | None) -> None:
        """What became of a log; called by the outlet's `poll`, in this thread."""
        self.outstanding -= 1
        self._outlet.answered(error)
        if error is not None:
            self._failed(flight, error)
            return
        flight.state = _DONE
        self.trouble, self.is_refused = "", False

    def _fly(self, number: int, item: Item, *, is_kept: bool) -> None:
        """Take a log in, and produce it if nothing before it waits."""
        flight = _Flight(self, number, item, is_kept=is_kept)
        self._flights.append(flight)
        self._bytes += len(item.value)
        self._unkept += not is_kept
        if self.is_flowing:
            self._produce(flight)

    def _retry(self) -> bool:
        """Once all that is under way has been answered: produce what waits, in order."""
        now = time.monotonic()
        if self.outstanding or self._outlet.is_fatal or self._retry_at is None or now < self._retry_at:
            return False
        self._retry_at = None
        for flight in self._flights:
            if flight.state == _WAITING and self.is_flowing:
                self._produce(flight)
        return self.is_flowing

    def _produce(self, flight: _Flight) -> None:
        if not self.outstanding:  # else one that goes the other way could overtake
            self._is_alone = time.monotonic() < self._alone_until
        flight.is_alone = self._is_alone
        heads = headers(self.spool.name, flight.number, flight.item)
        try:
            self._outlet.produce(flight.item, heads, flight, is_alone=flight.is_alone)
        except KafkaException as error:
            flight.is_alone = True  # it has come into no batch
            self._failed(flight, error.args[0])
        except (BufferError, ValueError, TypeError) as error:
            self._wait(str(error))
        else:
            flight.state = _SENT
            self.outstanding += 1

    def _failed(self, flight: _Flight, error: KafkaError) -> None:
        flight.state = _WAITING
        if error.code() in _NOT_TAKEN:
            if flight.is_alone:
                self.refusal = f"{flight.item.topic} refused a log: {error.str()}"
                flight.state = _DONE
                self._lost["refused"] += 1
            else:
                self._retry_at = time.monotonic()
                self._alone_until = self._retry_at + _ALONE_S
            return
        self.is_refused = not error.fatal() and error.code() not in (KafkaError._FATAL, KafkaError._PURGE_QUEUE)
        hint = "; make it with: stream-monitor topics apply" if "nknown topic" in error.str() else ""
        self._wait(f"{flight.item.topic}: {error.str()}{hint}")

    def _wait(self, why: str) -> None:
        self._retry_at = time.monotonic() + _RETRY_S
        self.trouble = f"logs wait: {why}"
