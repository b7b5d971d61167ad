"""The pipeline's own metrics for Prometheus: closed minutes, added up, in base units.

For each kind, with its labels:

    stream_monitor_<kind>_records_total, _error_records_total, _attempts_total, _failures_total, _volume_total
    stream_monitor_<kind>_<measure>_seconds                 a classic histogram, cumulative; a ratio has none
    stream_monitor_<kind>_<measure>_quantile_seconds        of the newest minute, with its rank `q`
    stream_monitor_<kind>_<gauge>                           the last value, with `partition`
    stream_monitor_<kind>_last_window_timestamp_seconds     the end of the newest minute
    stream_monitor_alerts{rule, kind, entity, severity}     how many fire: 1, but for what has no name of its own

Buckets end at whole powers of two of a millisecond. Those are bounds of the sketches, too, so the counts are
exact. Counters begin with what this process has read: the difference to what a window held before is added, so
a correction counts once. A series without data is removed after `forget_ms`; of more than `most` series the
rest is one, `__other__`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, takewhile
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from stream_monitor.core.alert import Transition
from stream_monitor.core.distribution import SCALE, Histogram
from stream_monitor.core.record import OTHER, Kind
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS
from stream_monitor.wire import Measure, ObservedMinute

_COUNTS = (
    ("records", "records", "Log records."),
    ("error_records", "error_records", "Log records of an error level."),
    ("attempts", "of", "What can fail: runs, reports, predictions."),
    ("failures", "errors", "What has failed of it."),
    ("volume", "volume", "Records processed, messages consumed, predictions made."),
)
_counts_of = attrgetter(*(field for _, field, _ in _COUNTS))
_OCTAVE = 1 << SCALE
_Added: TypeAlias = tuple[NDArray[np.float64], bytes]
_NOTHING: _Added = (np.zeros(0), b"")
_POWERS = range(25)
"""Buckets end at 2^0 ms … 2^24 ms (4.7 h)."""
BOUNDS_S = tuple(2.0**power / 1000 for power in _POWERS)


class _Exported:
    """One series: its totals, and what each of its latest windows has added to them."""

    __slots__ = ("newest", "totals", "windows")

    def __init__(self, size: int) -> None:
        self.totals = np.zeros(size)
        self.windows: dict[tuple[int, tuple[str, ...]], bytes] = {}
        """By start and labels (`__other__` stands for several series); packed, because there are many."""
        self.newest: ObservedMinute | None = None


class _Seen(NamedTuple):
    """One series as of a scrape."""

    totals: NDArray[np.float64]
    newest: ObservedMinute | None


class PipelineCollector(Collector):
    """Fed with closed minutes and with transitions of alerts; read when Prometheus asks."""

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        *,
        most: int = 1000,
        correct_ms: int = 2 * HOUR_MS,
        forget_ms: int = DAY_MS,
    ) -> None:
        self._kinds = kinds
        self._most = most
        self._correct_ms = correct_ms
        self._forget_ms = forget_ms
        self._series: dict[tuple[int, str, tuple[str, ...]], _Exported] = {}
        self._newest_ms: dict[tuple[int, str], int] = {}
        """By (partition, kind)."""
        self._alerts: dict[tuple[int, str, str, tuple[str, ...]], tuple[str, str]] = {}
        self._lock = threading.Lock()
        self.over_total = 0
        """Minutes that were counted as `__other__` for want of room."""

    def take(self, partition: int, minutes: Sequence[ObservedMinute]) -> None:
        """Closed minutes (or their corrections) of a metrics partition, in their order."""
        rows: dict[str, list[int]] = {}
        for place, minute in enumerate(minutes):
            rows.setdefault(minute.kind, []).append(place)
        added: list[_Added] = [_NOTHING] * len(minutes)
        for name, places in rows.items():
            found = _contributions([minutes[place] for place in places], self._kinds[name])
            for place, row, packed in zip(places, found, _packed(found), strict=True):
                added[place] = row, packed
        with self._lock:
            for minute, (row, packed) in zip(minutes, added, strict=True):
                self._advance(partition, minute)
                self._add(self._series_of(partition, minute, len(row)), minute, row, packed)

    def _series_of(self, partition: int, minute: ObservedMinute, size: int) -> _Exported:
        key = (partition, minute.kind, minute.label_values)
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= self._most:
                self.over_total += 1
                key = (partition, minute.kind, tuple(OTHER for _ in minute.labels))
            series = self._series.setdefault(key, _Exported(size))
        return series

    def _advance(self, partition: int, minute: ObservedMinute) -> None:
        """The partition's newest minute of the kind is one further: forget who has long been silent."""
        place = (partition, minute.kind)
        if minute.start_ms <= self._newest_ms.get(place, 0):
            return
        self._newest_ms[place] = minute.start_ms
        gone_ms = minute.start_ms - self._forget_ms
        gone = [
            key
            for key, series in self._series.items()
            if key[:2] == place and series.newest is not None and series.newest.start_ms < gone_ms
        ]
        for key in gone:
            del self._series[key]

    def _add(self, series: _Exported, minute: ObservedMinute, row: NDArray[np.float64], packed: bytes) -> None:
        start_ms = minute.start_ms
        newest_ms = start_ms if series.newest is None else series.newest.start_ms
        if start_ms < newest_ms - self._correct_ms:
            return  # its window has retired; what it held is not known any more
        windows, window = series.windows, (start_ms, minute.label_values)
        before = windows.get(window)
        series.totals += row if before is None else row - _unpacked(before, len(row))
        windows[window] = packed
        if start_ms > newest_ms:
            _let_go(windows, start_ms - self._correct_ms)
        if start_ms >= newest_ms:
            series.newest = minute

    def take_transition(self, partition: int, transition: Transition) -> None:
        """An alert fires or resolves."""
        key = (partition, transition.rule.name, transition.kind, transition.labels)
        with self._lock:
            if transition.state == "firing":
                entity = self._kinds[transition.kind].entity(transition.labels)
                self._alerts[key] = (entity, transition.severity)
            else:
                self._alerts.pop(key, None)

    def drop(self, partition: int) -> None:
        """The partition is another worker's now."""
        with self._lock:
            self._series = {key: series for key, series in self._series.items() if key[0] != partition}
            self._alerts = {key: alert for key, alert in self._alerts.items() if key[0] != partition}
            self._newest_ms = {key: newest for key, newest in self._newest_ms.items() if key[0] != partition}

    def collect(self) -> Iterator[Any]:
        """The metrics of all kinds, and the alerts that fire. Writing them out takes long: also from a thread."""
        rows: dict[str, dict[tuple[str, ...], list[_Seen]]] = {name: {} for name in self._kinds}
        with self._lock:
            firing = list(self._alerts.items())
            for (_, kind_name, labels), series in self._series.items():
                seen = _Seen(series.totals.copy(), series.newest)
                rows[kind_name].setdefault(labels, []).append(seen)
        for name, kind in self._kinds.items():
            yield from _families(kind, rows[name])
        alerts = GaugeMetricFamily(
            "stream_monitor_alerts",
            "Alerts that fire.",
            labels=("rule", "kind", "entity", "severity"),
        )
        for labels, times in self._alerts_by_label(firing).items():
            alerts.add_metric(labels, times)
        yield alerts

    def _alerts_by_label(self, firing: Sequence[tuple[Any, tuple[str, str]]]) -> Counter[tuple[str, ...]]:
        """Bounded like the series: those that fire first by name. Two series may have the same name."""
        counted: Counter[tuple[str, ...]] = Counter()
        for place, ((_, rule, kind, _), (entity, severity)) in enumerate(firing):
            counted[rule, kind, entity if place < self._most else OTHER, severity] += 1
        return counted


