"""Laws of the aggregate, for every kind: incremental = batch = merge in any order and grouping; a round trip
through bytes changes nothing; an hour is its minutes."""

from __future__ import annotations

import copy
import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor import wire
from stream_monitor.core import tally
from stream_monitor.core.aggregate import MAX_GAUGE_KEYS, Aggregate, merged
from stream_monitor.core.fold import fold
from stream_monitor.core.metric import Metric
from stream_monitor.core.record import OTHER, Kind
from stream_monitor.kinds import KINDS
from tests.lines import Record, columns, fold_all, fold_one

numbers = st.floats(0, 1e15) | st.sampled_from([0.0, 1.0, 1e10])
names = st.text(min_size=1, max_size=3)


@st.composite
def records(draw, kind: Kind):
    """Any record that the kind could make; labels and times of one window."""
    counted = draw(st.booleans())
    values = [draw(st.none() | (numbers if n != "confidence" else st.floats(0, 1))) for n, _ in kind.measures]
    keyed = bool(kind.gauges) and draw(st.booleans())
    return Record(
        labels=("a", "b"),
        timestamp_ms=1_705_314_600_000 + draw(st.integers(0, 59_999)),
        is_error=draw(st.booleans()),
        counted=counted,
        failed=counted and draw(st.booleans()),
        volume_micro=draw(st.integers(0, 10**21)),
        exception=draw(st.none() | names),
        values=tuple(values),
        gauge_key=draw(st.integers(0, 1)) if keyed else None,
        gauges=tuple(draw(st.none() | numbers) for _ in kind.gauges),
        label=draw(st.none() | names) if kind.classes else None,
    )


def folded(kind, items):
    """In small pieces: of one, of two, of five."""
    whole, start = Aggregate.empty(kind), 0
    for size in itertools.cycle((1, 2, 5)):
        piece = items[start : start + size]
        if not piece:
            return whole
        offsets = np.array([offset for offset, _ in piece])
        lines = columns(kind, [record for _, record in piece])
        fold(kind, [whole], np.zeros(len(piece), np.int64), lines, 3, offsets)
        start += size
    raise AssertionError


def one_by_one(kind, items):
    """Each line by itself."""
    whole = Aggregate.empty(kind)
    for offset, record in items:
        fold_one(whole, kind, columns(kind, [record]), 3, offset)
    return whole


LAWS = []
law = LAWS.append
"""Of any list of records of a kind: a function of (kind, (offset, record)s, a source of chance)."""


