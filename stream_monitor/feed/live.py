"""A Feed: a range of the metrics topics, and what comes, in a thread of its own.

connecting ──▶ loading ──▶ live ──▶ lost, since …  ──┐
     │            ▲                                  │  again every second; what was read stays to be seen
     └─▶ missing ─┴──────────────────────────────────┘  missing: the broker is there, the topics are not
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Event, Thread
from types import TracebackType
from typing import Protocol, Self

from confluent_kafka import KafkaException

from stream_monitor import clients, topics, wire
from stream_monitor.core.record import Kind
from stream_monitor.core.snapshot import Range
from stream_monitor.core.view import Query, View
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS
from stream_monitor.errors import MonitorError, StoppedError, TopicMissingError
from stream_monitor.feed.fill import LIVE, TOPIC, Fill, PastFill
from stream_monitor.feed.memory import give_back
from stream_monitor.feed.raw import Excerpt, read_around
from stream_monitor.feed.reader import Batch, Reader
from stream_monitor.feed.state import FeedState, Phase, skew
from stream_monitor.feed.store import Store
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings

ALERTS = "alerts"

_FOLLOW_S = 0.1
_QUIET_S = 2.0
_PROBE_S = 2.0
_AGAIN_S = 1.0
_TIDY_S = 30.0
_LEAVE_S = 2.0
"""The thread may wait for a broker that is away; it ends with the process."""
_ALERTS_MS = 30 * DAY_MS
ASKED_S = 330.0
"""A range is kept for this long after it was last asked for: somebody may look at it every five minutes."""
_MOST_ASKED = 32
_SKEW_SEEN_S = 15.0
"""A skew is reported for this long after it was last seen."""


class Feed(Protocol):
    """What a view needs. All of it may be called in any thread."""

    def view(self, query: Query) -> View:
        """The answer as of now; `complete` says whether something is still being read for it."""

    def holds(self, query: Query) -> bool:
        """The answer would be complete; nothing is read for this question."""

    def alerts(self) -> list[wire.AlertRecord]:
        """Alerts: those that fire first, then the latest."""

    def state(self) -> FeedState:
        """How the feed is."""

    def version(self) -> int:
        """Another number after every change."""

    def series_count(self) -> int:
        """How many series are known."""

    def newest_ms(self) -> int:
        """Start of the newest window that is known; 0 without any."""

    def now_ms(self) -> int:
        """The clock."""

    def excerpt(self, kind: str, partition: int, offset: int) -> Excerpt:
        """The log records around a place of the kind's source topic."""

    def start(self) -> None:
        """Begin to read."""

    def stop(self) -> None:
        """Read no more."""


