"""In what state a consumer group, a DAG or a model is, by numbered rules; and how far behind a group is in time.

What lives here: judgements of plain facts. What must not: thresholds of alerts (core/rule.py), I/O, clocks.

A group's rules learn from LinkedIn's Burrow: the lag's course says more than its size, and there is no
threshold to set but a floor below which lag is no fault. Rules for one partition, in this order; the first
that holds decides:

1. OK      its lag now is at or below the floor.
2. STOP    it has been silent for longer than its reports span, and was not seen caught up lately.
3. REWIND  its offset went back, and has not come back to where it was.
4. OK      at one of its reports the lag was at or below the floor: it had caught up.
5. STALL   its offset did not move over all its reports.
6. WARN    its offset moves, and its lag never went down.
7. OK      otherwise.

A group is as its worst partition.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Literal, NamedTuple


class Status(IntEnum):
    """From good to bad: of several the greatest is the whole's. UNKNOWN is no judgement, and better than none."""

    UNKNOWN = 0
    OK = 1
    LATE = 2
    SLOW = 3
    UNSURE = 4
    DRIFTING = 5
    WARN = 6
    REWIND = 7
    STALL = 8
    FAILING = 9
    SILENT = 10
    STOP = 11


class Report(NamedTuple):
    """What a consumer said of one partition. None: it did not say."""

    at_ms: int
    offset: float | None
    """Of the next record that it will read, or how many it has read since some fixed moment."""
    lag: float | None
    """Records between that offset and the partition's end, then."""


def is_caught_up(lag_now: float, floor: float) -> bool:
    """Rule 1."""
    return lag_now <= floor


def is_stopped(reports: Sequence[Report], now_ms: int, patience_ms: int = 0) -> bool:
    """Rule 2, first half: silent for longer than the reports span, and than a patience."""
    span_ms = reports[-1].at_ms - reports[0].at_ms
    return now_ms - reports[-1].at_ms > max(span_ms, patience_ms)


def was_caught_up_lately(reports: Sequence[Report], recent_ends: Iterable[float]) -> bool:
    """Rule 2, second half: one of the partition's recent end offsets was not beyond the last report's offset.

    A consumer that reports only when it has something to read is silent while there is nothing.
    """
    offset = reports[-1].offset
    return offset is not None and any(end <= offset for end in recent_ends)


def rewound_at(reports: Sequence[Report]) -> int | None:
    """Rule 3, first half: the first report whose offset is lower than the one before; None where there is none."""
    for index in range(1, len(reports)):
        before, after = reports[index - 1].offset, reports[index].offset
        if before is not None and after is not None and after < before:
            return index
    return None


def has_regained(reports: Sequence[Report], rewound: int) -> bool:
    """Rule 3, second half: since then it came back to the offset before."""
    before = reports[rewound - 1].offset
    return before is not None and any(r.offset is not None and r.offset >= before for r in reports[rewound:])


def had_caught_up(reports: Sequence[Report], floor: float) -> bool:
    """Rule 4."""
    return any(report.lag is not None and report.lag <= floor for report in reports)


def is_stalled(reports: Sequence[Report]) -> bool:
    """Rule 5. An offset that is not known may have moved."""
    return all(report.offset is not None and report.offset == reports[0].offset for report in reports)


def never_gains(reports: Sequence[Report]) -> bool:
    """Rule 6: of the lags that are known none is lower than the one before."""
    lags = [report.lag for report in reports if report.lag is not None]
    return all(before <= after for before, after in itertools.pairwise(lags))


def lag_now(reports: Sequence[Report], end_offset: float | None) -> float | None:
    """The lag against the partition's end as of now, where that is known; else as of the last report that says it.

    A stopped consumer's last report says the lag of when it stopped. None: nobody has ever said.
    """
    if end_offset is not None and reports and reports[-1].offset is not None:
        return max(0.0, end_offset - reports[-1].offset)
    return next((report.lag for report in reversed(reports) if report.lag is not None), None)


