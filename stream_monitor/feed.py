"""The metrics topics → snapshots, for every view. Reads Kafka by timestamp; keeps nothing of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from confluent_kafka import Consumer, TopicPartition

from stream_monitor import clients, topics, wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.metric import SeriesId
from stream_monitor.core.record import Kind
from stream_monitor.core.snapshot import HourLine, Range, SeriesSnapshot, Snapshot, select
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, window_start
from stream_monitor.errors import MonitorError
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings

_BATCH = 10_000
_WAIT_S = 0.2
_PATIENCE = 50
"""Empty fetches in a row (10 s) before the broker is given up."""

_Windows = dict[int, tuple[wire.MetricLine, bytes]]


@dataclass(slots=True)
class _Rows:
    """The winning record of each window, by series and start, undecoded but for a line."""

    by_series: dict[SeriesId, _Windows] = field(default_factory=dict)
    unreadable: int = 0

    def take(self, value: bytes | None, kinds: Mapping[str, Kind]) -> None:
        """Keep the record if it is the newest of its window."""
        try:
            line = wire.metric_line(value or b"")
            kind, labels, _, start_ms = line.place
        except (wire.WireError, ValueError):
            self.unreadable += 1
            return
        if kind not in kinds:
            return
        windows = self.by_series.setdefault((kind, labels), {})
        seen = windows.get(start_ms)
        if seen is None or (line.revision, line.final) > (seen[0].revision, seen[0].final):
            windows[start_ms] = (line, value or b"")

    def starts(self, series: SeriesId) -> _Windows:
        """A series' windows by their start."""
        return self.by_series.get(series, {})


def read_history(settings: Settings, within: Range, kinds: Mapping[str, Kind] | None = None) -> Snapshot:
    """Everything that the metrics topics hold of a range, up to their ends as of now.

    Raises BrokerUnavailableError and TopicMissingError, one line each.
    """
    kinds = KINDS if kinds is None else kinds
    clients.ensure_broker(settings)
    topics.check(settings, ("metrics.1d", "metrics.1h", "metrics.1m", "metrics.live"))
    consumer = clients.consumer(
        settings, **{"fetch.min.bytes": 1, "check.crcs": False, "queued.min.messages": 100_000}
    )
    try:
        days = _read(consumer, settings, "metrics.1d", within.from_ms, kinds)
        hours = _read(consumer, settings, "metrics.1h", within.from_ms, kinds)
        since = _minutes_since(within, hours, kinds)
        minutes = _read(consumer, settings, "metrics.1m", since, kinds)
        live = _read(consumer, settings, "metrics.live", since, kinds)
    finally:
        consumer.close()
    for windows in live.by_series.values():
        for _, value in windows.values():
            minutes.take(value, kinds)
    return _snapshot(within, days, hours, minutes, live.unreadable, kinds)


def _minutes_since(within: Range, hours: _Rows, kinds: Mapping[str, Kind]) -> int:
    """From when on minutes are needed: the newest hour that every kind has a row of, else the whole range."""
    newest: dict[str, int] = {}
    for (kind, _), windows in hours.by_series.items():
        newest[kind] = max(newest.get(kind, 0), *windows)
    if within.from_ms % HOUR_MS or len(newest) < len(kinds):
        return within.from_ms
    oldest = min(newest.values())
    return max(within.from_ms, oldest)


def _read(consumer: Consumer, settings: Settings, name: str, since_ms: int, kinds: Mapping[str, Kind]) -> _Rows:
    rows = _Rows()
    for value in _values(consumer, settings.topic(name), since_ms):
        rows.take(value, kinds)
    return rows


def _values(consumer: Consumer, topic: str, since_ms: int) -> Iterator[bytes | None]:
    """The values of a topic's records from the first of each partition that is not before a time."""
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    starts = consumer.offsets_for_times([TopicPartition(topic, p, since_ms) for p in partitions], timeout=10)
    ends = {}
    for place in starts:
        low, high = consumer.get_watermark_offsets(place, timeout=10)
        place.offset = high if place.offset < 0 else max(place.offset, low)
        if place.offset < high:
            ends[place.partition] = high
    consumer.assign([place for place in starts if place.partition in ends])
    empty = 0
    while ends:
        messages = consumer.consume(_BATCH, timeout=_WAIT_S)
        empty = 0 if messages else empty + 1
        if empty > _PATIENCE:
            raise MonitorError(f"{topic}: the broker stopped answering while it was read")
        for message in messages:
            if message.error() is None:
                yield message.value()
        for place in consumer.position([TopicPartition(topic, p) for p in ends]):
            if place.offset >= ends[place.partition]:
                del ends[place.partition]
    consumer.unassign()


def _snapshot(
    within: Range, days: _Rows, hours: _Rows, minutes: _Rows, unreadable: int, kinds: Mapping[str, Kind]
) -> Snapshot:
    snapshot = Snapshot(within, unreadable=days.unreadable + hours.unreadable + minutes.unreadable + unreadable)
    for series in {*days.by_series, *hours.by_series, *minutes.by_series}:
        one = _series(within, series, days.starts(series), hours.starts(series), minutes.starts(series), kinds)
        if one is not None:
            snapshot.series[series] = one
    return snapshot


def _series(
    within: Range,
    series: SeriesId,
    days: _Windows,
    hours: _Windows,
    minutes: _Windows,
    kinds: Mapping[str, Kind],
) -> SeriesSnapshot | None:
    taken = select(within, days, hours, minutes)
    if not taken:
        return None
    kind = kinds[series[0]]
    whole = Aggregate.empty(kind)
    for _, _, (_, value) in taken:
        whole.merge(wire.metric_from(value, kinds).aggregate)
    one = SeriesSnapshot(kind, series[1], whole)
    one.hours = _time_line(within, hours, minutes)
    latest = [start for start in minutes if within.holds(start, MINUTE_MS)]
    latest += [start + HOUR_MS - MINUTE_MS for start in hours if within.holds(start, HOUR_MS)]
    latest += [start + DAY_MS - MINUTE_MS for start in days if within.holds(start, DAY_MS)]
    one.last_ms = max((s for s in minutes if within.holds(s, MINUTE_MS)), default=None) or max(latest)
    return one


def _time_line(within: Range, hours: _Windows, minutes: _Windows) -> dict[int, HourLine]:
    """Hours from their rows, else from their minutes."""
    lines: dict[int, HourLine] = {}
    for start, _, (line, _) in select(within, {}, hours, minutes):
        hour = lines.setdefault(window_start(start, HOUR_MS), HourLine())
        hour.volume += line.volume
        hour.errors += line.errors
        hour.of += line.of
    return lines
