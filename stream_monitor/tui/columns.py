"""The columns of every table: what a cell shows, what it is sorted by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stream_monitor import wire
from stream_monitor.board.item import Item, Place
from stream_monitor.board.words import DASH, ago, clock, day, percent, short, span
from stream_monitor.kinds import Row
from stream_monitor.tui.canvas import spark
from stream_monitor.tui.palette import MARKS, Palette
from stream_monitor.tui.table import Cell, Column
from stream_monitor.tui.text import clean

_LEVELS = {"failing": 0, "lagging": 1, "warning": 2, "stale": 3, "ok": 4}


def _status(item: Item, width: int, palette: Palette) -> Cell:
    level = item.status.level
    mark = "◈" if item.is_picked else MARKS[level]
    return (f"{mark} {level}" if width >= 9 else mark), palette.level(level)


def _name(item: Item, _: int, palette: Palette) -> Cell:
    return clean(item.entity), palette.dim if item.status.level == "stale" else palette.text


def _label(index: int) -> Callable[[Item, int, Palette], Cell]:
    def cell(item: Item, _: int, palette: Palette) -> Cell:
        return clean(
            item.line.labels[index]
        ) or DASH, palette.dim if item.status.level == "stale" else palette.text

    return cell


def _kind(item: Item, _: int, palette: Palette) -> Cell:
    return item.kind, palette.kind(item.kind)


def _trend(item: Item, width: int, palette: Palette) -> Cell:
    return spark(item.volumes, width), palette.kind(item.kind)


def _lag_trend(item: Item, width: int, palette: Palette) -> Cell:
    return spark(item.lags, width), palette.kind(item.kind)


def _number(value: Callable[[Item], float | None], show: Callable[[float | None], str] = short,
            bad: Callable[[float], bool] = lambda _: False) -> Callable[[Item, int, Palette], Cell]:  # fmt: skip
    def cell(item: Item, _: int, palette: Palette) -> Cell:
        found = value(item)
        if found is None:
            return DASH, palette.dim
        return show(found), palette.bad if bad(found) else palette.text

    return cell


def _quantile(index: int) -> Callable[[Item], float | None]:
    return lambda item: None if item.times is None else item.times[index]


def _ratio(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"


def _usual(item: Item, _: int, palette: Palette) -> Cell:
    ratio = item.usual_ratio
    if ratio is None:
        return DASH, palette.dim
    mark = "▲" if ratio >= 2 else ""
    return f"{mark}{ratio:.1f}×", palette.warn if ratio >= 2 else palette.text


def _confidence(item: Item) -> float | None:
    return None if item.confidence is None else item.confidence.mean


def _low_confidence(item: Item) -> float | None:
    return None if item.confidence is None else item.confidence.quantile(0.05)


def _top_class(item: Item, _: int, palette: Palette) -> Cell:
    classes = item.line.whole.classes
    if not classes:
        return DASH, palette.dim
    name, count = max(classes.items(), key=lambda pair: (pair[1], pair[0]))
    return f"{clean(name)} {count * 100 // sum(classes.values())}%", palette.text


C = Column[Item]

STATUS = C("status", "status", _status, lambda i: _LEVELS.get(i.status.level, 9), 9, right=False, falling=False)
NAME = C("component", "component", _name, lambda i: i.entity.casefold(), 20, flex=3, right=False, falling=False)
KIND = C("kind", "kind", _kind, lambda i: i.kind, 7, need=6, right=False, falling=False)
TREND = C("trend", "volume", _trend, lambda i: i.line.sums.volume, 12, flex=2, right=False)
RATE = C("rate", "rate/min", _number(lambda i: i.rate), lambda i: i.rate, 8)
P50 = C("p50", "p50", _number(_quantile(0), span), _quantile(0), 7, need=8)
P95 = C("p95", "p95", _number(_quantile(1), span), _quantile(1), 7, need=9)
P99 = C("p99", "p99", _number(_quantile(2), span), _quantile(2), 7)
ERRORS = C("errors", "errors", _number(lambda i: i.error_ratio, percent, lambda r: r >= 0.05),
           lambda i: i.error_ratio, 6)  # fmt: skip
LAG = C("lag", "lag", _number(lambda i: i.lag), lambda i: i.lag, 6, need=1)
CONFIDENCE = C("confidence", "conf", _number(_confidence, _ratio), _confidence, 5, need=5)
LAST = C("last", "last", _number(lambda i: i.age_ms, ago), lambda i: i.age_ms, 5, need=7, falling=False)
RECORDS = C("records", "logs", _number(lambda i: i.line.sums.records), lambda i: i.line.sums.records, 6, need=10)
VOLUME = C("volume", "total", _number(lambda i: i.volume), lambda i: i.volume, 6, need=6)
FAILED = C("failed", "failed", _number(lambda i: i.line.sums.errors), lambda i: i.line.sums.errors, 6, need=3)
COUNTED = C("of", "of", _number(lambda i: i.line.sums.of), lambda i: i.line.sums.of, 6, need=5)

OVERVIEW = (STATUS, KIND, NAME, TREND, RATE, VOLUME, P50, P95, P99, ERRORS, LAG, CONFIDENCE, LAST, RECORDS)
AIRFLOW = (
    STATUS,
    C("dag", "DAG", _label(0), lambda i: i.line.labels[0].casefold(), 14, flex=2, right=False, falling=False),
    C("task", "task", _label(1), lambda i: i.line.labels[1].casefold(), 10, flex=2, right=False, falling=False),
    C("trend", "records", _trend, lambda i: i.line.sums.volume, 10, flex=2, need=4, right=False),
    C("last", "last run", _number(lambda i: i.age_ms, ago), lambda i: i.age_ms, 8, need=1, falling=False),
    C("took", "took", _number(lambda i: i.last_run_ms, span), lambda i: i.last_run_ms, 7),
    C("usual", "× usual", _usual, lambda i: i.usual_ratio, 7),
    C("p50", "usual", _number(_quantile(0), span), _quantile(0), 7, need=2),
    P99,
    FAILED,
    C("of", "runs", _number(lambda i: i.line.sums.of), lambda i: i.line.sums.of, 6, need=5),
    C(
        "errors",
        "rate",
        _number(lambda i: i.error_ratio, percent, lambda r: r >= 0.05),
        lambda i: i.error_ratio,
        6,
    ),
    C("volume", "records", _number(lambda i: i.volume), lambda i: i.volume, 8, need=3),
)
KAFKA = (
    STATUS,
    C("group", "group", _label(0), lambda i: i.line.labels[0].casefold(), 14, flex=2, right=False, falling=False),
    C("topic", "topic", _label(1), lambda i: i.line.labels[1].casefold(), 10, flex=1, right=False, falling=False),
    C("trend", "lag over time", _lag_trend, lambda i: i.peak("consumer_lag"), 14, flex=2, need=3, right=False),
    LAG,
    C("seconds", "≈ behind", _number(lambda i: None if i.lag_seconds is None else i.lag_seconds * 1000, span),
      lambda i: i.lag_seconds, 8),
    C("peak", "peak", _number(lambda i: i.peak("consumer_lag")), lambda i: i.peak("consumer_lag"), 6,
      need=4),
    C("throughput", "msg/s", _number(lambda i: i.throughput), lambda i: i.throughput, 6),
    C("p50", "p50", _number(_quantile(0), span), _quantile(0), 7, need=6),
    P99,
    ERRORS,
    LAST,
)  # fmt: skip
ML = (
    STATUS,
    C(
        "service",
        "service",
        _label(0),
        lambda i: i.line.labels[0].casefold(),
        12,
        flex=2,
        right=False,
        falling=False,
    ),
    C(
        "version",
        "version",
        _label(1),
        lambda i: i.line.labels[1].casefold(),
        8,
        flex=1,
        right=False,
        falling=False,
    ),
    C("trend", "predictions", _trend, lambda i: i.line.sums.volume, 12, flex=2, need=4, right=False),
    RATE,
    C("p50", "p50", _number(_quantile(0), span), _quantile(0), 7, need=5),
    P99,
    CONFIDENCE,
    C("low", "p5", _number(_low_confidence, _ratio), _low_confidence, 5, need=2),
    C("drift", "drift", _number(lambda i: i.drift, _ratio, lambda d: d >= 0.2), lambda i: i.drift, 5),
    C("class", "top class", _top_class, None, 12, flex=1, need=6, right=False),
    ERRORS,
    LAST,
)


def of_kind(name: str, row: Row) -> tuple[Column[Item], ...]:
    """The columns of a kind's tab: its own where it has some, else its labels and what every kind has."""
    own = {"airflow": AIRFLOW, "kafka": KAFKA, "ml": ML}
    return own.get(name) or (STATUS, *_labels(row), TREND, RATE, VOLUME, P50, P99, FAILED, COUNTED, ERRORS, LAST)


