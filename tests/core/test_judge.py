"""The rule engine: states, hysteresis, absence, what is usual, burn rates; its cost follows the changes."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.core import measure, tally
from stream_monitor.core.health import Status
from stream_monitor.core.history import History
from stream_monitor.core.judge import FORGOTTEN_MS, Judge
from stream_monitor.core.rule import Absent, BurnRate, Rule, StatusIs, Threshold, Tier
from stream_monitor.core.usual import Lags, Shape
from stream_monitor.core.window import HOUR_MS, MINUTE_MS
from stream_monitor.kinds import KINDS
from tests.alerts import Made, Measured, Seen, at, judged, told

ML, KAFKA = ("s", "v"), ("g", "t")


def runs(*ratios, first=0, of=10, labels=ML):
    """A minute for each error ratio; None: no data in that minute."""
    return [
        Made("ml", labels, at(first + n), of, errors=round(ratio * of), of=of)
        for n, ratio in enumerate(ratios)
        if ratio is not None
    ]


def rule(condition=None, **options):
    return Rule("R", condition or Threshold("error_rate", above=0.5), kind=options.pop("kind", "ml"), **options)


def outcome(rule_, minutes, until=None):
    judge = Judge([rule_], KINDS)
    found = judged(judge, minutes)
    if until is not None:
        found += told(judge.advance(rule_.kind or "ml", at(until)))
    return [(state, since, when) for state, _, since, when in found]


class TestStates:
    def test_without_for_it_fires_in_its_first_minute_and_resolves_in_the_first_good_one(self):
        assert outcome(rule(), runs(0, 0.6, 0.7, 0.5, 0)) == [("firing", 1, 2), ("resolved", 1, 4)]

    def test_for_counts_from_the_start_of_the_first_minute(self):
        held = rule(for_ms=3 * MINUTE_MS)
        assert outcome(held, runs(1, 1, 0, 1, 1, 1, 1, 0)) == [("firing", 3, 6), ("resolved", 3, 8)]

    def test_a_minute_without_data_neither_ends_nor_proves_it(self):
        held = rule(for_ms=3 * MINUTE_MS)
        assert outcome(held, runs(1, None, None, 1, 0)) == [("firing", 0, 4), ("resolved", 0, 5)]

    def test_keep_firing_for_bridges_good_minutes(self):
        kept = rule(keep_firing_ms=3 * MINUTE_MS)
        assert outcome(kept, runs(1, 0, 0, 1, 0, 0, 0)) == [("firing", 0, 1), ("resolved", 0, 7)]

    def test_keep_firing_for_ends_also_without_data(self):
        kept = rule(keep_firing_ms=3 * MINUTE_MS)
        assert outcome(kept, runs(1, 0), until=10) == [("firing", 0, 1), ("resolved", 0, 4)]

    def test_hysteresis(self):
        wide = rule(Threshold("error_rate", above=0.5, clear=0.2))
        assert outcome(wide, runs(0.5, 0.6, 0.3, 0.6, 0.2, 0.3)) == [("firing", 1, 2), ("resolved", 1, 5)]

    def test_below(self):
        low = rule(Threshold("of", below=5, clear=8))
        minutes = [Made("ml", ML, at(n), of, of=of) for n, of in enumerate((9, 4, 7, 8))]
        assert outcome(low, minutes) == [("firing", 1, 2), ("resolved", 1, 4)]

    def test_without_data_it_ends_when_nobody_can_say_any_more(self):
        stale = rule(stale_ms=15 * MINUTE_MS)
        assert outcome(stale, runs(1), until=15) == [("firing", 0, 1)]
        assert outcome(stale, runs(1), until=16) == [("firing", 0, 1), ("resolved", 0, 16)]

    def test_evidence_is_needed_to_begin_and_not_to_stay(self):
        careful = rule(Threshold("error_rate", above=0.2, least=20, least_errors=5, over_ms=2 * MINUTE_MS))
        assert outcome(careful, runs(0.4, of=10)) == []
        assert outcome(careful, [*runs(0.4, 0.4, of=10), *runs(1, 1, 0, 0, first=2, of=1)]) == [
            ("firing", 1, 2), ("resolved", 1, 6),
        ]  # fmt: skip

    def test_a_correction_of_the_newest_minute_counts_and_an_older_one_only_corrects_the_history(self):
        assert outcome(rule(), [*runs(0.4), *runs(0.6)]) == [("firing", 0, 1)]
        assert outcome(rule(), [*runs(0.4, 0), *runs(1)]) == []
        summed = rule(Threshold("error_rate", above=0.5, over_ms=3 * MINUTE_MS))
        assert outcome(summed, [*runs(0, 0), *runs(1), *runs(1, first=2)]) == [("firing", 2, 3)]

    def test_a_correction_ends_no_alert(self):
        """With the same `since` it would never fire again for whoever reads the topic: an end is the end."""
        corrected = [*runs(0.6), *runs(0.4), *runs(0.6), *runs(0.6, first=1), *runs(0, first=2)]
        assert outcome(rule(), corrected) == [("firing", 0, 1), ("resolved", 0, 3)]
        judge = Judge([rule(Absent(10 * MINUTE_MS))], KINDS)
        judged(judge, runs(0))
        assert told(judge.advance("ml", at(20))) == [("firing", "R", 1, 11)]
        assert judged(judge, runs(0.1)) == []
        assert judged(judge, runs(0, first=25)) == [("resolved", "R", 1, 26)]

    def test_the_same_minute_again_changes_nothing(self):
        minutes = runs(0, 1, 1, 0)
        assert outcome(rule(), [m for minute in minutes for m in (minute, minute)]) == outcome(rule(), minutes)


class TestWhichSeries:
    def test_kind_labels_and_patterns(self):
        judge = Judge([Rule("R", Threshold("records", above=0), match={"service": ("ml.*", "x")})], KINDS)
        minutes = [Made("ml", (name, "v"), at(0)) for name in ("ml.a", "x", "y")] + [Made("kafka", KAFKA, at(0))]
        assert len(judged(judge, minutes)) == 2

    def test_what_is_over_the_series_cap_is_judged_only_by_its_name(self):
        other = Made("ml", ("__other__", "__other__"), at(0))
        assert judged(Judge([Rule("R", Threshold("records", above=0))], KINDS), [other]) == []
        named = Rule("R", Threshold("records", above=0), match={"entity": ("__other__*",)})
        assert len(judged(Judge([named], KINDS), [other, *runs(1)])) == 1


class TestAbsence:
    def test_no_data_for_a_fixed_time(self):
        silent = rule(Absent(10 * MINUTE_MS))
        assert outcome(silent, runs(0), until=10) == []
        assert outcome(silent, runs(0), until=11) == [("firing", 1, 11)]

    def test_it_ends_with_the_next_data(self):
        silent = rule(Absent(10 * MINUTE_MS))
        others = runs(*[0] * 40, labels=("other", "v"))
        minutes = sorted([*runs(0), *runs(0, first=30), *others], key=lambda m: m.start_ms)
        found = [entry for entry in outcome(silent, minutes) if entry[1] == 1]
        assert found == [("firing", 1, 11), ("resolved", 1, 31)]

    def test_another_kinds_minutes_do_not_move_the_clock(self):
        judge = Judge([rule(Absent(10 * MINUTE_MS))], KINDS)
        assert judged(judge, [*runs(0), Made("kafka", KAFKA, at(500))]) == []

    def test_usual_is_three_times_the_longest_gap_and_takes_some_hours_to_know(self):
        silent = rule(Absent(None))
        hourly = [minute for n in range(24) for minute in runs(0, first=60 * n)]
        end = 60 * 23 + 1
        assert outcome(silent, hourly, until=end + 179) == []
        assert outcome(silent, hourly, until=end + 180) == [("firing", end, end + 180)]
        assert outcome(silent, hourly[:5], until=10_000 - 1) == []

    def test_another_rhythm_is_learnt_within_a_week(self):
        """Hourly, then daily: an alarm a day at first, and none for ever."""
        hourly = [minute for n in range(48) for minute in runs(0, first=60 * n)]
        daily = [minute for n in range(3, 20) for minute in runs(0, first=60 * 24 * n)]
        fired = [since for state, since, _ in outcome(rule(Absent(None)), [*hourly, *daily]) if state == "firing"]
        assert 5 <= len(fired) <= 8
        assert max(fired) <= 60 * 24 * 10

    def test_a_series_that_is_gone_for_a_week_is_forgotten_with_its_alerts(self):
        judge = Judge([rule(Absent(10 * MINUTE_MS))], KINDS)
        judged(judge, runs(0))
        assert told(judge.advance("ml", at(1) + FORGOTTEN_MS))[-1][:2] == ("resolved", "R")
        assert judge.series == {}
        assert len(judge.forgotten) == 1


class TestUsual:
    def slow(self, **options):
        return rule(Threshold("latency_ms.mean", above=3, usual_ms=24 * HOUR_MS, over_ms=5 * MINUTE_MS, **options))

    def minutes(self, *means, first=0):
        return [
            Made("ml", ML, at(first + n), 10, measures={"latency_ms": Measured(10, 10 * mean)})
            for n, mean in enumerate(means)
        ]

    def test_three_times_its_own_mean(self):
        minutes = self.minutes(*[50] * 240, *[200] * 10, *[50] * 10)
        assert outcome(self.slow(), minutes) == [("firing", 243, 244), ("resolved", 243, 252)]

    def test_without_two_hours_of_the_past_nothing_is_usual(self):
        assert outcome(self.slow(), self.minutes(*[50] * 60, *[500] * 30)) == []

    def test_a_long_incident_does_not_become_its_own_reference(self):
        minutes = self.minutes(*[50] * 240, *[200] * 60 * 24)
        assert [state for state, *_ in outcome(self.slow(), minutes)] == ["firing"]


class TestBurnRate:
    TIERS = (
        Tier(HOUR_MS, 5 * MINUTE_MS, 14.4, "critical"),
        Tier(6 * HOUR_MS, 30 * MINUTE_MS, 6, "critical"),
        Tier(72 * HOUR_MS, None, 1, "warning"),
    )
    BURN = BurnRate(0.99, TIERS)

    @pytest.mark.parametrize(("ratio", "after"), [(0.5, 2), (0.2, 45), (0.1, None)])
    def test_the_worse_it_burns_the_sooner_it_fires(self, ratio, after):
        """An hour without errors, then so many: 14.4 % of the hour is reached after 60 × 0.144 / ratio minutes."""
        fast = rule(BurnRate(0.99, self.TIERS[:1]))
        found = outcome(fast, runs(*[0] * 60, *[ratio] * 60, of=100))
        if after is None:
            assert found == []
        else:
            assert abs(found[0][2] - 60 - math.ceil(60 * 0.144 / ratio)) <= 1

    def test_the_short_window_ends_it_when_the_errors_end(self):
        fast = rule(BurnRate(0.99, self.TIERS[:1]))
        found = outcome(fast, runs(*[0] * 60, *[0.5] * 30, *[0] * 60, of=100))
        assert [state for state, *_ in found] == ["firing", "resolved"]
        assert found[1][2] - 90 <= 5

    def test_a_slow_burn_warns_and_a_fast_one_makes_it_worse(self):
        judge = Judge([rule(self.BURN)], KINDS)
        minutes = runs(*[0.02] * 300, *[0.8] * 20, of=100)
        transitions = [
            (t.state, t.severity)
            for m in minutes
            for t in judge.take(b"k", ML, m)
        ]  # fmt: skip
        assert transitions == [("firing", "warning"), ("firing", "critical")]

    def test_one_error_is_no_trend(self):
        assert outcome(rule(BurnRate(0.99, self.TIERS, least_errors=5)), runs(1, of=4)) == []


class TestConsumers:
    def reports(self, *lags, rate=100.0):
        return [
            Made("kafka", KAFKA, at(n), gauges={
                "consumer_lag": {"0": Seen(lag, lag, at(n)), "1": Seen(5, 5, at(n))},
                "messages_per_second": {"0": Seen(rate, rate, at(n)), "1": Seen(100, 100, at(n))},
            })
            for n, lag in enumerate(lags)
        ]  # fmt: skip

    def status(self, *statuses):
        return rule(StatusIs(frozenset(statuses), 1000), kind="kafka")

    def test_a_stall_of_one_partition_is_the_groups(self):
        found = outcome(self.status(Status.STALL), self.reports(5000, 5000, 5000, rate=0))
        assert [state for state, *_ in found] == ["firing"]
        assert outcome(self.status(Status.STALL), self.reports(900, 900, 900, rate=0)) == []

    def test_a_group_that_falls_silent_under_lag_is_stopped_by_the_clock(self):
        found = outcome(self.status(Status.STOP), self.reports(5000, 6000, 7000), until=60)
        assert [(state, since) for state, since, _ in found] == [("firing", 3)]
        assert 7 <= found[0][2] <= 9
        assert outcome(self.status(Status.STOP), self.reports(5, 5, 5), until=60) == []

    def test_lag_in_seconds(self):
        late = rule(Threshold("lag_seconds", above=45), kind="kafka")
        # 100/s are written and nothing is read: each minute of it is a minute of lag
        found = outcome(late, self.reports(0, 6000, 12_000, 18_000, rate=0))
        assert [(state, since) for state, since, _ in found] == [("firing", 1)]


class TestRoom:
    """Memory is bounded: a series takes some kilobytes for a week."""

    def judge(self, most=3):
        return Judge([rule(Threshold("records", below=5), stale_ms=300 * HOUR_MS)], KINDS, most=most)

    def take(self, judge, name, minute, records=9):
        return told(judge.take(name.encode(), (name, "v"), Made("ml", (name, "v"), at(minute), records)))

    def test_a_newcomer_is_not_judged_while_all_others_come_and_is_counted(self):
        judge = self.judge()
        for name in "abcd":
            self.take(judge, name, 0)
        assert self.take(judge, "d", 1, records=1) == []
        assert sorted(judge.series) == [b"a", b"b", b"c"]
        assert judge.unjudged == 2
        assert self.take(judge, "a", 2, records=1) == [("firing", "R", 2, 3)]

    def test_the_longest_silent_makes_room_unless_it_has_an_alert(self):
        judge = self.judge()
        self.take(judge, "a", 0, records=1)
        self.take(judge, "b", 1)
        self.take(judge, "c", 2)
        self.take(judge, "d", 60)
        assert sorted(judge.series) == [b"a", b"b", b"c"]  # nobody has been silent for an hour
        self.take(judge, "d", 61)
        assert sorted(judge.series) == [b"a", b"c", b"d"]
        assert judge.forgotten == [b"b"]
        assert judge.series[b"a"].alerts

    def test_room_is_looked_for_once_a_minute(self, monkeypatch):
        judge, looks = self.judge(), []
        for name in "abc":
            self.take(judge, name, 0)
        monkeypatch.setattr(judge, "_silent_ms", lambda series: looks.append(series) or 0)
        for n in range(100):
            self.take(judge, f"new{n}", 1)
        assert len(looks) == 3

    def test_an_alert_that_comes_and_goes_does_not_fill_the_queue(self):
        judge = Judge([rule(keep_firing_ms=3 * MINUTE_MS)], KINDS)
        for n in range(2000):
            judged(judge, runs(1, 0, first=n * 5))
        assert len(judge._queues["ml"]) <= 1000
        assert told(judge.advance("ml", at(10_000_000)))[-1][0] == "resolved"

    def test_partitions_that_a_log_makes_up_are_bounded(self):
        lags = Lags()
        for n in range(1000):
            lags.take({str(n): Seen(n, n, at(n)), "real": Seen(7, 7, at(n))}, {})
        assert len(lags.partitions) == 256
        assert {"real", "999"} <= lags.partitions.keys()
        copy = Lags()
        copy.restore(lags.out())
        assert copy.out() == lags.out()

    def test_classes_that_a_model_makes_up_are_bounded_and_no_drift(self):
        """A thousand classes that do not change; a minute of them says fifty, and which is chance."""
        rng, shape = random.Random(1), Shape()
        for n in range(60 * 5):
            counts = {}
            for _ in range(100):
                tally.count(counts, f"class-{rng.randrange(1000)}")
            shape.take(at(n), (), counts)
            assert not shape.classes_share
        assert shape.classes_share == 0
        assert max(len(classes) for _, classes in shape.before.values()) <= tally.MAX_NAMES + 1


MEASURES = [(kind, name) for kind in KINDS.values() for name in measure.names(kind)]


@pytest.mark.parametrize(("kind", "name"), MEASURES, ids=[f"{kind.name}-{name}" for kind, name in MEASURES])
def test_every_measure_can_be_judged(kind, name):
    """Of a minute that has everything it has a value; of one that has nothing none, and never an exception."""
    labels = tuple("x" for _ in kind.labels)
    full = {m: Measured(10, 50.0, 1, 9, 5, 5, 9) for m, _ in kind.measures}
    gauges = {g: {"0": Seen(3, 4, at(0))} for g in kind.gauges}
    always = Rule("R", Threshold(name, above=-1), kind=kind.name)
    empty = Made(kind.name, labels, at(0), records=0, of=0)
    rich = Made(kind.name, labels, at(0), 10, 1, 1, 10, 5, full, gauges, {"a": 3}, {"E": 1})
    judge = Judge([always], KINDS)
    fired = judge.take(b"k", labels, rich)
    has_value = not name.endswith((".drift", ".p5", ".p95"))  # these need more than the minute above has
    assert bool(fired) == has_value
    assert Judge([always], KINDS).take(b"k", labels, empty) == []


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9)), max_size=60), st.sampled_from([1, 5, 60, 180]))
def test_a_window_is_the_sum_of_its_minutes(puts, over):
    """An oracle that keeps everything; within an hour exact, beyond it by whole hours."""
    history, kept = History(["x"], 24 * HOUR_MS), {}
    for minute, value in puts:
        newest = max(kept, default=minute)
        if minute >= newest - 60 or not kept:
            history.put(at(minute), [value])
            kept[minute] = value
    if not kept:
        return
    end = max(kept) + 1
    begin = end - over if over <= 60 else math.ceil((end - over) / 60) * 60
    assert history.total(0, at(end), over * MINUTE_MS) == sum(v for m, v in kept.items() if begin <= m < end)
    copy = History(["x"], 24 * HOUR_MS)
    copy.restore(history.out())
    assert copy.out() == history.out()


@pytest.mark.parametrize("seed", range(3))
def test_a_restored_judge_goes_on_as_if_nothing_had_been(seed):
    rng = random.Random(seed)
    rules = [
        rule(Threshold("error_rate", above=0.5, clear=0.3), keep_firing_ms=3 * MINUTE_MS, stale_ms=20 * MINUTE_MS),
        Rule("A", Absent(7 * MINUTE_MS)),
        Rule("B", TestBurnRate.BURN),
        Rule("S", StatusIs(frozenset({Status.FAILING, Status.SLOW})), kind="ml"),
    ]
    names = [(f"s{n}", "v") for n in range(4)]
    minutes = [
        minute for n in range(200) for name in names if rng.random() < 0.4
        for minute in runs(rng.choice((0, 0, 0.4, 1)), first=n, labels=name)
    ]  # fmt: skip
    whole, parts = Judge(rules, KINDS), Judge(rules, KINDS)
    for minute in minutes:
        key = minute.labels[0].encode()
        if rng.random() < 0.1:
            saved, parts = parts, Judge(rules, KINDS)
            parts.clocks = dict(saved.clocks)
            for each, series in saved.series.items():
                parts.restore(each, "ml", series.labels, series.out())
        assert sorted(told(parts.take(key, minute.labels, minute))) == sorted(
            told(whole.take(key, minute.labels, minute))
        )
    assert any(series.alerts for series in whole.series.values())


def test_what_a_minute_costs_follows_the_rules_about_its_series_and_nothing_else():
    """Ten thousand silent series cost a minute of another one no look at them."""
    looked = []

    class Counting(Judge):
        def _look(self, series, now_ms, found):
            looked.append(series.key)
            super()._look(series, now_ms, found)

    judge = Counting([rule(Absent(HOUR_MS))], KINDS)
    for n in range(10_000):
        judge.take(b"%d" % n, (f"s{n}", "v"), Made("ml", (f"s{n}", "v"), at(0)))
    for n in range(1, 50):
        judge.take(b"0", ("s0", "v"), Made("ml", ("s0", "v"), at(n)))
    assert looked == []
    judge.take(b"0", ("s0", "v"), Made("ml", ("s0", "v"), at(61)))
    assert len(looked) == 10_000
