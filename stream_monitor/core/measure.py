"""What a rule's condition reads of a series: names of measures → functions. The table of what there is.

Of every kind       records, error_records, errors, of, volume, exceptions; error_rate; a/b of two of the counts
Of a distribution   latency_ms.mean, .p50 …, .min, .max, .count      (quantiles and extremes: of one minute)
Of a gauge          consumer_lag.last (the worst partition), .sum, .max, .mean
Of consumer groups  lag_seconds
Of models           confidence.drift, classes.drift
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Protocol

from stream_monitor.core import health
from stream_monitor.core.alert import NOTHING, Alert, Verdict
from stream_monitor.core.health import Facts, Status
from stream_monitor.core.history import History
from stream_monitor.core.record import Kind
from stream_monitor.core.rule import COUNTS, RATIOS, BurnRate, Condition, StatusIs, Threshold
from stream_monitor.core.usual import Gaps, Lags, Shape
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS

LAG, RATE, CONFIDENCE = "consumer_lag", "messages_per_second", "confidence"
MINUTE_STATS = ("p5", "p50", "p95", "p99", "min", "max", "count")
GAUGE_STATS = ("last", "sum", "max", "mean")
LEAST_USUAL = 30
"""Values without which nothing is usual, on at least LEAST_HOURS hours."""
LEAST_HOURS = 2
STATUS_MS = 15 * MINUTE_MS
"""What a DAG's or model's status calls "lately"."""


class Minute(Protocol):
    """One closed minute of a series, as the metrics topic has it."""

    @property
    def start_ms(self) -> int:
        """Of the window."""

    @property
    def measures(self) -> Mapping[str, Any]:
        """By name: `count`, `sum`, quantiles …"""

    @property
    def gauges(self) -> Mapping[str, Mapping[str, Any]]:
        """By name and partition: `last`, `max`, `at_ms`."""


class Known(Protocol):
    """What is remembered of a series."""

    history: History
    gaps: Gaps
    lags: Lags
    shape: Shape


Read = Callable[[Known, Any, int, Alert | None], Verdict]
"""(series, minute, its end, the alert there is) → verdict."""
Value = Callable[[Known, Any, int], float | None]


def names(kind: Kind) -> list[str]:
    """The measures of a kind of log."""
    found = [*COUNTS, *RATIOS]
    for measure, family in kind.measures:
        quantiles = [name for name, _ in family.quantiles]
        found += [f"{measure}.{stat}" for stat in ("mean", *quantiles, "min", "max", "count")]
    for gauge in kind.gauges:
        found += [f"{gauge}.{stat}" for stat in GAUGE_STATS]
    found += ["lag_seconds"] if LAG in kind.gauges else []
    found += [f"{CONFIDENCE}.drift"] if CONFIDENCE in dict(kind.measures) else []
    return found + (["classes.drift"] if kind.classes else [])


def is_measure(name: str, kind: Kind) -> bool:
    """The kind has it, or it is a ratio of two of its counts."""
    parts = name.split("/")
    return name in names(kind) or (len(parts) == 2 and all(part in COUNTS for part in parts))


def adds_up(name: str) -> bool:
    """It can be taken over several minutes: it is a count, a ratio or a mean."""
    return name in COUNTS or name in RATIOS or "/" in name or name.endswith(".mean")


def needs_lags(name: str) -> bool:
    """A measure (or "status") that reads a consumer group's last reports."""
    return name in ("status", "lag_seconds") or name.startswith(LAG)


def needs_shape(name: str) -> bool:
    """A measure (or "status") that reads the shape of what a model says."""
    return name == "status" or name.endswith(".drift")


# --- What is kept by minute ---------------------------------------------------------------------------


def counts_of(condition: Condition, kind: Kind) -> list[str]:
    """The counts that the history must hold for a condition."""
    if isinstance(condition, BurnRate):
        return [*condition.ratio]
    if isinstance(condition, StatusIs) and LAG not in kind.gauges:
        first = kind.measures[0][0]
        return ["errors", "of", f"{first}:sum", f"{first}:count", f"{CONFIDENCE}:sum", f"{CONFIDENCE}:count"]
    if isinstance(condition, Threshold) and adds_up(condition.measure):
        top, by = _terms(condition.measure)
        return [top, *([by] if by else []), "records", *(["errors"] if condition.least_errors else [])]
    return []


