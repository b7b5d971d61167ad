"""The alert agent's task without a broker: the real JudgeTask, a dict for RocksDB, lists for topics.

However its checkpoints are cut off and wherever it is restored, the alerts topic comes to the same.
"""

from __future__ import annotations

import json
import random

import pytest
from faust.types import TP

from stream_monitor import rules, wire
from stream_monitor.core.rule import Absent, Rule, Threshold
from stream_monitor.core.window import HOUR_MS, MINUTE_MS
from stream_monitor.exporters.prometheus import PipelineCollector
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.testing.stand_ins import Committed, Fetched, MemoryState, Outbox
from stream_monitor.worker.judge import JudgeTask
from stream_monitor.worker.state import META_KEY
from stream_monitor.worker.store import stamped
from tests.alerts import day, winning
from tests.strange import changed

NINE = 1_705_276_800_000 + 9 * HOUR_MS
NOW = 1_800_000_000_000 // MINUTE_MS * MINUTE_MS


class Bench:
    """One partition of metrics.1m and its owners."""

    def __init__(self, values=(), ruleset=None, quiet_ms=lambda _, __: None):
        self.log = [Fetched(offset, 0, value) for offset, value in enumerate(values)]
        self.rules = rules.load(None).rules if ruleset is None else ruleset
        self.sent, self.state, self.consumer = Outbox(), MemoryState(), Committed()
        self.quiet_ms = quiet_ms
        self.start()

    def start(self):
        settings = Settings(prefix="p")
        tp = TP("p.metrics.1m", 0)
        self.task = JudgeTask(tp, self.state, self.sent, self.consumer, settings, self.rules, self.quiet_ms)
        self.task.batch_at_ms = NOW

    def restart(self):
        """A new owner: from the changelog."""
        self.state.restore()
        self.start()

    def read(self, records):
        """Some more from the task's position on."""
        position = self.task.position or 0
        batch = self.log[position : position + records]
        if batch:
            self.task.process(batch)
        return bool(batch)

    def add(self, *values):
        """New records, read at once."""
        self.log += [Fetched(len(self.log) + n, 0, value) for n, value in enumerate(values)]
        self.read(len(values))

    def checkpoint(self, *, rows=None, meta=True, commit=True):
        """A checkpoint; only the first `rows` reach the changelog, or not its meta row, or it is not committed."""
        task = self.task
        if task.position is None:
            return
        of = task.meta()
        stored = wire.row_out({**of, "position": task.position, "counters": task.counters, "topic_id": "id"})
        task.state.write(dict([*task.dirty_rows().items()][:rows]), None)
        if rows is None and meta:
            task.state.write({META_KEY: stamped(task.position, stored)}, None)
            task.saved_position = task.position
            if commit:
                self.consumer[task.tp] = task.position
                task.on_committed(of)

    def alerts(self):
        """What the alerts topic comes to: (rule, entity, since, at, state) by key, without the restored twice."""
        return winning((key, value) for topic, _, key, value in self.sent if topic == "alerts")


@pytest.fixture(scope="module")
def undisturbed():
    bench = Bench(day())
    while bench.read(500):
        bench.checkpoint()
    return bench.alerts()


@pytest.mark.slow
def test_each_incident_of_the_day_raises_its_alert_once(undisturbed):
    found = [(a.rule, a.entity, a.state) for a in undisturbed.values()]
    assert sorted(found) == [
        ("ConsumerFallingBehind", "event-processor/events", "resolved"),
        ("ModelUnsure", "ml.predictor/v1.3.0", "resolved"),
        ("TaskFailing", "etl_orders/transform", "resolved"),
        ("TaskSlow", "etl_orders/transform", "resolved"),
    ]


@pytest.mark.slow
def test_each_fires_within_its_rules_window_of_the_first_sign():
    """The first sign: the first failed run, the first lag that no quiet hour has, the new version's first word."""
    bench, first = Bench(day()), {}
    while bench.read(500):
        bench.checkpoint()
    for value in day():
        seen = wire.observed(value)
        lags = seen.gauges.get("consumer_lag", {}).values()
        signs = {
            "TaskFailing": seen.label_values == ("etl_orders", "transform")
            and seen.errors
            and seen.start_ms > NINE,
            "ConsumerFallingBehind": any(lag.max > 1000 for lag in lags),
            "ModelUnsure": seen.label_values[1] == "v1.3.0",
        }
        for rule, shows in signs.items():
            if shows:
                first.setdefault(rule, seen.start_ms)
    fired = {}
    for topic, _, _, value in bench.sent:
        if topic == "alerts" and wire.alert_in(value).state == "firing":
            fired.setdefault(wire.alert_in(value).rule, wire.alert_in(value).at_ms)
    windows_ms = {rule.name: rule.condition.over_ms for rule in bench.rules if rule.name in first}
    for rule, sign_ms in first.items():
        assert sign_ms < fired[rule] <= sign_ms + windows_ms[rule] + MINUTE_MS, rule


