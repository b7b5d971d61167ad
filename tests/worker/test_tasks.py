"""The tasks by hand: lateness, retirement, idle partitions, corrections, replays; the same input in any order."""

from __future__ import annotations

import json
import random

import pytest

from stream_monitor import wire
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS
from stream_monitor.kinds import KINDS
from tests.driver import Pipeline, prediction

T0 = 1_705_312_800_000
"""2024-01-15T10:00:00Z."""


def retired(**flags):
    """Minute 10:00 holds 100 records of partition 1 and one of 0; they are idle and far ahead: it has retired."""
    pipe = Pipeline(idle_after=5, **flags)
    pipe.log(1, *(prediction(T0 + n, 5) for n in range(100)), at_ms=T0)
    pipe.log(0, prediction(T0), at_ms=T0)
    pipe.flush(T0 + 1000)
    pipe.checkpoint(T0 + 2000)
    now = T0 + 3 * HOUR_MS
    pipe.log(0, prediction(now), at_ms=now)
    pipe.flush(now)
    pipe.checkpoint(now)
    for step in (6000, 12_000, 18_000):  # partition 1 is verified empty, later than the other has come so far
        pipe.flush(now + step, idle=(1,))
    pipe.checkpoint(now + 20_000)
    return pipe, now


@pytest.mark.parametrize("swept", [False, True])
def test_a_late_partial_counts_only_what_it_adds(swept):
    pipe, now = retired()
    if swept:
        pipe.flush(now + 21_000, idle=(1,))
        pipe.checkpoint(now + 22_000)
        pipe.checkpoint(now + 23_000)
    for n in range(2):
        pipe.log(1, prediction(T0 + 200 + n), at_ms=now + 30_000)
        pipe.flush(now + 30_000 + n)
    assert pipe.merged("late") == 2
    assert pipe.merged("published") == 102
    (letter,) = pipe.dead_letters().values()
    assert (letter["reason"], letter["records"], letter["source"]["partition"]) == ("late", 2, 1)
    assert pipe.results()[("s", "v"), T0].revision == 101


def test_a_replay_sends_a_late_partials_dead_letter_again():
    pipe, now = retired()
    pipe.log(1, prediction(T0 + 200), at_ms=now + 30_000)
    pipe.flush(now + 30_000)
    pipe.checkpoint(
        now + 31_000, meta=False
    )  # its rows are in the changelog, its dead letter and meta row are not
    pipe.sent[:] = [sent for sent in pipe.sent if sent[0] != "dlq"]
    pipe.restart_merge()
    (letter,) = pipe.dead_letters().values()
    assert letter["records"] == 1
    assert pipe.merged("late") == 1


def test_counts_survive_a_checkpoint_that_was_cut_off():
    pipe = Pipeline()
    pipe.log(0, *(prediction(T0 + n) for n in range(7)), at_ms=T0)
    pipe.log(1, prediction(T0), at_ms=T0)
    pipe.flush(T0 + 1000)
    pipe.checkpoint(T0 + 2000)
    pipe.log(0, prediction(T0 + 100), at_ms=T0)
    pipe.flush(T0 + 3000)
    pipe.checkpoint(T0 + 4000, meta=False)
    pipe.restart_merge()
    assert pipe.merged("published") == 9


