"""The metrics topics → snapshots, for every view. Reads Kafka by timestamp; keeps nothing of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from confluent_kafka import Consumer, TopicPartition

from stream_monitor import clients, topics, wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.metric import SeriesId
from stream_monitor.core.record import Kind
from stream_monitor.core.snapshot import HourLine, Range, SeriesSnapshot, Snapshot, select
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, window_start
from stream_monitor.errors import MonitorError
from stream_monitor.feed.row import MetricRow, row_from
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings

_TOPICS = ("metrics.1d", "metrics.1h", "metrics.1m", "metrics.live")

_BATCH = 5_000
_WAIT_S = 0.05
_PATIENCE = 200
"""Empty fetches in a row (10 s) before the broker is given up."""

_Windows = dict[int, MetricRow]


@dataclass(slots=True)
class _Rows:
    """The winning record of each window, by series and start, undecoded but for a line."""

    by_series: dict[SeriesId, _Windows] = field(default_factory=dict)
    newest_ms: dict[tuple[int, str], int] = field(default_factory=dict)
    """By (partition, kind): the start of the newest window."""
    unreadable: int = 0

    def take(self, value: bytes | None, kinds: Mapping[str, Kind], partition: int = 0) -> None:
        """Keep the record if it is the newest of its window."""
        try:
            found = row_from(value or b"", kinds)
        except wire.WireError:
            self.unreadable += 1
            return
        if found is not None:
            series, row = found
            place = (partition, series[0])
            self.newest_ms[place] = max(self.newest_ms.get(place, 0), row.start_ms)
            self.keep(series, row)

    def keep(self, series: SeriesId, row: MetricRow) -> None:
        """Keep the row if it is the newest of its window."""
        windows = self.by_series.setdefault(series, {})
        seen = windows.get(row.start_ms)
        if seen is None or (row.records, row.final) > (seen.records, seen.final):
            windows[row.start_ms] = row

    def starts(self, series: SeriesId) -> _Windows:
        """A series' windows by their start."""
        return self.by_series.get(series, {})


def read_history(
    settings: Settings,
    within: Range,
    kinds: Mapping[str, Kind] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Snapshot:
    """Everything that the metrics topics hold of a range, up to their ends as of now.

    Raises BrokerUnavailableError and TopicMissingError, one line each, StoppedError where `stopped()` comes before
    the broker answers, and KafkaException where it goes away.
    """
    kinds = KINDS if kinds is None else kinds
    partitions = topics.counts_in(clients.ensure_broker(settings, stopped), settings)
    topics.check(settings, _TOPICS, partitions)
    consumer = clients.consumer(settings, **{"queued.min.messages": 100_000, "fetch.queue.backoff.ms": 5})
    places = {settings.topic(name): partitions[name] for name in _TOPICS}
    try:
        recent = max(within.from_ms, window_start(within.to_ms, HOUR_MS) - HOUR_MS)
        starts = (within.from_ms, within.from_ms, recent, recent)
        since = {t: [start] * places[t] for t, start in zip(places, starts, strict=True)}
        rows = _read(consumer, places, since, kinds)
        needed = _minutes_since(within, rows[1], places[settings.topic("metrics.1h")])
        if min(needed) < recent:  # hours are missing: their minutes make up for them
            rows[2:] = _read(consumer, places, {settings.topic(name): needed for name in _TOPICS[2:]}, kinds)
    finally:
        consumer.close()
    days, hours, minute_rows, live = rows
    for series, windows in live.by_series.items():
        for row in windows.values():
            minute_rows.keep(series, row)
    return _snapshot(within, days, hours, minute_rows, live.unreadable, kinds)


def _minutes_since(within: Range, hours: _Rows, partitions: int) -> list[int]:
    """By partition, from when on minutes are needed: the newest hour that every kind with hours has there.

    A partition's merge may lag behind the others'; one without hours needs all its minutes, if it has any.
    """
    if within.from_ms % HOUR_MS:
        return [within.from_ms] * partitions
    newest: dict[int, int] = {}
    for (partition, _), start_ms in hours.newest_ms.items():
        newest[partition] = min(newest.get(partition, start_ms), start_ms)
    return [newest.get(partition, within.from_ms) for partition in range(partitions)]


_Since = Mapping[str, list[int]]
"""By topic: for each partition the time from which on it is read, in UTC milliseconds."""


def _read(
    consumer: Consumer, partitions: Mapping[str, int], since_ms: _Since, kinds: Mapping[str, Kind]
) -> list[_Rows]:
    """The rows of each topic in `since_ms`, in its order."""
    rows = {topic: _Rows() for topic in since_ms}
    for topic, partition, value in _values(consumer, partitions, since_ms):
        rows[topic].take(value, kinds, partition)
    return list(rows.values())


def _values(
    consumer: Consumer, partitions: Mapping[str, int], since_ms: _Since
) -> Iterator[tuple[str, int, bytes | None]]:
    """(topic, partition, value) of the topics' records, of each partition from the first one of its time on."""
    wanted = [TopicPartition(t, p, since[p]) for t, since in since_ms.items() for p in range(partitions[t])]
    ends = {}
    starts = []
    for place in consumer.offsets_for_times(wanted, timeout=10):
        if place.offset < 0:
            continue  # nothing that young
        _, ends[place.topic, place.partition] = consumer.get_watermark_offsets(place, timeout=10)
        starts.append(place)
    consumer.assign(starts)
    empty = 0
    while ends:
        messages = consumer.consume(_BATCH, timeout=_WAIT_S)
        empty = 0 if messages else empty + 1
        if empty > _PATIENCE:
            raise MonitorError(f"the broker stopped answering while {', '.join(since_ms)} were read")
        for message in messages:
            if message.error() is None:
                yield message.topic() or "", message.partition() or 0, message.value()
        for place in consumer.position([TopicPartition(*where) for where in ends]):
            if place.offset >= ends[place.topic, place.partition]:
                del ends[place.topic, place.partition]
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
    for _, _, row in taken:
        whole.merge(row.aggregate)
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
    for start, _, row in select(within, {}, hours, minutes):
        hour = lines.setdefault(window_start(start, HOUR_MS), HourLine())
        hour.volume += row.volume
        hour.errors += row.errors
        hour.of += row.of
    return lines
