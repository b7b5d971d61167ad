"""Is anything still on its way? What lets the wall clock say that a component is silent.

    logs.*  ──▶ (folded, committed) ──▶ partials ──▶ (merged, committed) ──▶ metrics.1m ──▶ (judged)
      │ 1. their ends, at t               │ 2. its ends                        │ 3. its ends

When the logs up to their ends of t are committed, and then the partials that are there, then the closed
minutes that are there are all that came of logs before t. A judge that has read its partition up to there
knows that nothing of before t is missing, but for windows that were still open: `quiet_ms` leaves them room.
While a worker is down, or behind, nothing is committed, and nobody is called silent for it.
"""

from __future__ import annotations

import asyncio
import logging
from threading import Lock

from confluent_kafka import KafkaException

from stream_monitor import offsets
from stream_monitor.core.window import MINUTE_MS
from stream_monitor.errors import MonitorError
from stream_monitor.settings import Settings
from stream_monitor.worker.owners import clock_ms

log = logging.getLogger(__name__)

_MARGIN_MS = 30_000


class Upstream:
    """One worker's look at the topics before the closed minutes; `look` is called now and then.

    It keeps one client from its first look until it is closed: each new one would connect, and where there are
    tokens fetch one.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._room_ms = round((settings.grace + settings.idle_after) * 1000) + MINUTE_MS + _MARGIN_MS
        self._sources = tuple(f"logs.{kind}" for kind in settings.kinds)
        self.live: set[str] = set()
        """Kinds whose minutes have come close to the wall clock; the judges say so."""
        self._waiting: tuple[int, tuple[str, ...], offsets.Offsets] | None = None
        """(t, topics, their ends): what is waited for."""
        self._vouched: tuple[int, offsets.Offsets] | None = None
        """(t, ends of metrics.1m): what was logged before t is there."""
        self._asker: offsets.Asker | None = None
        self._is_closed = False
        self._asking = Lock()
        """Held by whoever uses the client, or closes it: a look is in another thread."""

    def quiet_ms(self, partition: int, position: int) -> int | None:
        """Up to when everything that was logged has been judged by who has read a partition up to a position."""
        if self._vouched is None:
            return None
        at_ms, ends = self._vouched
        end = ends.get((self._settings.topic("metrics.1m"), partition), 0)
        return at_ms - self._room_ms if position >= end else None

    async def look(self) -> None:
        """Look again; where the broker does not answer nothing is known."""
        try:
            found = await asyncio.to_thread(self._look)
        except (KafkaException, MonitorError) as error:
            log.debug("cannot look upstream: %s", error)
            found = None
        self._vouched = found or self._vouched

    def close(self) -> None:
        """No look after this one, which is waited for."""
        with self._asking:
            self._is_closed = True
            if self._asker is not None:
                self._asker.close()
                self._asker = None

    def _look(self) -> tuple[int, offsets.Offsets] | None:
        with self._asking:
            if self._is_closed:
                return None
            if self._asker is None:
                self._asker = offsets.of_workers(self._settings)
            return self._next_stage(self._asker)

    def _next_stage(self, asker: offsets.Asker) -> tuple[int, offsets.Offsets] | None:
        """One stage further, if the last one's offsets are committed: partials never rest, their owners tick."""
        if self._waiting is None:
            self._waiting = (clock_ms(), self._sources, asker.ends(self._sources))
            return None
        at_ms, stage, ends = self._waiting
        if asker.behind(ends):
            return None
        if stage == self._sources:
            self._waiting = (at_ms, ("partials",), asker.ends(("partials",)))
            return None
        self._waiting = None
        return at_ms, asker.ends(("metrics.1m",))
