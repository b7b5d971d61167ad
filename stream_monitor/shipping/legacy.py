"""What ended processes have left, on its way to Kafka: one spool at a time, before this process's own logs.

It holds these up only while it gets on: a spool whose topic the broker refuses is set aside, one that hears
nothing for a while goes beside them.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter

from stream_monitor.shipping.lane import Lane
from stream_monitor.shipping.orphans import Orphans
from stream_monitor.shipping.outlet import Outlet
from stream_monitor.shipping.spool import Limits, Spool

log = logging.getLogger("stream_monitor.shipping")
_PATIENCE_S = 10.0
"""How long a spool that does not get on holds up what comes behind it."""


class Legacy:
    """`lane`: the one that is under way. `set_aside`: logs of those that the broker refused."""

    def __init__(self, limits: Limits, outlet: Outlet, lost: Counter[str]) -> None:
        self._limits, self._outlet, self._lost = limits, outlet, lost
        self._orphans: Orphans | None = None
        self._spool: Spool | None = None
        self._is_first = True
        self._moved = 0.0
        self.lane: Lane | None = None
        self.set_aside = 0

    def open(self) -> None:
        """Look for the first."""
        if self._limits.spool is None:
            return
        self._orphans = Orphans(self._limits.spool, self._limits.spool_bytes)
        if dropped := self._orphans.dropped():
            self._lost["spool_full"] += dropped
        self._next()

    @property
    def goes_first(self) -> bool:
        """The process's own logs wait: older ones, found when it began, are getting on."""
        return self.lane is not None and self._is_first and time.monotonic() - self._moved < _PATIENCE_S

    def look(self) -> bool:
        """Whether one has been delivered or refused; then the next. False: nothing has changed."""
        lane, spool = self.lane, self._spool
        if lane is None or spool is None:
            return self._next()
        if lane.has_moved() or self._outlet.is_down:
            self._moved = time.monotonic()
        if lane.is_finished:
            self._count(spool)
            spool.close()
            return self._next()
        if lane.is_refused and not lane.outstanding:
            self._put_aside(lane, spool)
            return self._next()
        return False

    def _next(self) -> bool:
        self.lane = self._spool = None
        if self._orphans is None:
            return False
        spool = self._orphans.next()
        if spool is None:
            self._is_first = False
            return False
        self._is_first &= not spool.is_aside
        self._spool, self._moved = spool, time.monotonic()
        self.lane = Lane(spool, self._outlet, self._lost)
        return True

    def _put_aside(self, lane: Lane, spool: Spool) -> None:
        """It stays on the disk, and is tried again later; said once."""
        was_aside, count = spool.is_aside, spool.left()
        self.set_aside += count
        if not was_aside:
            log.warning(
                "%d logs that an ended process left in %s are set aside: %s", count, spool.folder, lane.trouble
            )
        spool.set_aside()
        self._count(spool)
        with contextlib.suppress(OSError):
            spool.close()

    def _count(self, spool: Spool) -> None:
        if spool.damaged:
            self._lost["damaged"] += spool.damaged
            spool.damaged = 0