@pytest.mark.slow
def test_what_a_paused_worker_sends_behind_its_successor_is_sent_over(monkeypatch):
    """Kafka compacts to the last record of a key, whichever counts."""
    few = [wire.observed(value) for value in day()]
    values = [
        value for value, seen in zip(day(), few, strict=True) if seen.label_values == ("etl_orders", "transform")
    ]
    bench = Bench(values)
    monkeypatch.setattr(bench.consumer, "highwater", lambda _: len(values), raising=False)
    while bench.read(100):
        bench.checkpoint()
    stale = [sent for sent in bench.sent if sent[0] == "alerts" and wire.alert_in(sent[3]).state == "firing"]
    assert stale
    bench.sent += stale
    for minutes in range(0, 30, 5):
        bench.task.flush(NOW + minutes * MINUTE_MS, None)
    last = {key: wire.alert_in(value).state for topic, _, key, value in bench.sent if topic == "alerts"}
    assert set(last.values()) == {"resolved"}
    again = [sent for sent in bench.sent if sent[0] == "alerts"][-len(last) :]
    assert sorted(key for _, _, key, _ in again) == sorted(last)  # each once


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.slow
def test_cut_off_checkpoints_and_restores_change_nothing(seed, undisturbed):
    rng, bench = random.Random(seed), Bench(day())
    while bench.read(rng.choice((1, 50, 700))):
        match rng.randrange(5):
            case 0:
                bench.checkpoint()
            case 1:
                bench.checkpoint(meta=False)
                bench.restart()
            case 2:
                bench.checkpoint(rows=rng.randrange(12))
                bench.restart()
            case 3 if rng.random() < 0.3:
                bench.checkpoint(commit=False)
                bench.restart()
    assert bench.alerts() == undisturbed


@pytest.mark.slow
def test_what_a_cut_off_checkpoint_had_sent_is_sent_again_by_the_next_owner(undisturbed):
    """The rows of a checkpoint reached the changelog, its transitions never reached Kafka."""
    bench = Bench(day())
    while True:
        safe = len(bench.sent)
        if not bench.read(300):
            break
        bench.checkpoint(meta=False)
        del bench.sent[safe:]
        bench.restart()
        bench.read(300)
        bench.checkpoint()
    assert bench.alerts() == undisturbed


def minute(start_ms, errors=0, service="s"):
    return wire.metric_value(metric(start_ms, errors, service), "logs")


def metric(start_ms, errors, service):
    from stream_monitor.core.aggregate import Aggregate
    from stream_monitor.core.metric import Metric
    from stream_monitor.kinds import KINDS

    whole = Aggregate.empty(KINDS["ml"])
    whole.records = whole.of = 10
    whole.errors = errors
    return Metric(KINDS["ml"], (service, "v"), start_ms, MINUTE_MS, True, whole)


SILENT = Rule("Silent", Absent(10 * MINUTE_MS), kind="ml")
FAILS = Rule("Fails", Threshold("error_rate", above=0.5), kind="ml")


def states(bench):
    return [(a.rule, a.state, a.at_ms) for a in bench.alerts().values()]


def test_foreign_bytes_are_a_dead_letter_and_stop_nothing():
    bench = Bench(ruleset=[FAILS])
    junk = [None, b"", b"{}", b"\xff", b'{"v":2}', minute(NOW).replace(b'"ml"', b'"xx"'), b"[" * 10_000]
    bench.add(*junk, minute(NOW, 9))
    letters = [value for topic, _, _, value in bench.sent if topic == "dlq"]
    assert len(letters) == len(junk)
    assert bench.task.counters == {"read": len(junk) + 1, "not_a_minute": len(junk), "firing": 1}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_whatever_somebody_has_written_to_the_topic_stops_nothing(seed):
    """Every shipped rule, the exporter, checkpoints, a scrape: on records with something strange in them."""
    rng, bench = random.Random(seed), Bench()
    bench.task._exporter = PipelineCollector(KINDS)
    of_day = [json.loads(value) for value in rng.sample(day(), 60)]
    for _ in range(12):
        few = [changed(rng, rng.choice(of_day)) for _ in range(40)]
        bench.add(*(json.dumps(record).encode() for record in few), json.dumps(of_day[0]).encode())
        bench.checkpoint()
        list(bench.task._exporter.collect())
    counters = bench.task.counters
    assert counters["read"] == 12 * 41
    assert 0 < counters["not_a_minute"] < 12 * 40