_WIDTH = len(BOUNDS_S) + 2
"""Of a histogram in a row of totals: its buckets, the one above them, and the sum."""


def _let_go(windows: dict[tuple[int, tuple[str, ...]], bytes], before_ms: int) -> None:
    """The oldest first, as far as they came in order; one that came late goes when it is the first."""
    gone = list(takewhile(lambda window: window[0] < before_ms, windows))
    for window in gone:
        del windows[window]


def _packed(rows: NDArray[np.float64]) -> list[bytes]:
    """Of each row what is not 0, where and how much: a third of it."""
    at, places = np.nonzero(rows != 0)
    values, kept = rows[at, places], places.astype(np.uint16)
    ends = np.searchsorted(at, np.arange(len(rows) + 1)).tolist()
    return [kept[a:b].tobytes() + values[a:b].tobytes() for a, b in pairwise(ends)]


def _unpacked(packed: bytes, size: int) -> NDArray[np.float64]:
    row, filled = np.zeros(size), len(packed) // 10
    row[np.frombuffer(packed, np.uint16, filled)] = np.frombuffer(packed[2 * filled :])
    return row


def _contributions(minutes: Sequence[ObservedMinute], kind: Kind) -> NDArray[np.float64]:
    """What each minute of a kind adds to its series' totals: a row a minute."""
    histograms = [name for name, family in kind.measures if family is Histogram]
    rows = []
    for minute in minutes:
        row = [*_counts_of(minute)]
        for name in histograms:
            row += _classic(minute.measures.get(name))
        rows.append(row)
    return np.array(rows, dtype=np.float64)