def _labels(row: Row) -> Iterator[Column[Item]]:
    for index, label in enumerate(row.labels):

        def by(item: Item, index: int = index) -> str:
            return item.line.labels[index].casefold()

        yield C(label, label, _label(index), by, 12, flex=2, right=False, falling=False)


def _alert_state(alert: wire.AlertRecord, _: int, palette: Palette) -> Cell:
    if alert.is_firing:
        return f"{MARKS.get(alert.severity, '◆')} firing", palette.level(alert.severity)
    return "✓ over", palette.dim


def _when(ms: int) -> str:
    return f"{day(ms)} {clock(ms, seconds=False)}"


A = Column[wire.AlertRecord]

ALERTS = (
    A("state", "state", _alert_state, lambda a: not a.is_firing, 9, right=False, falling=False),
    A("severity", "severity", lambda a, _, p: (clean(a.severity), p.level(a.severity)),
      lambda a: ("info", "warning", "critical").index(a.severity) if a.severity in ("info", "warning", "critical")
      else -1, 8, need=3, right=False),
    A("rule", "rule", lambda a, _, p: (clean(a.rule), p.text), lambda a: a.rule, 14, flex=1, right=False,
      falling=False),
    A("component", "component", lambda a, _, p: (clean(a.entity), p.text), lambda a: a.entity, 16, flex=1,
      right=False,
      falling=False),
    A("since", "since", lambda a, _, p: (_when(a.since_ms), p.text), lambda a: a.since_ms, 12),
    A("until", "for", lambda a, _, p: (DASH if a.is_firing else span(a.at_ms - a.since_ms), p.dim),
      lambda a: a.at_ms - a.since_ms, 7, need=2),
    A("value", "value", lambda a, _, p: (short(a.value), p.text), lambda a: a.value, 6, need=1),
    A("summary", "what", lambda a, _, p: (clean(a.summary), p.text), None, 12, flex=3, need=4, right=False),
)  # fmt: skip


def _why(place: Place, _: int, palette: Palette) -> Cell:
    return ("▲ error", palette.bad) if place.why == "error" else ("◷ slowest", palette.warn)


L = Column[Place]

LOGS = (
    L("time", "time", lambda p, _, c: (f"{day(p.timestamp_ms)} {clock(p.timestamp_ms)}", c.text),
      lambda p: p.timestamp_ms, 15, right=False),
    L("why", "why", _why, lambda p: p.why, 9, right=False, falling=False),
    L("kind", "kind", lambda p, _, c: (p.kind, c.kind(p.kind)), lambda p: p.kind, 7, need=2, right=False,
      falling=False),
    L("component", "component", lambda p, _, c: (clean(p.entity), c.text), lambda p: p.entity, 18, flex=3,
      right=False,
      falling=False),
    L("value", "took", lambda p, _, c: (span(p.value_ms), c.text), lambda p: p.value_ms, 7),
    L("place", "partition@offset", lambda p, _, c: (f"{p.partition}@{p.offset}", c.dim),
      lambda p: (p.partition, p.offset), 16, need=1),
)  # fmt: skip
