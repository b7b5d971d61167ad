"""When windows close and retire: the rules of core/progress.py, in every scenario of two partitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.core.progress import PartitionProgress, TopicProgress
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, is_closed, is_retired, window_start

MARGIN = 10


def topic(expected, *said):
    """What the owner of each partition said, none of them idle: (watermark, frontier, at)."""
    progress = TopicProgress(MARGIN)
    for partition, words in enumerate(said):
        tell(progress, partition, expected, *words)
    return progress


def tell(progress, partition, expected, watermark, frontier, at_ms=0, *, idle=False, position=None):
    position = at_ms if position is None else position
    progress.update(partition, expected, PartitionProgress(position, watermark, frontier, idle, at_ms))


def test_the_lowest_watermark_closes_and_the_lowest_frontier_retires():
    progress = topic(2, (500, 100), (300, 50))
    assert (progress.closing_ms(), progress.retired_ms()) == (300, 50)


@pytest.mark.parametrize("progress", [topic(0), topic(2, (500, 100))])
def test_nothing_happens_while_a_partition_is_unheard_of(progress):
    assert (progress.closing_ms(), progress.retired_ms()) == (0, 0)


def test_an_idle_partitions_watermark_is_the_moment_of_the_look():
    progress = topic(2, (5000, 100))
    tell(progress, 1, 2, 300, 50, 4000, idle=True)
    assert progress.closing_ms() == 4000
    tell(progress, 1, 2, 300, 50, 6000, idle=True)
    assert progress.closing_ms() == 5000


def test_what_the_others_reached_counts_for_looks_that_came_after_by_a_margin():
    progress = topic(2, (500, 100, 1000))
    tell(progress, 1, 2, 0, 0, 1000 + MARGIN - 1, idle=True)
    assert progress.retired_ms() == 0
    tell(progress, 1, 2, 0, 0, 1000 + MARGIN, idle=True)
    assert progress.retired_ms() == 100
    tell(progress, 0, 2, 90_000, 80_000, 5000)  # a day passes between two looks
    assert progress.retired_ms() == 100
    tell(progress, 1, 2, 0, 0, 5000, idle=True)
    assert progress.retired_ms() == 100
    tell(progress, 1, 2, 0, 0, 5000 + MARGIN, idle=True)
    assert progress.retired_ms() == 80_000


def test_a_partition_that_speaks_again_holds_what_is_not_retired():
    progress = topic(2, (500, 100, 1000))
    tell(progress, 1, 2, 0, 0, 1100, idle=True)
    tell(progress, 0, 2, 90_000, 80_000, 1200)
    tell(progress, 1, 2, 200, 0, 1300)
    assert progress.closing_ms() == 200
    assert progress.retired_ms() == 0


def test_a_former_owners_late_word_does_not_make_a_partition_idle():
    progress = topic(2, (90_000, 80_000, 5000), (200, 0, 5500))
    tell(progress, 1, 2, 100, 0, 5400, idle=True)
    assert not progress.partitions[1].idle
    assert progress.closing_ms() == 200


def test_a_clock_that_was_ahead_and_is_right_again_keeps_nobody_idle():
    progress = topic(2, (500, 100, 1000))
    tell(progress, 1, 2, 0, 0, 1_000_000, idle=True, position=5)
    tell(progress, 1, 2, 300, 0, 2000, position=6)
    assert not progress.partitions[1].idle
    assert progress.closing_ms() == 300


def test_when_all_are_idle_each_has_retired_what_it_says():
    progress = topic(2)
    tell(progress, 0, 2, 5000, 40, 6000, idle=True)
    tell(progress, 1, 2, 4000, 30, 7000, idle=True)
    assert (progress.closing_ms(), progress.retired_ms()) == (6000, 30)


words = st.tuples(
    st.integers(0, 2), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 1000), st.booleans()
)


@given(st.lists(words))
def test_nothing_moves_back_while_nobody_is_idle(updates):
    progress, closing, retired = TopicProgress(MARGIN), 0, 0
    for partition, watermark, frontier, at_ms, _ in updates:
        tell(progress, partition, 3, watermark, frontier, at_ms)
        assert progress.closing_ms() >= closing
        assert progress.retired_ms() >= retired
        closing, retired = progress.closing_ms(), progress.retired_ms()


@given(st.lists(words))
def test_nothing_retires_that_a_partition_not_idle_has_not_retired(updates):
    progress, said = TopicProgress(MARGIN), {}
    for partition, watermark, frontier, at_ms, idle in updates:
        tell(progress, partition, 3, watermark, frontier, at_ms, idle=idle)
        said[partition] = max(said.get(partition, 0), frontier)
        active = [said[p] for p, each in progress.partitions.items() if not each.idle]
        assert progress.retired_ms() <= min(active, default=10**6)
        assert all(len(each.reached) <= 2 for each in progress.partitions.values())


@given(st.integers(0, 2**42), st.sampled_from([MINUTE_MS, HOUR_MS, DAY_MS]))
def test_a_window_is_half_open_and_holds_its_timestamp(timestamp, size):
    start = window_start(timestamp, size)
    assert start % size == 0
    assert start <= timestamp < start + size


def test_a_window_closes_before_it_retires():
    assert not is_closed(0, 70_000, 10_000)
    assert is_closed(0, 70_001, 10_000)
    assert not is_retired(0, 3_660_000, HOUR_MS)
    assert is_retired(0, 3_660_001, HOUR_MS)
