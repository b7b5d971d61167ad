"""The rules of core/health.py: every rule in every scenario. The scenarios are those that Burrow's evaluator is
tested by (core/internal/evaluator/caching_test.go), told anew: which course of offsets and lags, and what it
means.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.core import health
from stream_monitor.core.health import Facts, LagTime, Report, Sample, Status

MINUTE = 60_000


class Scenario(NamedTuple):
    """A course, and what each rule says of it: caught up now, stopped, caught up lately, rewound at, had
    caught up, stalled, never gains; and the verdict."""

    tells: str
    offsets: tuple
    lags: tuple
    lag: float
    now_s: float
    rules: tuple
    status: Status
    ends: tuple = ()
    floor: float = 0
    times_s: tuple = (100, 200, 300, 400, 500)

    def reports(self):
        rows = zip(self.times_s, self.offsets, self.lags, strict=True)
        return [Report(round(at * 1000), offset, lag) for at, offset, lag in rows]


STEADY, STILL = (1000, 2000, 3000, 4000, 5000), (1000,) * 5
GROWS, GROWS_FROM_0 = (50, 100, 150, 200, 250), (0, 50, 100, 150, 200)
JUMPS_BACK = (1000, 2000, 3000, 2000, 4000)
SECONDS = tuple(range(1_512_224_618, 1_512_224_633))
EACH = tuple(range(792_748_079, 792_748_094))

SCENARIOS = [
    Scenario("falls behind, but had no lag at first", STEADY, GROWS_FROM_0, 200, 600,
             (False, False, False, None, True, False, True), Status.OK, (5200,)),
    Scenario("silent for exactly as long as its reports span: not longer", STEADY, GROWS_FROM_0, 200, 900,
             (False, False, False, None, True, False, True), Status.OK, (5200,)),
    Scenario("silent for longer: stopped, although it had no lag at first", STEADY, GROWS_FROM_0, 200, 1000,
             (False, True, False, None, True, False, True), Status.STOP, (5200,)),
    Scenario("silent for longer, and it always had lag", STEADY, GROWS, 250, 1000,
             (False, True, False, None, False, False, True), Status.STOP, (5250,)),
    Scenario("does not move, but had no lag at first: one report more is a stall", STILL, GROWS_FROM_0, 200, 600,
             (False, False, False, None, True, True, True), Status.OK, (1200,)),
    Scenario("does not move under growing lag", STILL, (100, 150, 200, 250, 300), 300, 600,
             (False, False, False, None, False, True, True), Status.STALL, (1300,)),
    Scenario("does not move under lag that stays the same", STILL, (100,) * 5, 100, 600,
             (False, False, False, None, False, True, True), Status.STALL, (1100,)),
    Scenario("jumps back and regains it", JUMPS_BACK, (100, 150, 200, 1250, 300), 300, 600,
             (False, False, False, 3, False, False, False), Status.OK, (4300,)),
    Scenario("no lag now: whatever its reports say", STEADY, GROWS, 0, 1000,
             (True, True, False, None, False, False, True), Status.OK, (5250,)),
    Scenario("never had lag, fell silent, and now there is new data", EACH, (0,) * 15, 931, 1_512_224_650,
             (False, True, False, None, True, False, True), Status.STOP,
             (792_749_024, 792_749_000, 792_748_800, 792_748_600, 792_748_500), times_s=SECONDS),
    Scenario("silent because there was nothing to read until just now", EACH, (0,) * 15, 1, 1_512_224_650,
             (False, True, True, None, True, False, True), Status.OK,
             (792_748_094, 792_748_093, 792_748_093, 792_748_093), times_s=SECONDS),
    Scenario("reports without a lag in between change nothing", tuple(range(1000, 6000, 500)),
             (0, None, 50, None, 100, None, 150, None, 200, None), 200, 600,
             (False, False, False, None, True, False, True), Status.OK, (5700,),
             times_s=tuple(range(100, 600, 50))),
    Scenario("silent under a lag that the floor allows", (1000, 2000, 2000), (2, 1, 1), 1, 550,
             (True, True, False, None, True, False, False), Status.OK, (2001,), 1, (100, 200, 300)),
    Scenario("does not move under lag above the floor", STILL, (100, 150, 200, 250, 300), 300, 600,
             (False, False, False, None, False, True, True), Status.STALL, (1300,), 99),
    Scenario("jumps back and regains it, with a floor", JUMPS_BACK, (100, 150, 200, 1250, 300), 300, 600,
             (False, False, False, 3, False, False, False), Status.OK, (4300,), 99),
    Scenario("jumps back and has not regained it", (1000, 2000, 3000, 2000, 2500), (100, 150, 200, 1250, 300), 300,
             600, (False, False, False, 3, False, False, False), Status.REWIND, (4300,)),
    # What Burrow's users asked for
    Scenario("small lag that grows: a fault without a floor", STEADY, (11, 40, 80, 120, 145), 145, 600,
             (False, False, False, None, False, False, True), Status.WARN, (5145,)),
    Scenario("the same with a floor (#223)", STEADY, (11, 40, 80, 120, 145), 145, 600,
             (True, False, False, None, True, False, True), Status.OK, (5145,), 1000),
]  # fmt: skip


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.tells)
def test_every_rule_in_every_scenario(scenario):
    reports, now_ms = scenario.reports(), round(scenario.now_s * 1000)
    assert scenario.rules == (
        health.is_caught_up(scenario.lag, scenario.floor),
        health.is_stopped(reports, now_ms),
        health.was_caught_up_lately(reports, scenario.ends),
        health.rewound_at(reports),
        health.had_caught_up(reports, scenario.floor),
        health.is_stalled(reports),
        health.never_gains(reports),
    )
    found = health.partition_status(reports, now_ms, scenario.lag, recent_ends=scenario.ends, floor=scenario.floor)
    assert found is scenario.status


def test_every_status_of_a_partition_has_a_scenario():
    assert {scenario.status for scenario in SCENARIOS} == {
        Status.OK, Status.WARN, Status.STALL, Status.STOP, Status.REWIND,
    }  # fmt: skip


def test_a_rewind_is_regained_or_not():
    regained, not_regained = (Scenario("", offsets, (1,) * 5, 0, 0, (), Status.OK).reports() for offsets in (
        JUMPS_BACK, (1000, 2000, 3000, 2000, 2500),
    ))  # fmt: skip
    assert health.has_regained(regained, 3)
    assert not health.has_regained(not_regained, 3)


def test_lag_is_taken_against_the_end_of_now():
    """Burrow #126, #131: a consumer that stopped with no lag reports none for ever."""
    stopped = [Report(0, 74_990, 0), Report(10_000, 74_999, 0)]
    assert health.lag_now(stopped, None) == 0
    assert health.lag_now(stopped, 80_000) == 5001
    assert health.partition_status(stopped, 60_000, health.lag_now(stopped, 80_000)) is Status.STOP
    assert health.lag_now([], 5) is None
    assert health.lag_now([Report(0, None, 7), Report(1, None, None)], None) == 7