def partition_status(
    reports: Sequence[Report],
    now_ms: int,
    lag: float | None,
    *,
    recent_ends: Iterable[float] = (),
    floor: float = 0.0,
    patience_ms: int = 0,
) -> Status:
    """The status of a partition from its last few reports, in their order, and its lag of now (`lag_now`).

    UNKNOWN where there is no report or no lag.
    """
    if not reports or lag is None:
        return Status.UNKNOWN
    if is_caught_up(lag, floor):
        return Status.OK
    if is_stopped(reports, now_ms, patience_ms) and not was_caught_up_lately(reports, recent_ends):
        return Status.STOP
    rewound = rewound_at(reports)
    if rewound is not None and not has_regained(reports, rewound):
        return Status.REWIND
    if had_caught_up(reports, floor) or len(reports) < 2:
        return Status.OK
    if is_stalled(reports):
        return Status.STALL
    return Status.WARN if never_gains(reports) else Status.OK


def worst(statuses: Iterable[Status]) -> Status:
    """A group's, from its partitions'; UNKNOWN where there is none."""
    return max(statuses, default=Status.UNKNOWN)


# --- Lag in seconds -----------------------------------------------------------------------------------


class LagTime(NamedTuple):
    """How long ago the record at a consumer's offset was written."""

    seconds: float
    how: Literal["measured", "estimated", "at least"]
    """From the record's own timestamp; interpolated; or the record is older than everything that is known."""


class Sample(NamedTuple):
    """What our metrics hold of a partition's minute: the latest lag, the latest rate, and when."""

    at_ms: int
    lag: float | None
    per_second: float | None


def reports_of(samples: Sequence[Sample]) -> list[Report]:
    """Reports with offsets that count from the first sample on: what was read between two samples is the mean of
    their rates times the time between them, and at least the fall of the lag (it falls by reading only).

    A consumer's log says lag and rate, no offsets, so these are estimates; without a rate, and with a lag that
    does not fall, nobody knows whether the offset moved: None from there on.
    """
    reports: list[Report] = []
    offset: float | None = 0.0
    for index, sample in enumerate(samples):
        if index and offset is not None:
            read = _read_between(samples[index - 1], sample)
            offset = None if read is None else offset + read
        reports.append(Report(sample.at_ms, offset, sample.lag))
    return reports


def _read_between(before: Sample, after: Sample) -> float | None:
    fall = max(0.0, before.lag - after.lag) if before.lag is not None and after.lag is not None else 0.0
    rates = [rate for rate in (before.per_second, after.per_second) if rate is not None]
    if not rates:
        return fall or None
    return max(fall, sum(rates) / len(rates) * (after.at_ms - before.at_ms) / 1000)


def lag_time(reports: Sequence[Report], now_ms: int, *, record_ms: int | None = None) -> LagTime | None:
    """How far behind in time a partition's consumer is. Caught up: 0. Unknown: None. No extrapolation.

    `record_ms` is the timestamp of the record at its offset, where somebody has looked: that is a measurement.
    Otherwise it is interpolated. Each report says how far the partition had been written: its end = offset + lag.
    The record at the last report's offset c was written when the end passed c:

        end  ▲            ·──●  (t3, offset + lag)       The line through (time, end) of the reports is read
             │     ●──·                                  at the height c; the lag is now - t(c).
           c ├ ─ ─/─ ─ ─ ─ ─ ─ ─ ─ ●  offset of now
             │ ●/ │                                      Where c lies below the first known end, the record is
             └─────t(c)────────────now──▶ time           older than all that is known: "at least".
    """
    if not reports or reports[-1].lag is None:
        return None
    last = reports[-1]
    if last.lag == 0 and last.at_ms <= now_ms:
        return LagTime(0.0, "measured")
    if record_ms is not None:
        return LagTime(max(0, now_ms - record_ms) / 1000, "measured")
    if last.offset is None:
        return None
    ends = _ends(reports)
    first_ms, first_end = ends[0]
    if last.offset < first_end:
        return LagTime(max(0, now_ms - first_ms) / 1000, "at least")
    written_ms = _time_of(ends, last.offset)
    return LagTime(max(0.0, now_ms - written_ms) / 1000, "estimated")


