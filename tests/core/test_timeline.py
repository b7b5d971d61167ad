"""Timelines: a range's steps add up to its minutes, however rows came and whatever was asked before."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.core.aggregate import Aggregate, merged
from stream_monitor.core.snapshot import Range, select
from stream_monitor.core.timeline import STEPS_MS, Timeline, Total
from stream_monitor.core.view import MAX_STEPS, matches, step_for, words_of
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, SIZES_MS
from stream_monitor.kinds import KINDS
from tests.lines import Record, fold_all

ML = KINDS["ml"]
BASE = 1_705_276_800_000
"""A midnight, UTC."""


@dataclass
class Window:
    """A row of predictions."""

    start_ms: int
    size_ms: int
    whole: Aggregate
    final: bool = True
    asked: int = 0

    @property
    def records(self):
        return self.whole.records

    of, errors, volume = records, 0, records

    @property
    def last_ms(self):
        return self.start_ms + self.size_ms - MINUTE_MS

    @property
    def aggregate(self):
        self.asked += 1
        return self.whole


def minute(n, *latencies, final=True):
    """The nth minute, of predictions with these latencies."""
    start = BASE + n * MINUTE_MS
    records = [
        (1000 * n + i, Record(("s", "v"), start, counted=True, volume_micro=1_000_000, values=(value, None)))
        for i, value in enumerate(latencies or (float(n % 7),))
    ]
    return Window(start, MINUTE_MS, fold_all(ML, records), final)


def line_of(*rows):
    line = Timeline(ML, ("s", "v"))
    for row in rows:
        line.take(row)
    return line


def rollup(minutes, size_ms):
    """The longer windows of these minutes."""
    by_start = {}
    for row in minutes:
        by_start.setdefault(row.start_ms - row.start_ms % size_ms, []).append(row.whole)
    return [Window(start, size_ms, merged(ML, parts)) for start, parts in by_start.items()]


minutes_of_days = st.lists(
    st.tuples(st.integers(0, 2 * 1440 - 1), st.integers(1, 3)), min_size=1, max_size=40, unique_by=lambda m: m[0]
).map(lambda found: [minute(n, *(float((n + i) % 9) for i in range(count))) for n, count in found])


@given(minutes_of_days, st.sampled_from(STEPS_MS), st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_steps_hold_every_minute_once(minutes, step_ms, with_hours, with_days, random):
    """Rollups that are there take the place of their minutes, in any order of arrival, and change no number."""
    rows = list(minutes)
    rows += rollup(minutes, HOUR_MS) if with_hours else []
    rows += rollup(minutes, DAY_MS) if with_days else []
    random.shuffle(rows)
    view = line_of(*rows).over(Range(BASE, BASE + 2 * DAY_MS), step_ms, live=True)
    assert view.sums.records == sum(row.records for row in minutes)
    assert view.whole == merged(ML, [row.whole for row in minutes])
    for index, part in enumerate(view.parts):
        start = BASE + index * step_ms
        inside = [row for row in minutes if start <= row.start_ms < start + step_ms]
        assert (part.records if part else 0) == sum(row.records for row in inside)


@given(minutes_of_days, st.sampled_from(STEPS_MS), st.data())
def test_what_was_asked_before_changes_no_answer(minutes, step_ms, data):
    """Caches: a line that was asked in between answers as one that is new."""
    line, other = line_of(), Timeline(ML, ("s", "v"))
    total = Total(ML, [line])
    for row in minutes:
        line.take(row)
        total.touch(row.start_ms)
        other.take(row)
        if data.draw(st.booleans()):
            within = Range(BASE, BASE + data.draw(st.integers(1, 2 * 1440)) * MINUTE_MS)
            step, live = data.draw(st.sampled_from(STEPS_MS)), data.draw(st.booleans())
            line.over(within, step, live=live)
            total.over(within, step, live=live)
        if data.draw(st.booleans()):
            kept = data.draw(st.dictionaries(st.sampled_from(STEPS_MS), st.integers(BASE, BASE + 2 * DAY_MS)))
            line.trim(kept)
            total.trim(kept)
    to = data.draw(st.integers(1, 2 * 1440)) * MINUTE_MS
    found = [one.over(Range(BASE, BASE + to), step_ms, live=False) for one in (line, other, total)]
    plain = [
        None if view is None else (view.sums, [part and part.records for part in view.parts]) for view in found
    ]
    assert plain[0] == plain[1] == plain[2]
    if found[0] is not None:
        assert found[0].whole == found[1].whole == found[2].whole


@pytest.mark.slow
@given(minutes_of_days, minutes_of_days, st.sampled_from(STEPS_MS), st.booleans(), st.integers(0, 2 * 1440))
def test_a_line_that_has_forgotten_answers_as_one_that_never_knew(before, after, step_ms, with_hours, bound):
    """Where rows begin and end is kept beside them; it is right after some have gone and others have come."""
    from_ms = BASE + bound * MINUTE_MS
    line = line_of(*before, *(rollup(before, HOUR_MS) if with_hours else []))
    line.drop_covered(from_ms)
    for size in SIZES_MS:
        line.drop_before(size, from_ms)
    kept = [row for rows in line.rows.values() for row in rows.values()]
    for row in after:
        line.take(row)
    within = Range(BASE, BASE + 3 * DAY_MS)
    views = [one.over(within, step_ms, live=True) for one in (line, line_of(*kept, *after))]
    sums = [[part and part.records for part in view.parts] for view in views if view is not None]
    assert sums[0] == sums[1]
    assert [Total(ML, [line], newest).over(within, step_ms, live=True).whole
            for newest in (0, max(row.start_ms for row in (*kept, *after)))] == [views[1].whole] * 2  # fmt: skip


@pytest.mark.slow
@given(minutes_of_days, minutes_of_days, st.sampled_from(STEPS_MS), st.booleans(), st.booleans())
def test_a_total_is_its_members_whichever_of_them_have_hours(some, others, step_ms, with_hours, with_days):
    """Steps that still change are put together of shorter ones; it shows in no number."""
    rolled = [*(rollup(some, HOUR_MS) if with_hours else []), *(rollup(some, DAY_MS) if with_days else [])]
    members = [line_of(*some, *rolled), line_of(*others)]
    for newest in (0, max(row.start_ms for row in (*some, *others))):
        view = Total(ML, members, newest).over(Range(BASE, BASE + 2 * DAY_MS), step_ms, live=True)
        assert view.sums.records == sum(row.records for row in (*some, *others))
        assert view.whole == merged(ML, [row.whole for row in (*some, *others)])


def test_of_an_open_hour_only_the_minutes_that_changed_are_put_together_again():
    rows = [[minute(n, 1.0) for n in range(50)] for _ in range(20)]
    lines = [line_of(*some) for some in rows]
    total = Total(ML, lines, BASE + 49 * MINUTE_MS)
    within = Range(BASE, BASE + 50 * MINUTE_MS)
    assert total.over(within, HOUR_MS, live=True).whole.records == 20 * 50
    assert {row.asked for some in rows for row in some} == {1}
    lines[0].take(minute(49, 1.0, 2.0))
    total.touch(BASE + 49 * MINUTE_MS)
    assert total.over(within, HOUR_MS, live=True).whole.records == 20 * 50 + 1
    assert sum(row.asked for some in rows for row in some) == 20 * 50 + 19


@given(minutes_of_days, st.integers(1, 2 * 1440))
def test_a_range_that_ends_in_the_past_knows_nothing_of_later(minutes, to):
    """The time machine: the same answer as when nothing later had come."""
    end = BASE + to * MINUTE_MS
    before = [row for row in minutes if row.start_ms < end]
    for step_ms in STEPS_MS:
        then = line_of(*before).over(Range(BASE, end), step_ms, live=True)
        now = line_of(*minutes).over(Range(BASE, end), step_ms, live=False)
        assert (then is None) == (now is None)
        if then is not None:
            assert then.sums == now.sums
            assert then.whole == now.whole


def test_as_the_report_does():
    """Over a day: as many as `select` takes, whose rules the report goes by."""
    minutes = [minute(n) for n in (3, 59, 60, 700, 1439)]
    hours = {row.start_ms: row for row in rollup(minutes[:3], HOUR_MS)}
    taken = select(Range(BASE, BASE + DAY_MS), {}, hours, {row.start_ms: row for row in minutes})
    view = line_of(*minutes, *hours.values()).over(Range(BASE, BASE + DAY_MS), HOUR_MS, live=True)
    assert view.sums.records == sum(row.records for _, _, row in taken) == 5


def test_the_highest_revision_wins_and_then_the_final_one():
    line = line_of(minute(1, 1.0, 2.0))
    assert not line.take(minute(1, 9.0))
    assert not line.take(minute(1, 9.0, 9.0))
    assert line.take(minute(1, 3.0, 4.0, 5.0, final=False))
    assert line.take(minute(1, 3.0, 4.0, 5.0, final=True))
    assert not line.take(minute(1, 3.0, 4.0, 5.0, final=False))


def test_what_does_not_change_is_decoded_once():
    rows = [minute(n) for n in range(60)]
    line = line_of(*rows)
    within = Range(BASE, BASE + HOUR_MS)
    line.over(within, MINUTE_MS, live=True).whole  # noqa: B018
    asked = sum(row.asked for row in rows)
    newest = minute(59, 1.0, 2.0)
    line.take(newest)
    line.over(within, MINUTE_MS, live=True).whole  # noqa: B018
    assert asked == 60
    assert sum(row.asked for row in rows) + newest.asked <= asked + 2


def test_two_ranges_in_two_steps_cost_each_other_nothing():
    """Two people look at one feed: after the first look nothing is decoded again."""
    rows = [minute(n) for n in range(120)]
    line = line_of(*rows)
    for _ in range(3):
        for length, step_ms in ((HOUR_MS, MINUTE_MS), (2 * HOUR_MS, 5 * MINUTE_MS)):
            line.over(Range(BASE, BASE + length), step_ms, live=True)._closed.base(ML)
    assert max(row.asked for row in rows) == 2
    line.trim({MINUTE_MS: BASE + HOUR_MS})
    assert list(line._kept) == [MINUTE_MS]
    assert not line._kept[MINUTE_MS].parts


def test_forgotten_windows_are_gone():
    line = line_of(*(minute(n) for n in range(10)))
    assert line.drop_before(MINUTE_MS, BASE + 5 * MINUTE_MS) == 5
    line.forget()
    assert line.over(Range(BASE, BASE + HOUR_MS), MINUTE_MS, live=True).sums.records == 5
    assert line.drop_before(MINUTE_MS, BASE + HOUR_MS) == 5
    line.forget()
    assert line.is_empty
    assert line.over(Range(BASE, BASE + HOUR_MS), MINUTE_MS, live=True) is None


@given(st.integers(5 * MINUTE_MS, 400 * DAY_MS), st.integers(0, 400 * DAY_MS), st.integers(0, 20_000))
def test_a_step_divides_the_day_and_its_windows_are_kept(length, ago, series):
    step = step_for(length, length + ago, series)
    assert step in STEPS_MS
    assert DAY_MS % step == 0
    assert length // step <= MAX_STEPS or step == DAY_MS
    assert step >= HOUR_MS or length + ago <= 3 * DAY_MS
    assert max(size for size in SIZES_MS if size <= step)


def test_filter_words():
    assert matches(words_of(""), "ml", "anything")
    assert matches(words_of("etl load, FRAUD"), "airflow", "etl_orders/load")
    assert matches(words_of("etl load, FRAUD"), "ml", "ml.fraud/v2")
    assert not matches(words_of("etl load"), "airflow", "etl_orders/extract")
    assert matches(words_of("kafka:"), "kafka", "group/topic")
    assert not matches(words_of("kafka:"), "ml", "group/topic")
    assert matches(words_of(" , ,"), "ml", "x")
    assert Aggregate.empty(ML).records == 0