def hours_needed_ms(condition: Condition, kind: Kind) -> int:
    """How far back its hours reach."""
    if isinstance(condition, BurnRate):
        return max(tier.long_ms for tier in condition.tiers)
    if isinstance(condition, StatusIs):
        return 0 if LAG in kind.gauges else DAY_MS
    if isinstance(condition, Threshold):
        longest = condition.over_ms if condition.over_ms > HOUR_MS else 0
        return max(longest, (condition.usual_ms or 0) + condition.over_ms + HOUR_MS if condition.usual_ms else 0)
    return 0


def counted(fields: Iterable[str]) -> Callable[[Any], list[float]]:
    """A function from a minute to those counts."""
    readers = [_counter(name) for name in fields]
    return lambda minute: [read(minute) for read in readers]


def _counter(name: str) -> Callable[[Any], float]:
    if name == "exceptions":
        return lambda minute: float(sum(minute.exceptions.values()))
    if ":" not in name:
        return attrgetter(name)
    of, what = name.split(":")

    def read(minute: Any) -> float:
        measure = minute.measures.get(of)
        if measure is not None:
            return float(getattr(measure, what))
        gauge = minute.gauges.get(of)
        if gauge is None:
            return 0.0
        return float(sum(seen.last for seen in gauge.values()) if what == "sum" else len(gauge))

    return read


def _terms(measure: str) -> tuple[str, str | None]:
    """(count, count to divide by) of a measure that adds up."""
    if measure in RATIOS:
        return RATIOS[measure]
    if "/" in measure:
        top, _, by = measure.partition("/")
        return top, by
    if measure.endswith(".mean"):
        of = measure.removesuffix(".mean")
        return f"{of}:sum", f"{of}:count"
    return measure, None


# --- Conditions ---------------------------------------------------------------------------------------


def reader(condition: Condition, kind: Kind, fields: Sequence[str]) -> Read | None:
    """How to judge a minute by a condition; None for absence, which no minute shows."""
    index = {name: place for place, name in enumerate(fields)}
    if isinstance(condition, Threshold):
        return _summed(condition, index) if adds_up(condition.measure) else _of_minute(condition)
    if isinstance(condition, BurnRate):
        return _burn(condition, index)
    if isinstance(condition, StatusIs):
        return _status(condition, kind, index)
    return None


def _summed(condition: Threshold, index: Mapping[str, int]) -> Read:
    top_name, by_name = _terms(condition.measure)
    top, by = index[top_name], None if by_name is None else index[by_name]
    counted_by = by if by is not None else index["records"]
    errors, over_ms = index.get("errors"), condition.over_ms

    def read(known: Known, _: Any, end_ms: int, alert: Alert | None) -> Verdict:
        history = known.history
        size = history.total(counted_by, end_ms, over_ms)
        if not size:
            return NOTHING
        value = history.total(top, end_ms, over_ms)
        if by is not None:
            value /= size
        usual = None
        if condition.usual_ms is not None:
            usual = alert.usual if alert is not None else _usual(condition, history, top, by, end_ms)
            if not usual:
                return NOTHING
            value /= usual
        begins = condition.is_beyond(value)
        if alert is None:
            if not begins:
                return NOTHING
            begins = size >= condition.least and (
                not condition.least_errors
                or (errors is not None and history.total(errors, end_ms, over_ms) >= condition.least_errors)
            )
        return Verdict(value, begins, condition.is_still_beyond(value), usual=usual)

    return read


def _usual(condition: Threshold, history: History, top: int, by: int | None, end_ms: int) -> float | None:
    """The same, of the time before; None where too little is known."""
    over_ms, usual_ms = condition.over_ms, condition.usual_ms or 0
    hours = history.hours_before(end_ms, over_ms, usual_ms)
    if hours < LEAST_HOURS:
        return None
    total = history.before(top, end_ms, over_ms, usual_ms)
    if by is None:
        return total / hours * over_ms / HOUR_MS
    size = history.before(by, end_ms, over_ms, usual_ms)
    return total / size if size >= LEAST_USUAL else None


def _of_minute(condition: Threshold) -> Read:
    value_of = _value(condition.measure)
    measure = condition.measure.rpartition(".")[0]

    def read(known: Known, minute: Any, end_ms: int, alert: Alert | None) -> Verdict:
        value = value_of(known, minute, end_ms)
        if value is None:
            return NOTHING
        begins = condition.is_beyond(value)
        if alert is None and begins:
            size = minute.measures[measure].count if measure in minute.measures else minute.records
            begins = size >= condition.least
        return Verdict(value, begins, begins if alert is None else condition.is_still_beyond(value))

    return read