class LiveFeed:
    """A Feed of a broker. From `start()` (or `with`) to `stop()`."""

    def __init__(
        self,
        settings: Settings,
        kinds: Mapping[str, Kind] | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        clients.client_config(settings)  # UsageError where the connection's settings are wrong
        self._settings = settings
        self._kinds = KINDS if kinds is None else kinds
        self._clock = clock
        self._store = Store(self._kinds)
        self._past_store = Store(self._kinds)
        self._fill: Fill | None = None
        self._past: PastFill | None = None
        now = clock()
        self._asked: dict[tuple[int, int], tuple[Query, float]] = {}
        """Live queries by step and how many, and when each was last asked: all of them are answered."""
        self._ask(Query(Range(now - HOUR_MS, now), MINUTE_MS))
        self._past_query: Query | None = None
        self._past_asked = 0.0
        self._state = FeedState("connecting", now)
        self._skew: tuple[int | None, float] = (None, 0.0)
        self._version = 0
        self._over = Event()
        self._wanted = Event()
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to read; once."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="feed", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Read no more; returns within a few seconds."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout=_LEAVE_S)

    def now_ms(self) -> int:
        """The clock."""
        return self._clock()

    def version(self) -> int:
        """Another number after every change."""
        return self._version

    def newest_ms(self) -> int:
        """Start of the newest window that is known; 0 without any."""
        return self._store.newest_ms

    def series_count(self) -> int:
        """How many series are known."""
        return self._store.count()

    def state(self) -> FeedState:
        """How the feed is."""
        ms, seen = self._skew
        return replace(self._state, skew_ms=ms if time.monotonic() - seen < _SKEW_SEEN_S else None)

    def alerts(self) -> list[wire.AlertRecord]:
        """Alerts: those that fire first, then the latest."""
        return self._store.alerts()

    def excerpt(self, kind: str, partition: int, offset: int) -> Excerpt:
        """The log records around a place of the kind's source topic. Raises MonitorError and KafkaException."""
        return read_around(self._settings, self._settings.topic(f"logs.{kind}"), partition, offset)

    def view(self, query: Query) -> View:
        """The answer as of now; what is missing is read meanwhile."""
        fill, past = self._fill, self._past
        if query.live:
            self._ask(query)
            self._past_query = None
            view = self._store.view(query)
            view.complete = fill is not None and fill.can_answer(query)
            return view
        self._past_query, self._past_asked = query, time.monotonic()
        if fill is not None and fill.can_answer(query):
            return self._store.view(query)
        view = self._past_store.view(query)
        view.complete = past is not None and past.can_answer(query)
        return view

    def holds(self, query: Query) -> bool:
        """The answer would be complete; nothing is read for this question."""
        fill, past = self._fill, self._past
        held = fill is not None and fill.can_answer(query)
        return held or (not query.live and past is not None and past.can_answer(query))

    def _ask(self, query: Query) -> None:
        """Remember it. A new dictionary each time: the thread reads it meanwhile."""
        now = time.monotonic()
        kept = {place: seen for place, seen in self._asked.items() if now - seen[1] < ASKED_S}
        place = (query.step_ms, (query.range.to_ms - query.from_ms) // query.step_ms)
        newest = sorted({**kept, place: (query, now)}.items(), key=lambda pair: -pair[1][1])
        self._asked = dict(newest[:_MOST_ASKED])

    @property
    def _wanted_queries(self) -> list[Query]:
        return [query for query, _ in self._asked.values()]

    # --- The thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._session()
            except StoppedError:
                return
            except TopicMissingError as error:
                self._enter("missing", str(error))
                self._over.wait(_AGAIN_S)
            except (MonitorError, KafkaException) as error:
                why = clients.reason(error) if isinstance(error, KafkaException) else str(error)
                self._enter("lost", why)
                self._over.wait(_AGAIN_S)

    def _session(self) -> None:
        settings = self._settings
        metadata = clients.ensure_broker(settings, self._over.is_set)
        counts = topics.counts_in(metadata, settings)
        names = (*TOPIC.values(), LIVE, ALERTS)
        topics.check(settings, names, counts)
        reader = Reader(settings, {name: counts[name] for name in names}, self._over.is_set)
        try:
            self._load(reader)
            self._enter("live")
            self._follow(reader)
        finally:
            reader.close()

    def _load(self, reader: Reader) -> None:
        """Read the range into a store of its own; an empty one is shown while it fills."""
        reader.begin()
        store = Store(self._kinds)
        if not self._store.rows:
            self._store = store
            self._enter("loading")
        fill = Fill(reader, store)
        queries = self._wanted_queries
        for query in queries:
            if not fill.can_answer(query):
                fill.read(query)
        fill.read_live(min(queries, key=lambda query: query.from_ms), self.now_ms())
        since = [self.now_ms() - _ALERTS_MS] * reader.partitions(ALERTS)
        for _, values in reader.before(ALERTS, since):
            store.take_alerts(values)
        self._store, self._fill = store, fill
        self._past_store = Store(self._kinds)
        self._past = PastFill(reader, self._past_store)

    def _enter(self, phase: Phase, why: str = "") -> None:
        if self._state.phase != phase:
            self._state = FeedState(phase, self.now_ms(), why, self._state.last_record_ms)
        elif self._state.why != why:
            self._state = replace(self._state, why=why)
        self._version += 1

    def _follow(self, reader: Reader) -> None:
        """Until the broker is lost, which is an exception."""
        heard = tidied = time.monotonic()
        failed = 0
        while True:
            self._read_what_is_wanted()
            batch = reader.follow(_FOLLOW_S)
            now = time.monotonic()
            if batch:
                self._take(batch)
                heard = now
            if now - heard > _QUIET_S or reader.is_down:
                failed = self._probe(reader, failed)
                heard = time.monotonic()
            if now - tidied > _TIDY_S:
                self._tidy(reader, now)
                tidied = now

    def _tidy(self, reader: Reader, now: float) -> None:
        """Forget what nobody has asked for in a while (`now`: of the monotonic clock)."""
        assert self._fill is not None
        self._fill.forget(self._wanted_queries, self.now_ms())
        if self._past_store.rows and now - self._past_asked > ASKED_S:
            self._past_query, self._past_store = None, Store(self._kinds)
            self._past = PastFill(reader, self._past_store)
        give_back()

    def _probe(self, reader: Reader, failed: int) -> int:
        """How often in a row the broker has not answered; the second time it is lost."""
        try:
            reader.probe(_PROBE_S)
        except KafkaException:
            if failed:
                raise
            return failed + 1
        return 0

    def _read_what_is_wanted(self) -> None:
        fill, past, past_query = self._fill, self._past, self._past_query
        assert fill is not None
        assert past is not None
        for query in self._wanted_queries:
            if not fill.can_answer(query):
                fill.read(query)
                self._version += 1
        if past_query is not None and not (fill.can_answer(past_query) or past.can_answer(past_query)):
            self._past_store = past.read(past_query)
            self._version += 1

    def _take(self, batch: Batch) -> None:
        opens = [value for (topic, _), value in batch if topic == LIVE]
        closed = [value for (topic, _), value in batch if topic not in (LIVE, ALERTS)]
        alerts = [value for (topic, _), value in batch if topic == ALERTS]
        if alerts:
            self._store.take_alerts(alerts)
        if opens or closed:
            self._store.take(closed)
            newest, now = self._store.take(opens), self.now_ms()
            if newest:  # only what is still open says what the producers' clocks say
                self._skew = (skew(newest, now), time.monotonic())
            records = self._state.records + len(opens) + len(closed)
            self._state = replace(self._state, last_record_ms=now, records=records)
        self._version += 1