def test_without_reports_or_lag_there_is_no_judgement():
    assert health.partition_status([], 0, 5) is Status.UNKNOWN
    assert health.partition_status([Report(0, 1, None)], 0, None) is Status.UNKNOWN


def test_patience_keeps_a_consumer_that_reports_quickly_from_being_stopped_in_a_second():
    quick = [Report(1000, 1, 5), Report(2000, 2, 5)]
    assert health.partition_status(quick, 4000, 5) is Status.STOP
    assert health.partition_status(quick, 4000, 5, patience_ms=MINUTE) is Status.WARN


def test_a_group_is_as_its_worst_partition():
    assert health.worst([Status.OK, Status.STALL, Status.WARN]) is Status.STALL
    assert health.worst([]) is Status.UNKNOWN
    order = [Status.OK, Status.WARN, Status.REWIND, Status.STALL, Status.STOP]
    assert sorted(order) == order


class TestLagTime:
    def test_caught_up_is_zero_and_unknown_is_none(self):
        assert health.lag_time([Report(0, 10, 0)], 5000) == LagTime(0.0, "measured")
        assert health.lag_time([], 5000) is None
        assert health.lag_time([Report(0, 10, None)], 5000) is None
        assert health.lag_time([Report(0, None, 7)], 5000) is None

    def test_the_records_own_timestamp_is_a_measurement(self):
        assert health.lag_time([Report(0, 10, 5)], 65_000, record_ms=5000) == LagTime(60.0, "measured")

    def test_otherwise_it_is_interpolated_between_reports(self):
        # ends 100 at 0 s, 200 at 10 s, 300 at 20 s; it is at 250: written at 15 s
        reports = [Report(0, 100, 0), Report(10_000, 150, 50), Report(20_000, 250, 50)]
        assert health.lag_time(reports, 21_000) == LagTime(6.0, "estimated")

    def test_a_record_older_than_all_that_is_known_is_not_extrapolated(self):
        reports = [Report(10_000, 5, 1_000_000), Report(20_000, 6, 1_000_000)]
        assert health.lag_time(reports, 30_000) == LagTime(20.0, "at least")

    @given(
        writes=st.lists(st.integers(0, 1000), min_size=2, max_size=12),
        reads=st.lists(st.integers(0, 1000), min_size=12, max_size=12),
    )
    def test_it_is_the_age_of_the_oldest_unread_record_within_a_step(self, writes, reads):
        """An oracle that knows when each record was written: all of a step's at its end."""
        written, offset, reports, when = 0, 0, [], []
        for step, (wrote, read) in enumerate(zip(writes, reads, strict=False)):
            when += [step * MINUTE] * wrote
            written += wrote
            offset = min(written, offset + read)
            reports.append(Report(step * MINUTE, offset, written - offset))
        now_ms = reports[-1].at_ms
        found = health.lag_time(reports, now_ms)
        true_s = 0.0 if offset == written else (now_ms - when[offset]) / 1000
        assert math.isfinite(found.seconds)
        if found.how == "at least":
            assert offset < writes[0]
        assert true_s <= found.seconds <= true_s + 60 * len(writes)
        if found.how == "estimated":
            flat = next((s for s, w in enumerate(writes) if sum(writes[: s + 1]) > offset), 0)
            assert found.seconds <= (now_ms - (flat - 1) * MINUTE) / 1000