def _value(measure: str) -> Value:
    if measure == "lag_seconds":
        return lambda known, _, end_ms: None if (lag := known.lags.time(end_ms)) is None else lag.seconds
    if measure == f"{CONFIDENCE}.drift":
        return lambda known, _, __: known.shape.bins_share
    if measure == "classes.drift":
        return lambda known, _, __: known.shape.classes_share
    of, _, stat = measure.rpartition(".")
    if of == LAG and stat in ("last", "sum"):
        pick = max if stat == "last" else sum
        return lambda known, _, end_ms: pick(lags) if (lags := known.lags.lags(end_ms)) else None

    def read(_: Known, minute: Any, __: int) -> float | None:
        if of in minute.measures:
            return getattr(minute.measures[of], stat, None)
        gauge = minute.gauges.get(of)
        if not gauge:
            return None
        seen = [getattr(value, "max" if stat == "max" else "last") for value in gauge.values()]
        return float(sum(seen) if stat == "sum" else max(seen))

    return read


_BURNS_NOT = Verdict(0.0, False, False)


def _burn(condition: BurnRate, index: Mapping[str, int]) -> Read:
    errors, of = (index[name] for name in condition.ratio)
    budget, longest_ms = 1 - condition.objective, max(tier.long_ms for tier in condition.tiers)

    def read(known: Known, _: Any, end_ms: int, __: Alert | None) -> Verdict:
        history = known.history
        if not history.total(errors, end_ms, longest_ms):
            return _BURNS_NOT

        def rate(over_ms: int) -> float:
            size = history.total(of, end_ms, over_ms)
            return history.total(errors, end_ms, over_ms) / size / budget if size else 0.0

        for tier in condition.tiers:
            burns = rate(tier.long_ms)
            if burns > tier.factor and (tier.short_ms is None or rate(tier.short_ms) > tier.factor):
                enough = history.total(errors, end_ms, tier.long_ms) >= condition.least_errors
                return Verdict(burns, enough, True, tier.severity)
        return Verdict(rate(condition.tiers[0].long_ms), False, False)

    return read


def _status(condition: StatusIs, kind: Kind, index: Mapping[str, int]) -> Read:
    def read(known: Known, minute: Any, end_ms: int, _: Alert | None) -> Verdict:
        if LAG in kind.gauges:
            status = known.lags.status(end_ms, condition.floor)
        else:
            status = component_status(known, minute, end_ms, kind, index)
        if status is Status.UNKNOWN:
            return NOTHING
        holds = status in condition.statuses
        return Verdict(float(status), holds, holds)

    return read


def component_status(known: Known, minute: Any, end_ms: int, kind: Kind, index: Mapping[str, int]) -> Status:
    """A DAG's or a model's status, as of the end of a minute; `index` places the counts of its history."""
    history = known.history

    def mean(name: str) -> float | None:
        size = history.total(index[f"{name}:count"], end_ms, STATUS_MS)
        return history.total(index[f"{name}:sum"], end_ms, STATUS_MS) / size if size >= 3 else None

    first = kind.measures[0][0]
    usual = _usual(
        Threshold(f"{first}.mean", above=1, over_ms=STATUS_MS, usual_ms=DAY_MS),
        history, index[f"{first}:sum"], index[f"{first}:count"], end_ms,
    )  # fmt: skip
    gap_ms = known.gaps.usual_ms(minute.start_ms)
    shares = [share for share in (known.shape.bins_share, known.shape.classes_share) if share is not None]
    facts = Facts(
        silence_s=max(0, end_ms - minute.start_ms - MINUTE_MS) / 1000,
        usual_gap_s=None if gap_ms is None else gap_ms / 1000,
        failures=round(history.total(index["errors"], end_ms, STATUS_MS)),
        attempts=round(history.total(index["of"], end_ms, STATUS_MS)),
        mean=mean(first),
        usual_mean=usual,
        confidence=mean(CONFIDENCE) if kind.classes else None,
        drift=max(shares, default=None),
    )
    return health.model_status(facts) if kind.classes else health.dag_status(facts)
