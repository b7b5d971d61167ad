"""How a series is as of a range's end, in one word and with the reason: the rules of core/health.py and
core/drift.py, asked of what a view holds.

    ─────────── before ──────────▶◀── lately ──▶
    parts   |--|--|--|--|--|--|--|--|--|--|--|--|-    the last STEPS steps are "lately", without one that is a few
                                                      minutes long and still open; what came before is "usual"

So a status changes with a step or a minute, and is found out once in it, however often somebody looks.

The alert agent judges minute by minute, with days of history; this judges what is on the screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from stream_monitor.core import drift, health
from stream_monitor.core.aggregate import Aggregate, merged
from stream_monitor.core.distribution import MICRO, Distribution
from stream_monitor.core.health import Facts, Sample
from stream_monitor.core.measure import CONFIDENCE, LAG, LEAST_USUAL
from stream_monitor.core.metric import SeriesId
from stream_monitor.core.part import Part
from stream_monitor.core.record import OTHER, Kind
from stream_monitor.core.timeline import LineView
from stream_monitor.core.usual import Lags
from stream_monitor.core.view import View
from stream_monitor.core.window import MINUTE_MS

Level = Literal["ok", "warning", "lagging", "failing", "stale"]

STEPS = 5
OPEN_MS = 5 * MINUTE_MS
LEAST_LATELY = 3
"""Values without which nothing is said of their mean."""
LEAST_GAPS = 20
"""Times that a series must have come in the range before its silence means something."""
LAG_FLOOR = 1000
"""Records; a lag below it is no fault. The shipped rule ConsumerStopped has the same."""
LAGGING_S = 120
FAILING_RATIO, FAILING_LEAST = 0.1, 5
"""Of a consumer's reports."""


class Status(NamedTuple):
    """A level, and why, in a few words."""

    level: Level
    why: str


OK = Status("ok", "")


