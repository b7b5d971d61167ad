"""A bounded number of series at a time; the same records are decided the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.core.admission import Admission
from stream_monitor.core.window import MINUTE_MS


def test_a_known_series_stays_and_a_new_one_waits_for_room():
    admission = Admission(most=2, keep_ms=10 * MINUTE_MS)
    assert admission.admit(("a",), 0, 0)
    assert admission.admit(("b",), 0, 0)
    assert not admission.admit(("c",), 0, 0)
    assert admission.admit(("a",), 5 * MINUTE_MS, 5 * MINUTE_MS)
    assert not admission.admit(("c",), 10 * MINUTE_MS, 10 * MINUTE_MS)
    assert admission.admit(("c",), 11 * MINUTE_MS, 11 * MINUTE_MS)  # b has retired
    assert set(admission.known) == {("a",), ("c",)}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=200), st.integers(1, 8))
def test_never_more_than_the_bound(steps, most):
    admission, now = Admission(most, 3 * MINUTE_MS), 0
    for name, minutes in steps:
        now += minutes * MINUTE_MS
        admitted = admission.admit((str(name),), now, now)
        assert len(admission.known) <= most
        assert admitted == ((str(name),) in admission.known)
