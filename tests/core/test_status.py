"""The status of what is on the screen: an incident of the example day shows while it lasts; else all is quiet."""

from __future__ import annotations

import random
from functools import lru_cache

import pytest

from stream_monitor import wire
from stream_monitor.core import tally
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.metric import Metric
from stream_monitor.core.snapshot import Range
from stream_monitor.core.status import OK, status_of
from stream_monitor.core.view import Query
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS
from stream_monitor.feed import FixedFeed
from stream_monitor.kinds import KINDS
from tests.alerts import START, day

MIDNIGHT = START - DAY_MS
pytestmark = pytest.mark.slow

RANGES = {"1h": (HOUR_MS, MINUTE_MS), "6h": (6 * HOUR_MS, 5 * MINUTE_MS)}


@lru_cache
def feed():
    return FixedFeed(day(), clock=lambda: START)


def statuses(length, hour, minute):
    """(level, why) by entity, as of that time of the example day."""
    length_ms, step_ms = RANGES[length]
    to_ms = MIDNIGHT + hour * HOUR_MS + minute * MINUTE_MS
    view = feed().view(Query(Range(to_ms - length_ms, to_ms), step_ms, live=False))
    return {line.entity: status_of(view, line) for line in view.series.values()}


@pytest.mark.parametrize("length", RANGES)
@pytest.mark.parametrize("hour", [8, 12, 17])
def test_a_quiet_hour_is_quiet(length, hour):
    found = statuses(length, hour, 5)
    assert {status.level for status in found.values()} <= {"ok", "stale"}
    assert [status.why for name, status in found.items() if name.startswith("ml.")] == ["", "", ""]


@pytest.mark.parametrize("length", RANGES)
def test_a_task_that_fails(length):
    assert any(
        status.level == "failing" and "failed" in status.why
        for minute in (20, 40, 59)
        for status in [statuses(length, 9, minute)["etl_orders/transform"]]
    )


@pytest.mark.parametrize("length", RANGES)
def test_a_group_that_falls_behind(length):
    found = [statuses(length, 14, minute)["event-processor/events"] for minute in range(0, 60, 5)]
    assert {status.level for status in found} >= {"ok", "lagging"}
    assert all(
        ("behind" in status.why or "grows" in status.why) == (status.level == "lagging") for status in found
    )


@pytest.mark.parametrize("length", RANGES)
def test_a_model_that_is_unsure_and_then_gone(length):
    unsure = statuses(length, 19, 40)["ml.predictor/v1.3.0"]
    assert (unsure.level, unsure.why[:6]) == ("warning", "unsure")
    gone = statuses(length, 20, 10)["ml.predictor/v1.3.0"]
    assert gone == ("stale", "no data for 10 minutes")


def test_what_is_remembered_is_what_would_be_found():
    """A feed that was asked before, at many times and in steps of both lengths, says what a new one says."""
    asked = FixedFeed(day(), clock=lambda: START)
    for minute in range(0, 120, 7):
        for length_ms, step_ms in RANGES.values():
            to_ms = MIDNIGHT + 13 * HOUR_MS + minute * MINUTE_MS + 20_000
            query = Query(Range(to_ms - length_ms, to_ms), step_ms)
            found = [
                {k: status_of(v, line) for k, line in v.series.items()} for v in map(asked.view, (query, query))
            ]
            fresh = asked.view(query)
            fresh.memo = {}
            assert found == [{k: status_of(fresh, line) for k, line in fresh.series.items()}] * 2


def model(versions):
    """(level, why) by version, of an hour: (first minute, last minute, classes of a minute) of each."""
    values = []
    for version, (first, last, classes) in versions.items():
        for n in range(first, last + 1):
            whole = Aggregate.empty(KINDS["ml"])
            names = classes(n) if callable(classes) else classes
            whole.records = whole.of = sum(names.values())
            tally.merge(whole.classes, names)
            start_ms = MIDNIGHT + n * MINUTE_MS
            values.append(
                wire.metric_value(Metric(KINDS["ml"], ("s", version), start_ms, MINUTE_MS, True, whole), "logs.ml")
            )
    to_ms = MIDNIGHT + HOUR_MS
    fixed = FixedFeed(values, clock=lambda: to_ms)
    view = fixed.view(Query(Range(to_ms - HOUR_MS, to_ms), MINUTE_MS, live=False))
    return {line.labels[1]: status_of(view, line) for line in view.series.values()}


def test_a_new_version_is_compared_with_the_one_that_it_took_over_from():
    even, odd = {"a": 50, "b": 50}, {"a": 90, "b": 10}
    found = model({"v0": (0, 5, odd), "v1": (3, 30, even), "v2": (28, 59, odd)})
    assert found["v2"] == ("warning", "40 % of its predictions are not as those of v1")
    assert model({"v1": (0, 30, even), "v2": (28, 59, even)})["v2"] == OK


def test_a_version_whose_beginning_is_not_in_the_range_is_not():
    assert model({"v1": (0, 59, {"a": 50, "b": 50}), "v2": (0, 59, {"a": 90, "b": 10})})["v2"] == OK


def test_many_classes_that_do_not_change_are_no_drift():
    """A minute, the latest steps and the whole range each keep fifty of them, not the same."""
    rng = random.Random(3)

    def drawn(_):
        counts = {}
        for _ in range(20):
            name = f"class-{rng.randrange(80)}"
            counts[name] = counts.get(name, 0) + 1
        return counts

    for _ in range(5):
        assert model({"v1": (0, 59, drawn)})["v1"] == OK
