"""A range read once, as a view: for a notebook, for a report with charts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from stream_monitor import clients, topics, wire
from stream_monitor.core.view import Query, View
from stream_monitor.errors import MonitorError, StoppedError
from stream_monitor.feed.live import ALERTS, Feed, LiveFeed
from stream_monitor.feed.store import warm
from stream_monitor.settings import Settings

PATIENCE_S = 120.0
_LOOK_S = 0.02


class Once(NamedTuple):
    """What was read."""

    view: View
    alerts: list[wire.AlertRecord]


def read_once(
    settings: Settings, query_of: Callable[[Feed], Query], stopped: Callable[[], bool] = lambda: False
) -> Once:
    """The answer to a query, complete and decoded.

    Raises BrokerUnavailableError and TopicMissingError, MonitorError where it takes too long, StoppedError.
    """
    metadata = clients.ensure_broker(settings, stopped)
    topics.check(settings, ("metrics.1d", "metrics.1h", "metrics.1m", "metrics.live", ALERTS),
                 topics.counts_in(metadata, settings))  # fmt: skip
    deadline = time.monotonic() + PATIENCE_S
    with LiveFeed(settings) as feed:
        query_of(feed)
        while True:
            view = feed.view(query_of(feed))
            if view.complete and feed.state().phase == "live":
                break
            if stopped():
                raise StoppedError("stopped while it read")
            if time.monotonic() > deadline:
                raise MonitorError(
                    f"the range was not read within {PATIENCE_S:g} s: {feed.state().why or 'too much'}"
                )
            time.sleep(_LOOK_S)
        alerts = feed.alerts()
    for _ in warm(list(view.totals.values())):
        pass
    return Once(view, alerts)