@pytest.mark.parametrize("examples", [15, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_the_laws(kind, examples):
    """Together, because most of the time goes into making up the records."""

    @settings(max_examples=examples)
    @given(st.lists(records(kind), max_size=25), st.integers(0, 1 << 32))
    def run(items, seed):
        for check in LAWS:
            check(kind, list(enumerate(items)), random.Random(seed))

    run()


@law
def folding_a_batch_is_folding_its_lines_one_by_one(kind, items, _):
    assert fold_all(kind, items) == folded(kind, items) == one_by_one(kind, items)


@law
def a_batch_goes_into_as_many_windows_as_it_has_lines_for(kind, items, rng):
    slots = [rng.randrange(4) for _ in items]
    windows = [Aggregate.empty(kind) for _ in range(4)]
    lines = columns(kind, [record for _, record in items])
    fold(kind, windows, np.array(slots, np.int64), lines, 3, np.arange(len(items)))
    mine = [[item for slot, item in zip(slots, items, strict=True) if slot == n] for n in range(4)]
    assert windows == [folded(kind, part) for part in mine]


@law
def merge_of_parts_in_any_order_and_grouping_is_the_whole(kind, items, rng):
    parts = [[], [], []]
    for item in items:
        parts[rng.randrange(3)].append(item)
    rng.shuffle(parts)
    whole = folded(kind, items)
    one, two, three = (folded(kind, part) for part in parts)
    assert merged(kind, [one, two, three]) == whole
    assert merged(kind, [three, merged(kind, [two, one])]) == whole


@law
def the_order_of_records_leaves_no_trace(kind, items, rng):
    shuffled = items.copy()
    rng.shuffle(shuffled)
    assert folded(kind, shuffled) == folded(kind, items)


@law
def a_merge_changes_and_shares_nothing_of_its_parts(kind, items, _):
    part = folded(kind, items)
    before = copy.deepcopy(part)
    whole = merged(kind, [part])
    whole.merge(fold_all(kind, items, 1))
    whole.merge(part)
    whole.settle()
    assert part == before


@law
def a_round_trip_through_internal_bytes_changes_nothing(kind, items, _):
    whole = folded(kind, items)
    packed = wire.aggregate_out(whole)
    assert wire.aggregate_in(kind, packed) == whole
    partial = wire.Partial(kind.name, b"series", 1_705_314_600_000, 3, 99, whole.records, packed)
    assert wire.partials_in(wire.partial_out(partial)) == partial


@law
def a_metric_comes_back_from_its_json(kind, items, _):
    if not items or any(v and v > 1e9 for _, r in items for v in (*r.values, *r.gauges)):
        return  # JSON's doubles hold sums of millionths up to 2^53
    whole = folded(kind, [(o, replace(r, volume_micro=o)) for o, r in items])
    whole.settle()
    if whole.volume_micro > 2**52:
        return
    for failure in range(len(whole.failures)):
        assert whole.failures[failure][0] == 0.0
    metric = Metric(kind, ("a", "b"), 1_705_314_600_000, 60_000, True, whole)
    assert wire.metric_from(wire.metric_value(metric, "t"), KINDS) == metric


@law
def an_hour_is_its_settled_minutes_in_any_order(kind, items, rng):
    minutes = [folded(kind, items[start::4]) for start in range(4)]
    for minute in minutes:
        minute.settle()
    hour = merged(kind, minutes)
    rng.shuffle(minutes)
    assert merged(kind, minutes) == hour
    assert hour.volume_micro == sum(minute.volume_micro for minute in minutes)
    assert hour.settled_volume_micro() == hour.volume_micro


@given(st.lists(st.text(max_size=4), max_size=300), st.randoms(use_true_random=False))
def test_a_tally_is_bounded_exact_in_what_it_keeps_and_forgets_no_count(words, rng):
    words = [word for word in words if word != OTHER]
    whole: dict[str, int] = {}
    for word in words:
        tally.count(whole, word)
    parts = [{}, {}, {}]
    shuffled = words.copy()
    rng.shuffle(shuffled)
    for word in shuffled:
        tally.count(parts[rng.randrange(3)], word)
    joined: dict[str, int] = {}
    for part in parts:
        tally.merge(joined, part)
    assert joined == whole
    assert len(whole) <= tally.MAX_NAMES + 1
    assert sum(whole.values()) == len(words)
    assert all(times == words.count(word) for word, times in whole.items() if word != OTHER)


def test_a_tally_over_its_bound_is_the_same_in_any_order():
    words = [f"Error{i}" for i in range(200) for _ in range(i % 3 + 1)]
    results = []
    for seed in range(5):
        random.Random(seed).shuffle(words)
        whole: dict[str, int] = {}
        for word in words:
            tally.count(whole, word)
        results.append(whole)
    assert all(result == results[0] for result in results)
    assert len(results[0]) == tally.MAX_NAMES + 1


def gauged(key, at, rate):
    return Record(
        labels=("g", "t"), timestamp_ms=1_705_314_600_000 + at, is_error=False, counted=True, failed=False,
        volume_micro=0, exception=None, values=(None,), gauge_key=key, gauges=(1.0, float(rate)), label=None,
    )  # fmt: skip


def test_more_partitions_than_are_told_apart_are_one_in_any_order():
    kind = KINDS["kafka"]
    items = [(n, gauged(n % 700, n % 60_000, n)) for n in range(2100)]
    whole = folded(kind, items)
    shuffled = items.copy()
    random.Random(1).shuffle(shuffled)
    assert fold_all(kind, shuffled) == whole
    assert merged(kind, [fold_all(kind, shuffled[i::3]) for i in range(3)]) == whole
    for gauge in whole.gauges:
        assert len(gauge) == MAX_GAUGE_KEYS + 1
        assert OTHER in gauge
    assert sum(value[4] for value in whole.gauges[1].values()) == 2100
    assert len(wire.aggregate_out(whole)) < 50_000