def _ends(reports: Sequence[Report]) -> list[tuple[int, float]]:
    """(time, end offset) that only grow; what goes back belongs to another life of the topic and ends it."""
    ends: list[tuple[int, float]] = []
    for report in reports:
        if report.offset is None or report.lag is None:
            continue
        end = report.offset + report.lag
        if ends and end < ends[-1][1]:
            ends = [point for point in ends if point[1] <= end]
        ends.append((report.at_ms, end))
    return ends


def _time_of(ends: Sequence[tuple[int, float]], offset: float) -> float:
    """When the end was at an offset that lies between the first and the last of them."""
    for (t0, low), (t1, high) in itertools.pairwise(ends):
        if low <= offset < high:
            return t0 + (t1 - t0) * (offset - low) / (high - low)
    return ends[-1][0]


# --- DAGs and models ----------------------------------------------------------------------------------


class Facts(NamedTuple):
    """What is known of a DAG's task or a model, of lately and of usually. None: not enough to say."""

    silence_s: float | None = None
    """Since its last record."""
    usual_gap_s: float | None = None
    """The longest that it is usually silent."""
    failures: int = 0
    attempts: int = 0
    mean: float | None = None
    """Of its first measure (a run's duration, a prediction's latency), lately."""
    usual_mean: float | None = None
    confidence: float | None = None
    """Its mean, lately."""
    drift: float | None = None
    """The share of its predictions that have moved, where that is no chance (core/drift.py); else 0."""


LATE_GAPS, SILENT_GAPS = 1.5, 3.0
FAILING_RATIO, FAILING_LEAST = 0.2, 3
SLOW_TIMES = 2.0
UNSURE_CONFIDENCE = 0.6
DRIFT_SHARE = 0.1


def dag_status(facts: Facts) -> Status:
    """Rules for a DAG's task; the first that holds decides.

    1. SILENT   silent for three times its longest usual gap.
    2. FAILING  at least three of its latest runs failed, and at least a fifth.
    3. SLOW     its runs take twice their usual time.
    4. LATE     silent for one and a half times its longest usual gap.
    5. OK       otherwise; UNKNOWN where nothing is known.
    """
    return _silence(facts, SILENT_GAPS, Status.SILENT) or _work(facts) or _late(facts) or _otherwise(facts)


def model_status(facts: Facts) -> Status:
    """Rules for a model; the first that holds decides.

    1. SILENT    silent for three times its longest usual gap.
    2. FAILING   at least three of its latest predictions failed, and at least a fifth.
    3. DRIFTING  at least a tenth of its predictions have moved, by more than chance.
    4. UNSURE    its mean confidence is below 0.6.
    5. SLOW      its predictions take twice their usual time.
    6. OK        otherwise; UNKNOWN where nothing is known.
    """
    silent = _silence(facts, SILENT_GAPS, Status.SILENT)
    if silent or _is_failing(facts):
        return silent or Status.FAILING
    if facts.drift is not None and facts.drift >= DRIFT_SHARE:
        return Status.DRIFTING
    if facts.confidence is not None and facts.confidence < UNSURE_CONFIDENCE:
        return Status.UNSURE
    return _work(facts) or _otherwise(facts)


def _silence(facts: Facts, gaps: float, status: Status) -> Status | None:
    if facts.silence_s is None or facts.usual_gap_s is None:
        return None
    return status if facts.silence_s > gaps * facts.usual_gap_s else None


def _late(facts: Facts) -> Status | None:
    return _silence(facts, LATE_GAPS, Status.LATE)


def _is_failing(facts: Facts) -> bool:
    return facts.failures >= FAILING_LEAST and facts.failures >= FAILING_RATIO * facts.attempts


def _work(facts: Facts) -> Status | None:
    if _is_failing(facts):
        return Status.FAILING
    if facts.mean is not None and facts.usual_mean and facts.mean > SLOW_TIMES * facts.usual_mean:
        return Status.SLOW
    return None


def _otherwise(facts: Facts) -> Status:
    return Status.UNKNOWN if facts == Facts() else Status.OK
