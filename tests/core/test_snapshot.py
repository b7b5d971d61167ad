"""A range is put together from days, hours and minutes without a gap and without counting twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.core.snapshot import Range, select
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, window_start

minutes = st.dictionaries(
    st.integers(0, 3 * 1440 - 1).map(lambda m: m * MINUTE_MS), st.integers(1, 9), max_size=60
)


@given(minutes, st.sets(st.integers(0, 2)), st.sets(st.integers(0, 71)), st.integers(0, 72), st.integers(0, 72))
def test_whatever_rows_there_are_the_total_is_that_of_the_minutes(data, day_rows, hour_rows, one, two):
    within = Range(min(one, two) * HOUR_MS, max(one, two) * HOUR_MS)
    days, hours = {}, {}
    for start, count in data.items():
        day, hour = window_start(start, DAY_MS), window_start(start, HOUR_MS)
        if day // DAY_MS in day_rows:
            days[day] = days.get(day, 0) + count
        if hour // HOUR_MS in hour_rows:
            hours[hour] = hours.get(hour, 0) + count
    taken = select(within, days, hours, data)
    wanted = sum(count for start, count in data.items() if within.from_ms <= start < within.to_ms)
    assert sum(row for _, _, row in taken) == wanted


@given(minutes, st.integers(0, 4320), st.integers(0, 4320))
def test_a_range_with_ragged_ends_takes_minutes_at_its_edges(data, one, two):
    within = Range(min(one, two) * MINUTE_MS, max(one, two) * MINUTE_MS)
    hours = {}
    for start, count in data.items():
        hours[window_start(start, HOUR_MS)] = hours.get(window_start(start, HOUR_MS), 0) + count
    taken = select(within, {}, hours, data)
    assert sum(row for _, _, row in taken) == sum(
        count for start, count in data.items() if within.from_ms <= start < within.to_ms
    )