def test_stubs_leave_although_one_partition_never_had_data():
    pipe = Pipeline(partitions=3, idle_after=5)
    most = 0
    for minute in range(0, 8 * 60, 3):
        now = T0 + minute * MINUTE_MS
        pipe.log(minute // 3 % 2, prediction(now), at_ms=now)
        for step in range(3):
            pipe.flush(now + step * 6000, idle=(2,))
        pipe.checkpoint(now + 20_000)
        most = max(most, sum(1 for key in pipe.states[-1].rows if key.startswith(b"s")))
    assert most < 10


def test_a_longer_lateness_brings_no_retired_window_back():
    pipe, now = retired()
    pipe.settings = pipe.settings.model_copy(update={"lateness": 86_400.0})
    pipe.driver.ingest["ml", 0] = pipe.driver.new_ingest("ml", 0)
    pipe.log(0, prediction(T0 + 1), at_ms=now + 1000)
    pipe.flush(now + 60_000)
    assert pipe.ingest[0].counters["late"] == 1
    assert pipe.results()[("s", "v"), T0].revision == 101


def test_nothing_retires_before_it_has_closed():
    """Lateness shorter than a producer's clock is ahead, beside an idle partition: every minute is published."""
    pipe = Pipeline(lateness=120, idle_after=5)
    ahead = 240_000
    for second in range(0, 1200, 5):
        now = T0 + second * 1000
        pipe.log(0, prediction(now + ahead), at_ms=now)
        pipe.flush(now, idle=(1,))
        pipe.checkpoint(now)
    end = T0 + 1800_000
    for step in (0, 6000, 12_000):
        pipe.flush(end + step, idle=(0, 1))
    assert sum(metric.revision for metric in pipe.results().values()) == 240
    assert pipe.merged("late") == 0


def test_a_silent_owner_holds_a_window_and_an_idle_partition_does_not():
    pipe = Pipeline(idle_after=5)
    pipe.log(0, prediction(T0), prediction(T0 + 5 * MINUTE_MS), at_ms=T0 + 5 * MINUTE_MS)
    pipe.flush(T0 + 5 * MINUTE_MS)
    pipe.ingest[0].flush(T0 + 6 * MINUTE_MS, None)
    pipe.read_partials()
    assert pipe.results() == {} or pipe.results()[("s", "v"), T0].final  # partition 1 has spoken: it is not idle
    pipe.flush(T0 + 6 * MINUTE_MS, idle=(1,))
    assert pipe.results()[("s", "v"), T0].final


def test_a_closed_hour_and_day_are_corrected_by_a_late_record():
    pipe = Pipeline(partitions=1, lateness=7200)
    pipe.log(0, prediction(T0), prediction(T0 + HOUR_MS + MINUTE_MS), at_ms=T0 + 2 * HOUR_MS)
    pipe.flush(T0)
    pipe.checkpoint(T0)
    assert pipe.results("metrics.1h")[("s", "v"), T0].revision == 1
    pipe.log(0, prediction(T0 + 30 * MINUTE_MS), at_ms=T0)
    pipe.flush(T0 + 1000)
    pipe.checkpoint(T0 + 1000)
    assert pipe.results("metrics.1h")[("s", "v"), T0].revision == 2


def interleaved(seed, order):
    """An hour and a half of records on three partitions, up to 20 minutes late, read in an order of `seed`."""
    pipe = Pipeline(partitions=3, lateness=3600)
    rng = random.Random(seed)
    queues = [list(queue) for queue in order]
    now = T0
    while any(queues):
        partition = rng.choice([p for p, queue in enumerate(queues) if queue])
        batch = [queues[partition].pop(0) for _ in range(min(len(queues[partition]), rng.randrange(1, 40)))]
        now += 1000
        pipe.log(partition, *batch, at_ms=T0 + 2 * HOUR_MS)
        if rng.random() < 0.5:
            pipe.flush(now)
        if rng.random() < 0.2:
            pipe.checkpoint(now)
        if rng.random() < 0.05:
            pipe.read_partials()
            pipe.restart_merge()
    later = T0 + 2 * DAY_MS
    for step in range(4):
        pipe.flush(later + step * 6000, idle=(0, 1, 2))
        pipe.checkpoint(later + step * 6000)
    return pipe


def records(seed, latest_minutes):
    rng = random.Random(seed)
    order = [[], [], []]
    for second in range(0, 5400, 12):
        at = T0 + second * 1000
        if rng.random() < 0.2:
            at -= rng.randrange(latest_minutes * MINUTE_MS)
        order[rng.randrange(3)].append(prediction(at, rng.randrange(1, 500), f"s{rng.randrange(4)}"))
    return order


@pytest.mark.slow
def test_within_lateness_the_order_of_reading_leaves_no_trace():
    order = records(1, 20)
    results = []
    for seed in range(20):
        pipe = interleaved(seed, order)
        assert pipe.merged("late") == 0
        found = [pipe.results(topic) for topic in ("metrics.1m", "metrics.1h", "metrics.1d")]
        assert all(metric.final for windows in found for metric in windows.values())
        results.append([{key: metric.aggregate for key, metric in windows.items()} for windows in found])
        assert sum(metric.revision for metric in found[0].values()) == 450
        assert sum(metric.revision for metric in found[2].values()) == 450
    assert all(result == results[0] for result in results)


@pytest.mark.slow
def test_beyond_lateness_nothing_is_lost():
    order = records(2, 180)
    for seed in range(20):
        pipe = interleaved(seed, order)
        folded = sum(task.counters["folded"] for task in pipe.ingest)
        late = sum(task.counters.get("late", 0) for task in pipe.ingest)
        assert folded + late == 450
        assert late > 0
        assert pipe.merged("published") + pipe.merged("late") == folded
        assert sum(metric.revision for metric in pipe.results().values()) == pipe.merged("published")
        assert sum(letter["records"] for letter in pipe.dead_letters().values()) == late + pipe.merged("late")


def test_an_hour_keeps_what_a_successor_swept_after_a_checkpoint_that_was_cut_off():
    pipe = Pipeline(partitions=1, lateness=300)

    def minute(number):
        now = T0 + number * MINUTE_MS
        pipe.log(0, prediction(now), at_ms=now)
        pipe.flush(now)
        pipe.checkpoint_of(pipe.ingest[0], now)
        pipe.read_partials()

    for number in range(20):
        minute(number)
        if number % 5 == 4:
            pipe.checkpoint_of(pipe.merge, T0)
    for number in range(20, 40):
        minute(number)
    pipe.checkpoint_of(pipe.merge, T0, meta=False)  # dies behind its rows
    end = pipe.merge.position
    pipe.restart_merge(read_on=False)
    while pipe.merge.position < end - 6:  # the successor sweeps more, at checkpoints before that one
        pipe.read_again(pipe.merge.position + 4)
        pipe.checkpoint_of(pipe.merge, T0)
    pipe.restart_merge()
    for number in (70, 140, 24 * 60):
        minute(number)
        pipe.checkpoint_of(pipe.merge, T0)
    assert pipe.results("metrics.1h")[("s", "v"), T0].revision == 40
    assert pipe.results("metrics.1d")[("s", "v"), T0 // DAY_MS * DAY_MS].revision == 42


@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 25))]
)
def test_cut_off_checkpoints_and_restores_change_no_result(seed):
    rng = random.Random(seed)
    pipe = Pipeline(partitions=2, lateness=rng.choice([60, 300, 3600]), idle_after=5)
    wanted = 0
    for step in range(0, 3 * 60, 3):
        now = T0 + step * MINUTE_MS
        for partition in range(2):
            values = [prediction(now + rng.randrange(60_000), 5, f"s{rng.randrange(3)}") for _ in range(3)]
            pipe.log(partition, *values, at_ms=now + 60_000)
            wanted += 3
        pipe.flush(now)
        for task in pipe.ingest:
            pipe.checkpoint_of(task, now)
        pipe.read_partials()
        luck = rng.random()
        if luck < 0.3:
            pipe.checkpoint_of(pipe.merge, now, meta=False, rows=rng.choice([None, rng.randrange(9)]))
            pipe.restart_merge(read_on=False)
            while (pipe.merge.position or 0) < len(pipe.driver.partials):
                pipe.read_again((pipe.merge.position or 0) + rng.randrange(1, 40))
                if rng.random() < 0.5:
                    pipe.checkpoint_of(pipe.merge, now)
        elif luck < 0.7:
            pipe.checkpoint_of(pipe.merge, now)
    later = T0 + 2 * DAY_MS
    for round_ in range(4):
        pipe.flush(later + round_ * 6000, idle=(0, 1))
        pipe.checkpoint(later + round_ * 6000)
    late = pipe.merged("late")
    assert pipe.merged("published") + late == wanted
    for topic in ("metrics.1m", "metrics.1h", "metrics.1d"):
        assert all(metric.revision for metric in pipe.results(topic).values())
        assert sum(metric.revision for metric in pipe.results(topic).values()) == wanted - late, topic


def test_what_a_former_owner_may_have_published_late_is_published_again_when_it_retires():
    """Kafka compacts to the last record of a key."""
    pipe = Pipeline(partitions=1, lateness=300)
    for number in range(70):
        now = T0 + number * MINUTE_MS
        pipe.log(0, prediction(now), prediction(now + 1), at_ms=now)
        pipe.flush(now)
        pipe.checkpoint(now)
        if number == 30:
            pipe.restart_merge()
            inherited = {key for key in pipe.results() if key[1] > now - 6 * MINUTE_MS}
            stale = [sent for sent in pipe.sent if sent[0] == "metrics.1m"][-1]
            value = json.loads(stale[3])
            pipe.sent.append((*stale[:3], json.dumps({**value, "revision": 1, "records": 1}).encode()))
    last = {}
    for topic, _, _, value in pipe.sent:
        if topic == "metrics.1m":
            metric = wire.metric_from(value, KINDS)
            last[metric.labels, metric.start_ms] = metric.revision
    assert inherited
    assert set(last.values()) == {2}
