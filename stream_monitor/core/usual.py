"""What a series remembers beside its counts: how long it is usually silent, a consumer's last reports, and the
shape of what a model says. Each takes a minute at a time, in order, and goes into a row as plain values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any

from stream_monitor.core import drift, health, tally
from stream_monitor.core.aggregate import MAX_GAUGE_KEYS
from stream_monitor.core.health import LagTime, Sample, Status
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, window_start

SILENT_GAPS = health.SILENT_GAPS


class Gaps:
    """The longest gap between a series' minutes on each of the last days."""

    DAYS = 7
    LEAST_GAPS = 20
    LEAST_MS = 6 * HOUR_MS
    """A series is expected again when it has come so many times, over so long."""

    __slots__ = ("days", "first_ms", "gaps")

    def __init__(self) -> None:
        self.first_ms: int | None = None
        self.gaps = 0
        self.days: dict[int, int] = {}

    def note(self, start_ms: int, last_ms: int | None) -> None:
        """A minute has come; `last_ms` is the one before. A gap that is itself an alarm does not count, until
        nothing else has been seen for DAYS: then the series has another rhythm.
        """
        if last_ms is None or self.first_ms is None:
            self.first_ms = start_ms
            return
        gap_ms, usual_ms = start_ms - last_ms, self.usual_ms(last_ms)
        if usual_ms is not None and gap_ms > SILENT_GAPS * usual_ms:
            return
        self.gaps += 1
        day = start_ms // DAY_MS
        if gap_ms > self.days.get(day, 0):
            self.days[day] = gap_ms
            self.days = {d: gap for d, gap in self.days.items() if d > day - self.DAYS}

    def usual_ms(self, last_ms: int) -> int | None:
        """The longest usual gap; None where too little is known."""
        if self.first_ms is None or self.gaps < self.LEAST_GAPS or last_ms - self.first_ms < self.LEAST_MS:
            return None
        day = last_ms // DAY_MS
        return max((gap for d, gap in self.days.items() if d > day - self.DAYS), default=None)

    def out(self) -> list[Any]:
        """Plain values."""
        return [self.first_ms, self.gaps, [*self.days.items()]]

    def restore(self, plain: Iterable[Any]) -> None:
        """Take what `out` gave."""
        self.first_ms, self.gaps, days = plain
        self.days = dict(days)


class Lags:
    """A consumer group's last reports of each partition of a topic; of too many partitions those heard of last."""

    KEPT = 10
    PATIENCE_MS = 5 * MINUTE_MS
    FORGOTTEN_MS = DAY_MS

    __slots__ = ("partitions",)

    def __init__(self) -> None:
        self.partitions: dict[str, list[Sample]] = {}

    def take(self, lags: Mapping[str, Any], rates: Mapping[str, Any]) -> None:
        """A minute's gauges by partition, each with `at_ms` and `last`."""
        for partition, lag in lags.items():
            samples = self.partitions.setdefault(partition, [])
            at_ms = lag.at_ms
            if not samples or at_ms > samples[-1].at_ms:
                rate = rates.get(partition)
                samples.append(Sample(at_ms, lag.last, None if rate is None else rate.last))
                del samples[: -self.KEPT]
        if len(self.partitions) > MAX_GAUGE_KEYS:
            newest = sorted(self.partitions.items(), key=lambda item: (item[1][-1].at_ms, item[0]))
            self.partitions = dict(newest[-MAX_GAUGE_KEYS:])

    def _known(self, now_ms: int) -> Iterable[list[Sample]]:
        return (s for s in self.partitions.values() if now_ms - s[-1].at_ms < self.FORGOTTEN_MS)

    def lags(self, now_ms: int) -> list[float]:
        """The last known lag of each partition."""
        return [samples[-1].lag or 0.0 for samples in self._known(now_ms)]

    def status(self, now_ms: int, floor: float) -> Status:
        """The group's, on this topic."""
        found = []
        for samples in self._known(now_ms):
            last = samples[-1].lag
            if last is not None and health.is_caught_up(last, floor):  # rule 1, without the others' facts
                found.append(Status.OK)
                continue
            reports = health.reports_of(samples)
            lag = health.lag_now(reports, None)
            found.append(health.partition_status(reports, now_ms, lag, floor=floor, patience_ms=self.PATIENCE_MS))
        return health.worst(found)

    def stops_at_ms(self, now_ms: int) -> int | None:
        """The next moment after this at which one of the partitions' silence may be a stop."""
        moments = []
        for samples in self._known(now_ms):
            silent_ms = max(samples[-1].at_ms - samples[0].at_ms, self.PATIENCE_MS)
            moments.append(samples[-1].at_ms + silent_ms + 1)
        return min((moment for moment in moments if moment > now_ms), default=None)

    def time(self, now_ms: int) -> LagTime | None:
        """The worst partition's lag in seconds: as of its last report, unless it has been silent for a while."""
        found = []
        for samples in self._known(now_ms):
            last_ms = samples[-1].at_ms
            as_of_ms = now_ms if now_ms - last_ms > self.PATIENCE_MS else last_ms
            found.append(health.lag_time(health.reports_of(samples), as_of_ms))
        return max((lag for lag in found if lag is not None), default=None, key=lambda lag: lag.seconds)

    def out(self) -> list[Any]:
        """Plain values."""
        return [[partition, [tuple(s) for s in samples]] for partition, samples in self.partitions.items()]

    def restore(self, plain: Iterable[Any]) -> None:
        """Take what `out` gave."""
        self.partitions = {partition: [Sample(*sample) for sample in samples] for partition, samples in plain}


