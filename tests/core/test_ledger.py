"""A ledger's totals are the same whenever its windows are summed, and after a restart from its sum and rows."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.core.ledger import Ledger

adds = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3), st.integers(0, 100)))


@given(adds, st.integers(0, 10))
def test_closing_changes_no_total(items, until):
    wanted: Counter[int] = Counter()
    ledger = Ledger()
    for end, partition, times in items:
        ledger.add(end, partition, times)
        wanted[partition] += times
    assert Counter(ledger.totals()) == wanted
    ledger.close(until)
    assert Counter(ledger.totals()) == wanted
    assert all(end > until for end in ledger.by_window)


@given(adds, st.integers(0, 10))
def test_a_restart_from_the_sum_and_the_rows_that_are_left(items, until):
    ledger = Ledger()
    for end, partition, times in items:
        ledger.add(end, partition, times)
    ledger.close(until)
    again = Ledger(ledger.until_ms, dict(ledger.summed))
    for end, partition, times in items:
        if end > again.until_ms:
            again.add(end, partition, times)
    assert Counter(again.totals()) == Counter(ledger.totals())