def _classic(measure: Measure | None) -> list[float]:
    """A sketch in classic buckets, and its sum: an octave of a sketch lies in one of them."""
    row = [0.0] * _WIDTH
    if measure is None or measure.histogram is None:
        return row
    row[0], row[-1] = measure.histogram.zeroCount, measure.sum / 1000
    counts, bucket = measure.histogram.positive.bucketCounts, measure.histogram.positive.offset
    start = 0
    while start < len(counts):
        end = start + _OCTAVE - bucket % _OCTAVE
        row[min(max((bucket >> SCALE) + 1, 0), len(BOUNDS_S))] += sum(counts[start:end])
        bucket += end - start
        start = end
    return row


def _families(kind: Kind, rows: Mapping[tuple[str, ...], list[_Seen]]) -> Iterator[Any]:
    prefix = f"stream_monitor_{kind.name}"
    sums = {labels: np.sum([one.totals for one in series], axis=0) for labels, series in rows.items()}
    newest = {
        labels: max((s.newest for s in series if s.newest), key=lambda minute: minute.start_ms)
        for labels, series in rows.items()
    }
    for index, (name, _, text) in enumerate(_COUNTS):
        counter = CounterMetricFamily(f"{prefix}_{name}", text, labels=kind.labels)
        for labels, totals in sums.items():
            counter.add_metric(labels, totals[index])
        yield counter
    at = len(_COUNTS)
    for name, family in kind.measures:
        base, unit = _base_unit(name)
        if family is Histogram:
            histogram = HistogramMetricFamily(f"{prefix}_{base}{unit}", f"{base}, cumulative.", labels=kind.labels)
            for labels, totals in sums.items():
                upto = np.cumsum(totals[at : at + _WIDTH - 1])
                buckets = [(str(bound), count) for bound, count in zip(BOUNDS_S, upto, strict=False)]
                histogram.add_metric(labels, [*buckets, ("+Inf", upto[-1])], totals[at + _WIDTH - 1])
            at += _WIDTH
            yield histogram
        yield _quantiles(kind, name, newest)
    yield from _gauges(kind, newest)


def _base_unit(measure: str) -> tuple[str, str]:
    """`latency_ms` → (`latency`, `_seconds`); a ratio keeps its name."""
    return (measure.removesuffix("_ms"), "_seconds") if measure.endswith("_ms") else (measure, "_ratio")


def _quantiles(kind: Kind, measure: str, newest: Mapping[tuple[str, ...], ObservedMinute]) -> GaugeMetricFamily:
    base, unit = _base_unit(measure)
    family = GaugeMetricFamily(
        f"stream_monitor_{kind.name}_{base}_quantile{unit}",
        f"Quantiles of {base} in the newest closed minute.",
        labels=(*kind.labels, "q"),
    )
    scale = 1000 if unit == "_seconds" else 1
    for labels, minute in newest.items():
        found = minute.measures.get(measure)
        for name, rank in dict(kind.measures)[measure].quantiles:
            value = None if found is None else getattr(found, name)
            if value is not None:
                family.add_metric((*labels, f"{rank:g}"), value / scale)
    return family


def _gauges(kind: Kind, newest: Mapping[tuple[str, ...], ObservedMinute]) -> Iterator[GaugeMetricFamily]:
    prefix = f"stream_monitor_{kind.name}"
    for name in kind.gauges:
        family = GaugeMetricFamily(
            f"{prefix}_{name}", f"{name}, the last value.", labels=(*kind.labels, "partition")
        )
        for labels, minute in newest.items():
            for partition, gauge in minute.gauges.get(name, {}).items():
                family.add_metric((*labels, partition), gauge.last)
        yield family
    last = GaugeMetricFamily(
        f"{prefix}_last_window_timestamp_seconds", "End of the newest closed minute.", labels=kind.labels
    )
    for labels, minute in newest.items():
        last.add_metric(labels, (minute.start_ms + MINUTE_MS) / 1000)
    yield last