class Shape:
    """The distribution of a model's confidence and classes: what it was over a day, what it is now.

        before   |==|==|==|==|==|==|==|==|    the sums of the hours before, a day long
        now                               |---|    until it is WINDOW_MS old and large enough; then it is compared

    Each window is compared once, so that the tests' error rates are what they say, and then belongs to the past.
    """

    WINDOW_MS = 30 * MINUTE_MS
    GIVEN_UP_MS = 6 * HOUR_MS
    BEFORE_MS = DAY_MS
    POOL = 4
    """Bins in one: 32 are left, and the tests pool them further."""

    __slots__ = ("before", "bins_share", "classes_share", "now", "since_ms")

    def __init__(self) -> None:
        self.since_ms: int | None = None
        self.now: tuple[dict[int, int], dict[str, int]] = ({}, {})
        self.before: dict[int, tuple[dict[int, int], dict[str, int]]] = {}
        """By hour."""
        self.bins_share: float | None = None
        self.classes_share: float | None = None
        """What the last comparison said: the share that has moved by more than chance. None: too little is
        known."""

    def take(self, start_ms: int, bins: Sequence[int], classes: Mapping[str, int]) -> None:
        """A minute's counts: of each bin, and by class."""
        if self.since_ms is not None and start_ms >= self.since_ms + self.WINDOW_MS:
            self._close(start_ms)
        if self.since_ms is None:
            self.since_ms = start_ms
        pooled, pool = self.now[0], self.POOL
        for bin_ in compress(range(len(bins)), bins):
            pooled[bin_ // pool] = pooled.get(bin_ // pool, 0) + bins[bin_]
        tally.merge(self.now[1], classes)

    def _close(self, start_ms: int) -> None:
        assert self.since_ms is not None
        large = max(sum(counts.values()) for counts in self.now) >= drift.LEAST
        if not large and start_ms < self.since_ms + self.GIVEN_UP_MS:
            return
        bins: dict[int, int] = {}
        classes: dict[str, int] = {}
        for hour_bins, hour_classes in self.before.values():
            _add(bins, hour_bins)
            tally.merge(classes, hour_classes)
        of_bins = drift.compare_bins(bins, self.now[0])
        of_classes = drift.compare_classes(classes, self.now[1])
        self.bins_share = None if of_bins is None else of_bins.moved
        self.classes_share = None if of_classes is None else of_classes.moved
        hour = self.before.setdefault(window_start(self.since_ms, HOUR_MS), ({}, {}))
        _add(hour[0], self.now[0])
        tally.merge(hour[1], self.now[1])
        self.before = {at: counts for at, counts in self.before.items() if at > start_ms - self.BEFORE_MS}
        self.since_ms, self.now = None, ({}, {})

    def out(self) -> list[Any]:
        """Plain values."""
        hours = [[at, [*bins.items()], [*classes.items()]] for at, (bins, classes) in self.before.items()]
        now = [[*counts.items()] for counts in self.now]
        return [self.since_ms, now, hours, self.bins_share, self.classes_share]

    def restore(self, plain: Iterable[Any]) -> None:
        """Take what `out` gave."""
        self.since_ms, (bins, classes), hours, self.bins_share, self.classes_share = plain
        self.now = (dict(bins), dict(classes))
        self.before = {at: (dict(bins), dict(classes)) for at, bins, classes in hours}


def _add(mine: dict[int, int], theirs: Mapping[int, int]) -> None:
    for bin_, count in theirs.items():
        mine[bin_] = mine.get(bin_, 0) + count