def test_an_alert_of_a_rule_that_is_gone_resolves():
    bench = Bench(ruleset=[FAILS])
    bench.add(minute(NOW, 9))
    bench.checkpoint()
    assert states(bench) == [("Fails", "firing", NOW + MINUTE_MS)]
    bench.rules = [SILENT]
    bench.restart()
    (alert,) = bench.alerts().values()
    assert (alert.state, alert.reason) == ("resolved", "rule removed")
    bench.checkpoint()
    sent = len(bench.sent)
    bench.restart()
    assert len(bench.sent) == sent


class TestForgotten:
    """A series that was silent for a week: its row goes, and nothing that was said of it is lost."""

    WEEK = 7 * 24 * 60 * MINUTE_MS

    def forgotten(self):
        """`s` fires, is silent for a week, and another series' minute makes the clock pass it."""
        bench = Bench(ruleset=[FAILS, SILENT])
        bench.add(minute(NOW - self.WEEK, 9))
        bench.checkpoint()
        bench.add(minute(NOW + 2 * MINUTE_MS, service="other"))
        return bench

    def rows(self, bench):
        return [key for key in bench.state.rows if b'"s"' in key]

    def test_its_alerts_resolve_and_its_row_goes(self):
        bench = self.forgotten()
        assert {state for _, state, _ in states(bench)} == {"resolved"}
        bench.checkpoint()
        assert bench.task.has_pending()
        bench.checkpoint()
        assert self.rows(bench) == []
        assert not bench.task.has_pending()

    def test_what_a_cut_off_checkpoint_had_sent_of_it_is_sent_again(self):
        bench = self.forgotten()
        safe = [sent for sent in bench.sent if wire.alert_in(sent[3]).state == "firing"]
        for _ in range(2):  # cut off twice
            bench.checkpoint(meta=False)
            bench.sent[:] = safe
            bench.restart()
        bench.read(9)
        assert {state for _, state, _ in states(bench)} == {"resolved"}
        for _ in range(2):
            bench.checkpoint()
        assert self.rows(bench) == []

    def test_one_that_comes_again_at_once_is_saved(self):
        bench = self.forgotten()
        bench.add(minute(NOW + 2 * MINUTE_MS, 9))
        bench.checkpoint()
        bench.restart()
        bench.add(minute(NOW + 3 * MINUTE_MS, 0))
        found = [(a.state, a.since_ms) for a in bench.alerts().values() if a.rule == "Fails"]
        assert found == [("resolved", NOW - self.WEEK), ("resolved", NOW + 2 * MINUTE_MS)]

    def test_more_than_there_is_room_for_are_counted(self):
        bench = Bench(ruleset=[FAILS])
        bench.task.judge._most = 2
        bench.add(*(minute(NOW, 9, service=name) for name in "abcd"))
        assert bench.task.counters == {"read": 4, "unjudged": 2, "firing": 2}


class TestTheWallClock:
    """Nothing comes any more: the clock is pushed by a moment up to which everything is known to be judged."""

    def quiet(self, ruleset=(SILENT,)):
        bench = Bench(ruleset=ruleset, quiet_ms=lambda partition, position: self.quiet_ms)
        self.quiet_ms = NOW + 20 * MINUTE_MS
        return bench

    def test_a_silence_fires_and_ends(self):
        bench = self.quiet()
        bench.add(minute(NOW))
        bench.task.flush(0, 1)
        assert bench.task.has_pending()
        assert states(bench) == []
        bench.checkpoint()
        assert states(bench) == [("Silent", "firing", NOW + 11 * MINUTE_MS)]
        bench.add(minute(NOW + 30 * MINUTE_MS))
        assert states(bench) == [("Silent", "resolved", NOW + 31 * MINUTE_MS)]

    def test_a_push_that_is_saved_happens_again_after_a_crash_and_one_that_is_not_does_not(self):
        for saved in (True, False):
            bench = self.quiet()
            bench.add(minute(NOW))
            bench.checkpoint()
            bench.task.flush(0, 1)
            bench.checkpoint(meta=saved, commit=False)
            assert states(bench) == []
            bench.restart()
            assert [state for _, state, _ in states(bench)] == (["firing"] if saved else [])

    def test_what_nothing_waits_for_costs_no_checkpoint(self):
        bench = self.quiet()
        bench.add(minute(NOW))
        bench.checkpoint()
        self.quiet_ms = NOW + 5 * MINUTE_MS
        bench.task.flush(0, 1)
        assert not bench.task.has_pending()

    def test_a_replay_of_old_logs_is_not_silent_because_they_are_old(self):
        bench = self.quiet()
        bench.add(minute(NOW - 3 * HOUR_MS))
        bench.task.flush(0, 1)
        assert not bench.task.has_pending() or bench.task._pushes == {}

    def test_a_busy_partition_is_not_pushed(self):
        bench = self.quiet()
        bench.add(minute(NOW))
        bench.task.flush(0, None)
        assert bench.task._pushes == {}
