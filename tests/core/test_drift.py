"""Two-sample tests of counts: right p-values, few false alarms at any n, and changes that are found."""

from __future__ import annotations

import math
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import drift as simulation
from stream_monitor.core import drift, tally
from stream_monitor.core.drift import Comparison

COUNTS = st.dictionaries(st.integers(0, 127), st.integers(1, 500), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("statistic", "freedom", "tail"),  # from the printed tables of the chi-square distribution
    [(3.841, 1, 0.05), (10.828, 1, 0.001), (5.991, 2, 0.05), (7.815, 3, 0.05), (16.266, 3, 0.001),
     (18.307, 10, 0.05), (29.588, 10, 0.001), (24.996, 15, 0.05), (37.697, 15, 0.001), (0.0, 5, 1.0)],
)  # fmt: skip
def test_the_tail_of_chi_square_is_that_of_the_tables(statistic, freedom, tail):
    assert drift.chi_square_tail(statistic, freedom) == pytest.approx(tail, rel=2e-3)


@given(st.floats(0, 2000), st.integers(1, 60))
def test_the_tail_falls_with_the_statistic_and_stays_a_probability(statistic, freedom):
    here, further = (drift.chi_square_tail(x, freedom) for x in (statistic, statistic + 1))
    assert 0 <= further <= here + 1e-12 <= 1 + 1e-12


def test_a_statistic_by_hand():
    """30/70 against 50/50: |30-40| - 0.5 = 9.5 in each of four cells; 9.5² (2/40 + 2/60) = 7.52."""
    found = drift.compare_classes({"a": 30, "b": 70}, {"a": 50, "b": 50})
    assert found.p == pytest.approx(drift.chi_square_tail(9.5**2 * (2 / 40 + 2 / 60), 1))
    assert found.share == pytest.approx(0.2)
    assert found.cells == 2
    assert found.moved == 0


@given(COUNTS, COUNTS)
def test_it_is_symmetric_and_knows_itself(before, now):
    there, back = drift.compare_bins(before, now), drift.compare_bins(now, before)
    assert there is None or there == pytest.approx(back)
    same = drift.compare_bins(before, before)
    assert same is None or (same.p, same.share) == (1.0, 0.0)


@given(COUNTS, COUNTS)
def test_every_cell_is_expected_to_hold_enough_in_both_samples(before, now):
    pairs = [(before.get(b, 0), now.get(b, 0)) for b in range(128)]
    b, n = sum(before.values()), sum(now.values())
    needed = drift.LEAST_EXPECTED * (b + n) / min(b, n)
    for pool in (drift._neighbours, drift._rare):
        cells = pool(pairs, needed)
        assert all(sum(cell) * min(b, n) / (b + n) >= drift.LEAST_EXPECTED for cell in cells) or len(cells) < 2
        if cells:
            assert (sum(c for c, _ in cells), sum(c for _, c in cells)) == (b, n)
    assert len(drift._neighbours(pairs, needed)) <= drift.MAX_CELLS


def test_of_too_small_a_sample_nothing_is_said():
    assert drift.compare_classes({"a": 49}, {"a": 5000}) is None
    assert drift.compare_classes({"a": 50}, {"a": 5000}) == Comparison(1.0, 0.0, 1)


def test_a_class_that_was_never_seen_counts():
    found = drift.compare_classes({"a": 500, "b": 500}, {"a": 200, "b": 200, "new": 100})
    assert found.moved == pytest.approx(0.2)


def test_classes_that_one_sample_has_put_together_are_put_together_in_the_other():
    """Of 60 classes 50 are kept of what has seen them all; of what has seen 55 some others are kept, too."""
    names = sorted((f"c{n}" for n in range(60)), key=lambda name: crc32(name.encode()))
    before, now = {}, {}
    tally.merge(before, dict.fromkeys(names, 100))
    tally.merge(now, dict.fromkeys(names[:20] + names[25:], 10))
    found = drift.compare_classes(before, now)
    assert found.share == pytest.approx(5 / 60, abs=0.01)
    assert drift.compare_classes(before, before).share == 0


@pytest.mark.parametrize("n", [50, 500, 5000, 100_000])
def test_unchanged_data_raise_no_alarm_more_often_than_promised(n):
    """The whole table, source by source, is made by bench/drift.py; here 1,000 comparisons with a fixed seed."""
    rng = np.random.default_rng(n)
    rates = [simulation.false_alarms(name, n, 200, rng)[0] for name in simulation.UNCHANGED]
    assert sum(rates) / len(rates) <= 0.01


@pytest.mark.parametrize("name", ["confidence 0.15 lower", "half goes to another class"])
def test_a_large_change_is_found_in_few_predictions(name):
    found, much = simulation.power(name, 100, 100, np.random.default_rng(1))
    assert found > 0.99
    assert much > 0.99


def test_a_change_of_no_account_is_no_drift_however_sure_it_is():
    before, now = simulation.CHANGED["confidence 0.02 lower"][0], simulation.confidence(14, 1.4, 0.004)
    rng = np.random.default_rng(1)
    found = simulation.compare("confidence", before(rng, 500_000), now(rng, 100_000))
    assert found.p < 1e-6
    assert found.moved < 0.1


def test_pooled_bins():
    assert drift.pooled([1, 2, 3, 4], 2) == [3, 7]
    assert math.fsum(drift.pooled(list(range(128)), 4)) == sum(range(128))