def status_of(view: View, line: LineView) -> Status:
    """The worst that the rules of its kind find; `stale` where it is silent and nothing says that it may be."""
    parts, query = _lately(view, line), view.query
    older = _version_before(view, line)
    place = (line.series, query.step_ms)
    asked = (query.from_ms, query.range.to_ms // MINUTE_MS, parts, older and (older.series, older.parts))
    known = view.memo.get(place)
    if known is None or known[0] != asked:
        found = _found(view, line, parts)
        if found == OK and older is not None:
            found = _against(older, line)
        known = view.memo[place] = (asked, found)
    status: Status = known[1]
    return status


def _lately(view: View, line: LineView) -> list[Part]:
    """The latest parts that there are in STEPS steps. Parts are compared by identity, not by what they hold."""
    query, parts = view.query, line.parts
    if query.step_ms <= OPEN_MS and query.starts[-1] + query.step_ms > query.range.to_ms:
        closed = [part for part in parts[-STEPS - 1 : -1] if part is not None]
        if closed:
            return closed
    return [part for part in parts[-STEPS:] if part is not None]


def _found(view: View, line: LineView, parts: Sequence[Part]) -> Status:
    if line.kind.gauges:
        return _group(view, line, parts)
    lately = merged(line.kind, (part.aggregate for part in parts))
    facts = _facts(view, line, lately)
    if facts.usual_gap_s is None and not view.is_active(line):
        return _silent(view, line)
    found = health.model_status(facts) if line.kind.classes else health.dag_status(facts)
    return _told(found, facts, view, line)


def _silent(view: View, line: LineView) -> Status:
    minutes = _silence_ms(view, line) // MINUTE_MS
    return Status("stale", f"no data for {minutes} minutes" if line.last_ms is not None else "no data")


def _silence_ms(view: View, line: LineView) -> int:
    last_ms = line.last_ms
    return 0 if last_ms is None else max(0, view.query.range.to_ms - last_ms - MINUTE_MS)


# --- Consumer groups ------------------------------------------------------------------------------------

_SAID: Mapping[health.Status, tuple[Level, str]] = {
    health.Status.STOP: ("failing", "stopped, with lag"),
    health.Status.STALL: ("failing", "stalled: it reads nothing, and has lag"),
    health.Status.REWIND: ("lagging", "went back to read again"),
    health.Status.WARN: ("lagging", "its lag only grows"),
}


def _group(view: View, line: LineView, parts: Sequence[Part]) -> Status:
    """By its partitions' lags, then by its failed reports, then by how far it is behind in time."""
    lags, to_ms = _lags(line.kind, parts), view.query.range.to_ms
    found = _SAID.get(lags.status(to_ms, LAG_FLOOR))
    if found is not None:
        return Status(*found)
    if not view.is_active(line):
        return _silent(view, line)
    errors, of = sum(part.errors for part in parts), sum(part.of for part in parts)
    if of >= FAILING_LEAST and errors >= FAILING_RATIO * of:
        return Status("failing", f"{errors} of {of} reports failed")
    behind = lags.time(to_ms)
    if behind is not None and behind.seconds >= LAGGING_S and sum(lags.lags(to_ms)) > LAG_FLOOR:
        return Status("lagging", f"{_how(behind.how)} {behind.seconds:.0f} s behind")
    return OK


def _how(measured: str) -> str:
    return {"measured": "", "estimated": "about"}.get(measured, measured)


def _lags(kind: Kind, parts: Sequence[Part]) -> Lags:
    """Each partition's latest reports, one a step at most."""
    found, gauges, rate = Lags(), kind.gauges, kind.rate_index
    if LAG not in gauges:
        return found
    for part in parts:
        rates: Mapping[str, Any] = {} if rate is None else part.aggregate.gauges[rate]
        for partition, (at_ms, lag, *_) in part.aggregate.gauges[gauges.index(LAG)].items():
            per_second = rates[partition][1] if partition in rates else None
            found.partitions.setdefault(partition, []).append(Sample(at_ms, lag, per_second))
    return found


# --- DAGs and models ------------------------------------------------------------------------------------


def _facts(view: View, line: LineView, lately: Aggregate) -> Facts:
    whole, names = line.whole, [name for name, _ in line.kind.measures]
    confidence = lately.measures[names.index(CONFIDENCE)] if CONFIDENCE in names else None
    return Facts(
        silence_s=_silence_ms(view, line) / 1000,
        usual_gap_s=_usual_gap_s(view, line),
        failures=lately.errors,
        attempts=lately.of,
        mean=_mean(lately.measures[0]),
        usual_mean=_mean_before(whole.measures[0], lately.measures[0]),
        confidence=None if confidence is None else _mean(confidence),
        drift=_moved(whole, lately, names) if line.kind.classes else None,
    )


def _usual_gap_s(view: View, line: LineView) -> float | None:
    """The longest gap between two steps with data; None where it came too seldom to say."""
    places = [place for place, part in enumerate(line.parts) if part is not None]
    if len(places) <= LEAST_GAPS:
        return None
    longest = max(after - before for before, after in pairwise(places))
    return longest * view.query.step_ms / 1000


def _mean(values: Distribution) -> float | None:
    return values.mean if values.count >= LEAST_LATELY else None


def _mean_before(whole: Distribution, lately: Distribution) -> float | None:
    """Of what is in the whole and not in the latest steps."""
    count = whole.count - lately.count
    return (whole.sum_micro - lately.sum_micro) / count / MICRO if count >= LEAST_USUAL else None


def _moved(whole: Aggregate, lately: Aggregate, names: Sequence[str]) -> float | None:
    """The larger share of confidence's bins and of classes that has moved by more than chance."""
    found = [drift.compare_classes(_without(whole.classes, lately.classes), lately.classes)]
    if CONFIDENCE in names:
        index = names.index(CONFIDENCE)
        now = lately.measures[index].counts
        found.append(drift.compare_bins(_without(whole.measures[index].counts, now), now))
    return max((comparison.moved for comparison in found if comparison is not None), default=None)


def _without(whole: Mapping[Any, int], part: Mapping[Any, int]) -> dict[Any, int]:
    """Classes are bounded: what a merge has moved into the rest is taken from the rest, and nothing below 0."""
    rest = sum(count for name, count in part.items() if name not in whole)
    left = {name: count - part.get(name, 0) - (rest if name == OTHER else 0) for name, count in whole.items()}
    return {name: max(0, count) for name, count in left.items()}


# --- A new version of a model ---------------------------------------------------------------------------

_VERSION = "model_version"


def _version_before(view: View, line: LineView) -> LineView | None:
    """The version that a model took over from: of those that came before it in the range the one seen last. None
    where the range does not show its beginning.
    """
    if _VERSION not in line.kind.labels or not line.parts or line.parts[0] is not None:
        return None
    began = _first(line)
    others = [other for other in _versions(view)[_apart_from_version(line)] if _first(other) < began]
    return max(others, default=None, key=lambda other: (other.last_ms or 0, other.series))


def _versions(view: View) -> Mapping[SeriesId, Sequence[LineView]]:
    """All lines of a view by what their versions have in common; made once for a view."""
    known = view.memo.get(_VERSION)
    if known is None or known[0] is not view.series:
        found: dict[SeriesId, list[LineView]] = {}
        for line in view.series.values():
            if _VERSION in line.kind.labels:
                found.setdefault(_apart_from_version(line), []).append(line)
        known = view.memo[_VERSION] = (view.series, found)
    versions: Mapping[SeriesId, Sequence[LineView]] = known[1]
    return versions


def _apart_from_version(line: LineView) -> SeriesId:
    kind, labels = line.series
    at = line.kind.labels.index(_VERSION)
    return kind, (*labels[:at], *labels[at + 1 :])


def _first(line: LineView) -> int:
    return next((place for place, part in enumerate(line.parts) if part is not None), len(line.parts))


def _against(older: LineView, line: LineView) -> Status:
    """What a version says, against what the one before it said: of the whole range, each."""
    before, now, names = older.whole, line.whole, [name for name, _ in line.kind.measures]
    found = [drift.compare_classes(before.classes, now.classes)]
    if CONFIDENCE in names:
        index = names.index(CONFIDENCE)
        found.append(drift.compare_bins(before.measures[index].counts, now.measures[index].counts))
    moved = max((comparison.moved for comparison in found if comparison is not None), default=0.0)
    if moved < health.DRIFT_SHARE:
        return OK
    version = older.series[1][line.kind.labels.index(_VERSION)]
    return Status("warning", f"{moved * 100:.0f} % of its predictions are not as those of {version}")


def _told(found: health.Status, facts: Facts, view: View, line: LineView) -> Status:
    match found:
        case health.Status.SILENT:
            return _silent(view, line)
        case health.Status.FAILING:
            return Status("failing", f"{facts.failures} of {facts.attempts} failed")
        case health.Status.DRIFTING:
            return Status("warning", f"{(facts.drift or 0) * 100:.0f} % of its predictions have moved")
        case health.Status.UNSURE:
            return Status("warning", f"unsure: its mean confidence is {facts.confidence or 0:.2f}")
        case health.Status.SLOW:
            times = (facts.mean or 0) / (facts.usual_mean or 1)
            return Status("warning", f"slow: {times:.1f} times its usual")
        case health.Status.LATE:
            return Status("warning", f"late: silent for {_silence_ms(view, line) // MINUTE_MS} minutes")
        case _:
            return OK
