"""Which time is on screen: ranges, moments as people type them, playing, stepping."""

from __future__ import annotations

import pytest

from stream_monitor.board.when import RANGES_MS, When, length_of, moment_of
from stream_monitor.board.words import clock, day, moment
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS
from tests.tui.data import NOW

TODAY = 1_705_276_800_000


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("now", NOW), ("-2h", NOW - 2 * HOUR_MS), ("90m ago", NOW - 90 * MINUTE_MS), ("1d 6h", NOW - 30 * HOUR_MS),
        ("10:30", TODAY + 630 * MINUTE_MS), ("10:31", TODAY + 631 * MINUTE_MS - DAY_MS),
        ("10:30:05", TODAY + 630 * MINUTE_MS + 5000), ("yesterday 9:00", TODAY - DAY_MS + 540 * MINUTE_MS),
        ("2024-01-14 10:30", TODAY - DAY_MS + 630 * MINUTE_MS),
        ("2024-01-14T10:30:00Z", TODAY - DAY_MS + 630 * MINUTE_MS),
        ("2024-01-14T12:30:00+02:00", TODAY - DAY_MS + 630 * MINUTE_MS), ("2024-01-14", TODAY - DAY_MS),
        ("", None), ("soon", None), ("25:00", None), ("-", None), ("9999-99-99", None), ("2h or so", None),
    ],
)  # fmt: skip
def test_moments_as_people_type_them(text, at):
    assert moment_of(text, NOW) == at


@pytest.mark.parametrize(
    ("text", "ms"),
    [("90m", 90 * MINUTE_MS), ("2h", 2 * HOUR_MS), ("1d 6h", 30 * HOUR_MS), ("1.5h", 90 * MINUTE_MS),
     ("10s", 5 * MINUTE_MS),
     ("2w", 14 * DAY_MS), ("999999d", 400 * DAY_MS), ("", None), ("h", None), ("2 hours", None), ("-2h", None)],
)  # fmt: skip
def test_lengths_as_people_type_them(text, ms):
    assert length_of(text) == ms


def test_every_range_is_shown_in_at_most_180_steps_that_begin_where_days_are_divided():
    for length in RANGES_MS:
        query = When(length).query(NOW)
        assert query.from_ms % query.step_ms == 0
        assert 15 <= len(query.starts) <= 181
        assert query.starts[-1] < query.range.to_ms <= query.starts[-1] + query.step_ms
    assert [When(length).query(NOW).step_ms // MINUTE_MS for length in RANGES_MS] == [1, 1, 5, 15, 60, 360]


def test_many_series_are_shown_in_coarser_steps():
    assert When(DAY_MS).query(NOW, series=2000).step_ms == HOUR_MS
    assert When(HOUR_MS).query(NOW, series=2000).step_ms == MINUTE_MS


def test_minutes_that_are_gone_are_not_asked_for():
    assert When(HOUR_MS, at_ms=NOW - 10 * DAY_MS).query(NOW).step_ms == HOUR_MS


def test_playing_arrives_at_now_and_is_live():
    when = When(at_ms=NOW - 60_000, plays=True, speed=10)
    assert when.played(1000, NOW).at_ms == NOW - 50_000
    assert when.played(10_000, NOW).is_live
    assert When(at_ms=5).played(1000, NOW).at_ms == 5
    assert [when.faster(by).speed for by in (-2, -1, 1, 2, 9)] == [2, 5, 30, 60, 60]


def test_steps_and_jumps():
    assert When().step(-1, MINUTE_MS, NOW).at_ms == NOW - MINUTE_MS
    assert When(at_ms=NOW - MINUTE_MS).step(1, MINUTE_MS, NOW).is_live
    assert When().jump(NOW + 1, NOW).is_live
    assert When().jump(-5, NOW).at_ms == 0


def test_data_ahead_of_the_clock_are_shown():
    assert When().query(NOW, newest_ms=NOW + 2 * MINUTE_MS).range.to_ms > NOW + 2 * MINUTE_MS
    assert When().query(NOW, newest_ms=NOW + DAY_MS).range.to_ms == NOW


def test_longer_and_shorter():
    assert When().longer(1).length_ms == 6 * HOUR_MS
    assert When().longer(-1).longer(-1).length_ms == 15 * MINUTE_MS
    assert When(2 * HOUR_MS).longer(1).length_ms == 6 * HOUR_MS
    assert When(RANGES_MS[-1]).longer(1).length_ms == RANGES_MS[-1]


@pytest.mark.parametrize("ms", [2**63 - 1, -(2**63), NOW * 1000])
def test_what_no_calendar_has_is_a_dash(ms):
    assert (moment(ms), clock(ms), day(ms)) == ("–", "–", "–")
