"""A feed of records that are there already: a recording, or what a test has made. Nothing moves but the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from stream_monitor import wire
from stream_monitor.core.record import Kind
from stream_monitor.core.view import Query, View
from stream_monitor.errors import MonitorError
from stream_monitor.feed.raw import NEIGHBOURS, Excerpt, RawRecord
from stream_monitor.feed.state import FeedState
from stream_monitor.feed.store import Store
from stream_monitor.kinds import KINDS


class FixedFeed:
    """A Feed of metrics and alerts records. `state` may be set to any other."""

    def __init__(
        self,
        metrics: Iterable[bytes],
        alerts: Iterable[bytes] = (),
        raw: Mapping[tuple[str, int], list[RawRecord]] | None = None,
        *,
        clock: Callable[[], int],
        kinds: Mapping[str, Kind] | None = None,
    ) -> None:
        """`raw`: by kind and partition, the source records in the order of their offsets."""
        self.store = Store(KINDS if kinds is None else kinds)
        self.store.take(metrics)
        self.store.take_alerts(alerts)
        self.now = FeedState("live", clock(), last_record_ms=clock())
        self.changes = 0
        self._clock = clock
        self._raw = raw or {}

    def start(self) -> None:
        """It has begun."""

    def stop(self) -> None:
        """It has ended."""

    def now_ms(self) -> int:
        """The clock."""
        return self._clock()

    def version(self) -> int:
        """Changes when told to."""
        return self.changes

    def newest_ms(self) -> int:
        """Start of the newest window that is known; 0 without any."""
        return self.store.newest_ms

    def series_count(self) -> int:
        """How many series are known."""
        return self.store.count()

    def state(self) -> FeedState:
        """As set."""
        return self.now

    def alerts(self) -> list[wire.AlertRecord]:
        """Alerts: those that fire first, then the latest."""
        return self.store.alerts()

    def view(self, query: Query) -> View:
        """The answer."""
        return self.store.view(query)

    def holds(self, _query: Query) -> bool:
        """It holds all that there is."""
        return True

    def excerpt(self, kind: str, partition: int, offset: int) -> Excerpt:
        """The records around a place. Raises MonitorError where there are none."""
        records = self._raw.get((kind, partition), [])
        if not records:
            raise MonitorError(f"no records of logs.{kind} partition {partition} are here")
        near = [record for record in records if abs(record.offset - offset) <= NEIGHBOURS]
        return Excerpt(f"logs.{kind}", partition, offset, near, records[0].offset, records[-1].offset + 1)
