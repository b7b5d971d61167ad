"""When windows close and retire: the rules of core/progress.py, in every scenario of two partitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.core.progress import PartitionProgress, TopicProgress
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, is_closed, is_retired, window_start

NOW = 1_000_000


def topic(expected, *said):
    progress = TopicProgress()
    for partition, (watermark, frontier, idle) in enumerate(said):
        progress.update(partition, expected, PartitionProgress(watermark, frontier, idle))
    return progress


@pytest.mark.parametrize(
    ("progress", "closing", "retired"),
    [
        (topic(0), 0, 0),
        (topic(2, (500, 100, False)), 0, 0),  # rule 2: the other partition is unheard of
        (topic(2, (500, 100, False), (300, 50, False)), 300, 50),  # rule 1: the lowest
        (topic(2, (500, 100, False), (300, 50, True)), 500, 100),  # rule 3: idle follows the clock
        (topic(2, (500, 100, True), (300, 50, True)), NOW, 0),  # all idle: all closes, nothing retires
        (topic(1, (NOW + 5, 7, True)), NOW + 5, 0),  # idle and ahead of the clock
        (topic(1, (NOW + 5, 7, False)), NOW + 5, 7),
    ],
)
def test_the_rules(progress, closing, retired):
    assert progress.closing_ms(NOW) == closing
    assert progress.retired_ms() == retired


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10**6), st.integers(0, 10**6), st.just(False))))
def test_nothing_moves_back_while_nobody_is_idle(updates):
    progress, closing, retired = TopicProgress(), 0, 0
    for partition, watermark, frontier, idle in updates:
        progress.update(partition, 3, PartitionProgress(watermark, frontier, idle))
        assert progress.closing_ms(NOW) >= closing
        assert progress.retired_ms() >= retired
        closing, retired = progress.closing_ms(NOW), progress.retired_ms()


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