class TestReportsOf:
    def test_offsets_come_from_the_rates(self):
        samples = [Sample(0, 100, 10), Sample(10_000, 150, 20)]
        assert health.reports_of(samples) == [Report(0, 0, 100), Report(10_000, 150, 150)]

    def test_lag_falls_by_reading_only(self):
        samples = [Sample(0, 100, None), Sample(10_000, 40, None), Sample(20_000, 40, None)]
        assert [report.offset for report in health.reports_of(samples)] == [0, 60, None]

    def test_a_consumer_whose_rate_is_zero_stalls(self):
        reports = health.reports_of([Sample(minute * MINUTE, 5000 + minute, 0) for minute in range(5)])
        assert health.partition_status(reports, 5 * MINUTE, 5004) is Status.STALL

    def test_an_unknown_rate_is_no_stall(self):
        reports = health.reports_of([Sample(minute * MINUTE, 5000, None) for minute in range(5)])
        assert health.partition_status(reports, 5 * MINUTE, 5000) is Status.WARN


@pytest.mark.parametrize(
    ("facts", "dag", "model"),
    [
        (Facts(), Status.UNKNOWN, Status.UNKNOWN),
        (Facts(silence_s=299, usual_gap_s=200), Status.OK, Status.OK),
        (Facts(silence_s=301, usual_gap_s=200), Status.LATE, Status.OK),
        (Facts(silence_s=601, usual_gap_s=200, failures=9, attempts=9), Status.SILENT, Status.SILENT),
        (Facts(silence_s=9e9), Status.OK, Status.OK),
        (Facts(failures=2, attempts=2), Status.OK, Status.OK),
        (Facts(failures=3, attempts=15), Status.FAILING, Status.FAILING),
        (Facts(failures=3, attempts=16), Status.OK, Status.OK),
        (Facts(mean=201, usual_mean=100), Status.SLOW, Status.SLOW),
        (Facts(mean=200, usual_mean=100), Status.OK, Status.OK),
        (Facts(mean=200, usual_mean=None), Status.OK, Status.OK),
        (Facts(confidence=0.59, mean=201, usual_mean=100), Status.SLOW, Status.UNSURE),
        (Facts(drift=0.1, confidence=0.5), Status.OK, Status.DRIFTING),
        (Facts(drift=0.09, confidence=0.6), Status.OK, Status.OK),
    ],
)
def test_the_rules_of_dags_and_models(facts, dag, model):
    assert (health.dag_status(facts), health.model_status(facts)) == (dag, model)
