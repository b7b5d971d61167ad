"""Laws of the distributions, against numpy, ddsketch, and boundaries computed to 60 digits."""

from __future__ import annotations

import bisect
import functools
import math
import operator
from decimal import Decimal, getcontext

import ddsketch
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.core.distribution import (
    BINS,
    CLAMP_MAX,
    CLAMP_MIN,
    MICRO,
    RELATIVE_ERROR,
    ZERO,
    Histogram,
    Linear,
)

getcontext().prec = 60
QS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)
inside = st.floats(CLAMP_MIN, CLAMP_MAX)
edges = st.sampled_from([0.0, CLAMP_MIN, CLAMP_MAX, 1.0, 2.0, 4.0, 0.5, 1024.0, 2.0**-9, 1.5])
values = st.lists(st.floats(0, 1e15) | edges, max_size=200)
ratios = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.5, 0.29, 1 / 128]), max_size=200)


def filled(family, data):
    sketch = family()
    for value in data:
        add(sketch, value)
    return sketch


def add(sketch, value):
    """One value."""
    (bucket,) = sketch.buckets(np.array([value])).tolist()
    sketch.take([bucket], [1], round(value * MICRO), value, value)


def bucket_of(value):
    """Of a Histogram."""
    return int(Histogram.buckets(np.array([value]))[0])


@pytest.mark.parametrize(("family", "data"), [(Histogram, values), (Linear, ratios)])
class TestLaws:
    def test_merge_of_parts_in_any_grouping_is_the_whole(self, family, data):
        @given(data, st.lists(st.integers(0, 3)), st.randoms(use_true_random=False))
        def law(numbers, places, rng):
            parts = [[] for _ in range(4)]
            for index, number in enumerate(numbers):
                parts[places[index % len(places)] if places else 0].append(number)
            sketches = [filled(family, part) for part in parts]
            rng.shuffle(sketches)
            while len(sketches) > 1:
                one = sketches.pop(rng.randrange(len(sketches)))
                sketches[rng.randrange(len(sketches))].merge(one)
            assert sketches[0] == filled(family, numbers)

        law()

    def test_merging_leaves_the_other_as_it_is(self, family, data):
        @given(data, data)
        def law(one, two):
            left, right = filled(family, one), filled(family, two)
            left.merge(right)
            add(left, 0.5)
            assert right == filled(family, two)

        law()

    def test_quantiles_ascend_and_lie_between_min_and_max(self, family, data):
        @given(data.filter(len))
        def law(numbers):
            found = filled(family, numbers).at_quantiles(QS)
            assert found == sorted(found)
            assert min(numbers) <= found[0] <= found[-1] <= max(numbers)

        law()


@given(st.lists(inside | st.just(0.0), min_size=1, max_size=300))
def test_every_quantile_is_within_the_bound_of_the_exact_one(numbers):
    sketch = filled(Histogram, numbers)
    for q in QS:
        exact = np.quantile(np.array(numbers), q, method="inverted_cdf")
        assert abs(sketch.quantile(q) - exact) <= exact * RELATIVE_ERROR * (1 + 1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
def test_every_quantile_of_ratios_is_within_half_a_bin(numbers):
    sketch = filled(Linear, numbers)
    for q in QS:
        exact = np.quantile(np.array(numbers), q, method="inverted_cdf")
        assert abs(sketch.quantile(q) - exact) <= 0.5 / BINS + 1e-12


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=200))
def test_agrees_with_the_ddsketch_package_within_both_bounds(numbers):
    theirs = ddsketch.DDSketch(RELATIVE_ERROR)
    for number in numbers:
        theirs.add(number)
    ours = filled(Histogram, numbers)
    for q in (0.0, 0.5, 1.0):
        exact = sorted(numbers)[max(1, math.ceil(q * len(numbers))) - 1]
        lower = sorted(numbers)[int(q * (len(numbers) - 1))]  # their rank of a quantile
        assert abs(ours.quantile(q) - exact) <= exact * RELATIVE_ERROR * (1 + 1e-9)
        assert abs(theirs.get_quantile_value(q) - lower) <= lower * RELATIVE_ERROR * (1 + 1e-6)


LOWEST = -700


@functools.cache
def boundaries():
    return [Decimal(2) ** (Decimal(i) / 64) for i in range(LOWEST, 2200)]


@given(inside | edges.filter(bool))
def test_a_bucket_holds_what_lies_above_its_lower_bound_up_to_its_upper(value):
    clamped = Decimal(min(max(value, CLAMP_MIN), CLAMP_MAX))
    assert bucket_of(value) == bisect.bisect_left(boundaries(), clamped) - 1 + LOWEST


@given(st.integers(-600, 2100), st.integers(-2, 2))
def test_a_double_beside_a_boundary_is_in_its_bucket(index, steps):
    value = float(boundaries()[index - LOWEST])
    for _ in range(abs(steps)):
        value = math.nextafter(value, math.inf if steps > 0 else 0.0)
    assert bucket_of(value) == bisect.bisect_left(boundaries(), Decimal(value)) - 1 + LOWEST


def test_powers_of_two_are_the_upper_ends_of_their_buckets():
    for power in range(-9, 33):
        assert bucket_of(2.0**power) == power * 64 - 1
        assert bucket_of(math.nextafter(2.0**power, math.inf)) >= power * 64 - 1


@given(st.lists(inside | st.just(0.0), max_size=100))
def test_half_the_scale_is_the_histogram_of_that_scale(numbers):
    coarse: dict[int, int] = {}
    for number in numbers:
        bucket = ZERO if number == 0 else math.ceil(math.log2(number) * 32) - 1
        coarse[bucket] = coarse.get(bucket, 0) + 1
    assert filled(Histogram, numbers).downscaled() == coarse


def test_sum_min_and_max_keep_what_the_clamp_hides():
    sketch = filled(Histogram, [1e-7, 5e12])
    assert (sketch.min, sketch.max, sketch.sum) == (1e-7, 5e12, 5e12)
    assert sketch.counts == {bucket_of(CLAMP_MIN): 1, bucket_of(CLAMP_MAX): 1}


def test_nothing_is_none_and_one_value_is_every_quantile():
    assert Histogram().quantile(0.5) is None
    assert Histogram().mean is None
    assert filled(Histogram, [17.25]).at_quantiles(QS) == [17.25] * len(QS)


def test_ranks_stay_exact_for_ten_million_values():
    sketch = Histogram({0: 9_900_000, 64: 100_000}, 0, 1.5, 2.5)
    assert sketch.quantile(0.99) < 2 < sketch.quantile(0.9900001)


def test_merge_is_a_sum_of_integers():
    parts = [filled(Histogram, [0.1] * 10) for _ in range(3)]
    whole = functools.reduce(lambda a, b: (a.merge(b), a)[1], parts, Histogram())
    assert whole.sum_micro == 3_000_000
    assert whole.count == functools.reduce(operator.add, (p.count for p in parts))
