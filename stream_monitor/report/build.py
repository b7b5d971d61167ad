"""A snapshot → the report as plain data: what `--output json` prints. docs/reference/report.md describes it.

A number without data is None (null); nothing is 0 that was not counted. An hour without data is there, null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stream_monitor import wire
from stream_monitor.core.aggregate import Aggregate, reported
from stream_monitor.core.distribution import MICRO
from stream_monitor.core.measure import LAG, RATE
from stream_monitor.core.record import Kind
from stream_monitor.core.snapshot import HourLine, Range, SeriesSnapshot, Snapshot, whole_of
from stream_monitor.core.window import HOUR_MS, window_start

Plain = dict[str, Any]

_Hours = list[tuple[int, str]]
"""The hours of a range: start, and how it is written."""


def build(snapshot: Snapshot, kinds: Mapping[str, Kind], known: Iterable[str], hours: int) -> Plain:
    """The report of all `kinds`. `known` are components as `airflow:dag/task`; empty: those seen in the range."""
    known, all_hours = tuple(known), _hours(snapshot.range)
    sections = {name: _section(snapshot, kind, known, all_hours) for name, kind in kinds.items()}
    return {
        "v": 1,
        "range": {
            "from": wire.iso_second(snapshot.range.from_ms),
            "to": wire.iso_second(snapshot.range.to_ms),
            "hours": hours,
        },
        "empty": not snapshot.series,
        "unreadable_records": snapshot.unreadable,
        "records": sum(section["records"] for section in sections.values()) if snapshot.series else None,
        "active_components": sum(section["active_components"] for section in sections.values()),
        "known_components": sum(section["known_components"] for section in sections.values()),
        "components": sections,
    }


def _hours(within: Range) -> _Hours:
    """Every hour that a part of the range lies in."""
    starts = range(window_start(within.from_ms, HOUR_MS), within.to_ms, HOUR_MS)
    return [(start, wire.iso_second(start)) for start in starts]


def _section(snapshot: Snapshot, kind: Kind, known: tuple[str, ...], hours: _Hours) -> Plain:
    series = snapshot.of_kind(kind.name)
    active = {one.entity for one in series if snapshot.is_active(one)}
    mine = {name.removeprefix(f"{kind.name}:") for name in known if name.startswith(f"{kind.name}:")}
    expected = mine or {one.entity for one in series}
    whole = whole_of(kind, series)
    return {
        "records": whole.records if series else 0,
        "active_components": len(active & expected),
        "known_components": len(expected),
        "silent_components": sorted(expected - active),
        "volume": _volume(kind, whole, series, hours),
        **_numbers(kind, whole, bool(series)),
        **_kind_numbers(kind, series, whole),
        "series": [_series(snapshot, one, hours) for one in series],
    }


def _volume(kind: Kind, whole: Aggregate, series: list[SeriesSnapshot], hours: _Hours) -> Plain:
    per_hour: dict[int, float] = {}
    for one in series:
        for start, hour in one.hours.items():
            per_hour[start] = per_hour.get(start, 0.0) + hour.volume
    return {
        "unit": kind.volume,
        "total": _total(kind, whole),
        "per_hour": [
            {"hour": name, "volume": _of_hour(kind, per_hour.get(start), whole)} for start, name in hours
        ],
    }


def _total(kind: Kind, whole: Aggregate) -> float | None:
    """The volume of a range; None where nobody has reported any."""
    return _rounded(reported(kind, whole.settled_volume_micro() / MICRO, lambda: whole))


def _of_hour(kind: Kind, volume: float | None, whole: Aggregate) -> float | None:
    """Of one hour of the range; None where it has no data."""
    return None if volume is None else _rounded(reported(kind, volume, lambda: whole))


def _rounded(volume: float | None) -> float | None:
    return None if volume is None else round(volume, 6)


def _numbers(kind: Kind, whole: Aggregate, any_data: bool) -> Plain:
    return {
        "errors": whole.errors if any_data else None,
        "of": whole.of if any_data else None,
        "error_rate": whole.error_ratio,
        "error_records": whole.error_records if any_data else None,
        "exceptions": dict(sorted(whole.exceptions.items(), key=lambda item: (-item[1], item[0]))),
        "measures": {
            name: _measure(measure)
            for (name, _), measure in zip(kind.measures, whole.measures, strict=True)
            if measure.counts
        },
    }


def _measure(measure: Any) -> Plain:
    return {
        "count": measure.count,
        "mean": measure.mean,
        "min": measure.min,
        "max": measure.max,
        **measure.named_quantiles(),
    }


def _kind_numbers(kind: Kind, series: list[SeriesSnapshot], whole: Aggregate) -> Plain:
    extra: Plain = {}
    if LAG in kind.gauges:
        extra["lag"] = _sum(_lag(one) for one in series)
        extra["messages_per_second"] = _sum(_gauge_sum(one, RATE, 1) for one in series)
    if kind.classes:
        extra["classes"] = dict(sorted(whole.classes.items(), key=lambda item: (-item[1], item[0])))
    return extra


def _hour(name: str, hour: HourLine | None, one: SeriesSnapshot) -> Plain:
    if hour is None:
        return {"hour": name, "volume": None, "errors": None, "of": None, "error_rate": None}
    return {
        "hour": name,
        "volume": _of_hour(one.kind, hour.volume, one.whole),
        "errors": hour.errors,
        "of": hour.of,
        "error_rate": hour.errors / hour.of if hour.of else None,
    }


def _series(snapshot: Snapshot, one: SeriesSnapshot, hours: _Hours) -> Plain:
    whole = one.whole
    out: Plain = {
        "entity": one.entity,
        "labels": dict(zip(one.kind.labels, one.labels, strict=True)),
        "active": snapshot.is_active(one),
        "last_data": None if one.last_ms is None else wire.iso_second(one.last_ms),
        "records": whole.records,
        "volume": _total(one.kind, whole),
        **_numbers(one.kind, whole, True),
        "per_hour": [_hour(name, one.hours.get(start), one) for start, name in hours],
    }
    if LAG in one.kind.gauges:
        out["lag"] = _lag(one)
        out["lag_max"] = _gauge_max(one, LAG)
        out["messages_per_second"] = _gauge_sum(one, RATE, 1)
    if one.kind.classes:
        out["classes"] = dict(sorted(whole.classes.items(), key=lambda item: (-item[1], item[0])))
    return out


def _lag(one: SeriesSnapshot) -> float | None:
    """The latest lag of each partition, added up."""
    return _gauge_sum(one, LAG, 1)


def _gauge_sum(one: SeriesSnapshot, name: str, field: int) -> float | None:
    gauge = one.whole.gauges[one.kind.gauges.index(name)]
    return sum(value[field] for value in gauge.values()) if gauge else None


def _gauge_max(one: SeriesSnapshot, name: str) -> float | None:
    gauge = one.whole.gauges[one.kind.gauges.index(name)]
    return max((value[2] for value in gauge.values()), default=None)


def _sum(values: Iterable[float | None]) -> float | None:
    """Of those that are there; None where none is."""
    found = [value for value in values if value is not None]
    return sum(found) if found else None
