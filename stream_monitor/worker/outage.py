"""Is the broker there? For the log: a line when it goes, a line when it is back."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream_monitor.worker.app import MonitorApp

log = logging.getLogger(__name__)

_FLICKER_S = 2.0
"""A connection that is made anew within this is no outage."""
_SETTLE_S = 30.0
"""After an outage the Kafka client finds its coordinator again, and complains while it does."""


class Outage:
    """What is known of the broker's absence. `look` is called several times a second."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._app: MonitorApp | None = None
        self._since_s: float | None = None
        """When the last connection was gone."""
        self._told = False
        self._back_s = -_SETTLE_S
        self._began = False
        """A connection has been seen."""

    def watch(self, app: MonitorApp) -> None:
        """From now on it is about this application."""
        self._app = app

    def is_on(self) -> bool:
        """No broker is connected, or there was none a moment ago. From any thread."""
        unsettled = time.monotonic() - self._back_s < _SETTLE_S
        return unsettled or self._since_s is not None or not self._is_connected()

    def look(self) -> None:
        """Tell what has changed."""
        now_s = time.monotonic()
        if not self._is_connected():
            self._since_s = now_s if self._since_s is None else self._since_s
            if not self._told and now_s - self._since_s >= _FLICKER_S:
                self._told = True
                log.warning("the broker at %s is away; the worker waits for it, nothing is lost", self._broker)
            return
        if self._since_s is not None and self._told:
            self._told, self._back_s = False, now_s
            log.warning("the broker at %s is back after %.0f s", self._broker, now_s - self._since_s)
        self._since_s = None

    def _is_connected(self) -> bool:
        """A broker is connected, or none has ever been."""
        connections = [] if self._app is None else _connections(self._app)
        if not self._began and not connections:
            return True
        self._began = True
        return any(connection.connected() for connection in connections)


def _connections(app: MonitorApp) -> list[Any]:
    """aiokafka's, of the consumer; empty where Faust has not made it yet, or has ended it."""
    consumer: Any = app._consumer
    own = None if consumer is None else consumer._thread._consumer
    return [] if own is None else list(own._client._conns.values())
