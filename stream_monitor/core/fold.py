"""Folding lines into windows: one batch of lines, many aggregates, each number of each aggregate touched once.

The lines are sorted by the aggregate that they belong to, so that every sum, minimum and maximum of every
aggregate is one slice of a column:

    slots   0 0 0 1 1 2        reduceat over the starts (0, 3, 5)
    values  5 1 2 9 8 7   ──▶  sums 8 17 7   minima 1 8 7   maxima 5 9 7

What comes out does not depend on how the lines are cut into batches: every field of an aggregate is a sum of
integers, an extreme, or a bounded choice by a total order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from stream_monitor.core import tally
from stream_monitor.core.aggregate import ERROR_EXEMPLARS, UNKNOWN_EXCEPTION, Aggregate
from stream_monitor.core.lines import NO_KEY, Floats, Ints, Lines, micros
from stream_monitor.core.record import Kind

_UINT16 = (1 << 16) - 1


class Groups:
    """Rows with the same key, as slices. `keys` of the groups ascend; a group keeps the order of its rows."""

    def __init__(self, keys: Ints) -> None:
        short = keys.astype(np.uint16) if keys.max() <= _UINT16 else keys  # numpy sorts these by their digits
        self.order = np.argsort(short, kind="stable")
        ordered = keys[self.order]
        self.starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        self.keys: list[int] = ordered[self.starts].tolist()
        self.sizes = np.diff(self.starts, append=len(keys))

    def places(self) -> Ints:
        """By row: which of the groups it belongs to."""
        places = np.empty(len(self.order), dtype=np.int64)
        places[self.order] = np.repeat(np.arange(len(self.keys)), self.sizes)
        return places

    def sums(self, column: Any) -> list[int]:
        """The sum of an integer column, by group."""
        sums: list[int] = np.add.reduceat(column[self.order], self.starts).tolist()
        return sums

    def extremes(self, column: Floats) -> tuple[Floats, Floats]:
        """(minima, maxima) of a column, by group."""
        ordered = column[self.order]
        return np.minimum.reduceat(ordered, self.starts), np.maximum.reduceat(ordered, self.starts)

    def where(self, column: Any, values: Any) -> Ints:
        """The rows that have their group's value."""
        rows: Ints = self.order[column[self.order] == np.repeat(values, self.sizes)]
        return rows


class _Batch:
    """Where the lines were read, and which aggregate each belongs to."""

    def __init__(
        self, aggregates: Sequence[Aggregate], slots: Ints, lines: Lines, partition: int, offsets: Ints
    ) -> None:
        self.aggregates = aggregates
        self.slots = slots
        self.lines = lines
        self.partition = partition
        self.offsets = offsets

    def place(self, row: int, value: float) -> tuple[float, int, int, int]:
        """The row as an exemplar."""
        return value, int(self.lines.timestamp_ms[row]), self.partition, int(self.offsets[row])


def fold(
    kind: Kind, aggregates: Sequence[Aggregate], slots: Ints, lines: Lines, partition: int, offsets: Ints
) -> None:
    """Count every line in the aggregate of its slot. `partition` and `offsets` are where they were read."""
    if not len(lines):
        return
    batch = _Batch(aggregates, slots, lines, partition, offsets)
    groups = Groups(slots)
    _fold_counts(batch, groups)
    for index, values in enumerate(lines.values):
        _fold_measure(kind, batch, groups, index, values)
    if lines.is_error.any():
        _fold_errors(batch)
    for row, name in lines.exceptions.items():
        tally.count(aggregates[slots[row]].exceptions, name)
    if lines.classes is not None:
        _fold_classes(batch, lines.classes)
    if lines.gauge_key is not None:
        _fold_gauges(kind, batch, lines.gauge_key)


def _fold_counts(batch: _Batch, groups: Groups) -> None:
    lines = batch.lines
    sizes = groups.sizes.tolist()
    of = sizes if lines.counted.all() else groups.sums(lines.counted.astype(np.int64))
    errors = groups.sums(lines.failed.astype(np.int64)) if lines.failed.any() else [0] * len(sizes)
    volumes = groups.sums(lines.volume_micro) if lines.volume_micro.any() else [0] * len(sizes)
    for slot, size, counted, failed, volume in zip(groups.keys, sizes, of, errors, volumes, strict=True):
        aggregate = batch.aggregates[slot]
        aggregate.records += size
        aggregate.of += counted
        aggregate.errors += failed
        aggregate.volume_micro += volume


def _fold_measure(kind: Kind, batch: _Batch, groups: Groups, index: int, values: Floats) -> None:
    missing = np.isnan(values)
    slots, rows = batch.slots, None
    if missing.any():
        rows = np.flatnonzero(~missing)
        if not len(rows):
            return
        slots, values = slots[rows], values[rows]
        groups = Groups(slots)
    sums = groups.sums(micros(values))
    minima, maxima = groups.extremes(values)
    pairs = _pairs(slots, kind.measures[index][1].buckets(values))
    for (slot, found, times), *extent in zip(pairs, sums, minima.tolist(), maxima.tolist(), strict=True):
        batch.aggregates[slot].measures[index].take(found, times, *extent)
    if index:
        return
    for row in groups.where(values, maxima).tolist():
        aggregate, value = batch.aggregates[slots[row]], float(values[row])
        if aggregate.slowest is None or value >= aggregate.slowest[0]:
            aggregate.keep_slowest(batch.place(row if rows is None else int(rows[row]), value))


def _pairs(slots: Ints, buckets: Ints) -> Iterator[tuple[int, list[int], list[int]]]:
    """(slot, buckets, how often each) of every slot; slots ascend."""
    low = int(buckets.min())
    width = int(buckets.max()) - low + 1
    pairs, counts = np.unique(slots * width + (buckets - low), return_counts=True)
    found, times = (pairs % width + low).tolist(), counts.tolist()
    owners = pairs // width
    starts = np.flatnonzero(np.concatenate(([True], owners[1:] != owners[:-1])))
    start_list = starts.tolist()
    for slot, start, end in zip(owners[starts].tolist(), start_list, [*start_list[1:], len(found)], strict=True):
        yield slot, found[start:end], times[start:end]


def _fold_errors(batch: _Batch) -> None:
    """Error records: how many, the latest as exemplars, and those that are of no type and counted nowhere."""
    lines = batch.lines
    rows = np.flatnonzero(lines.is_error)
    rows = rows[np.lexsort((batch.offsets[rows], lines.timestamp_ms[rows], batch.slots[rows]))]
    groups = Groups(batch.slots[rows])
    for slot, start, size in zip(groups.keys, groups.starts.tolist(), groups.sizes.tolist(), strict=True):
        aggregate = batch.aggregates[slot]
        aggregate.error_records += size
        latest = rows[max(start, start + size - ERROR_EXEMPLARS) : start + size].tolist()
        aggregate.keep_failures(batch.place(row, 0.0) for row in latest)
    for row in np.flatnonzero(lines.is_error & ~lines.counted).tolist():
        if row not in lines.exceptions:
            tally.count(batch.aggregates[batch.slots[row]].exceptions, UNKNOWN_EXCEPTION)


def _fold_classes(batch: _Batch, classes: Sequence[str | None]) -> None:
    names = list(dict.fromkeys(classes))
    numbers = {name: number for number, name in enumerate(names)}
    codes = np.fromiter(map(numbers.__getitem__, classes), np.int64, len(classes))
    for slot, found, times in _pairs(batch.slots, codes):
        counts = {name: n for code, n in zip(found, times, strict=True) if (name := names[code]) is not None}
        tally.merge(batch.aggregates[slot].classes, counts)


def _fold_gauges(kind: Kind, batch: _Batch, keys: Ints) -> None:
    rows = np.flatnonzero(keys != NO_KEY)
    if not len(rows):
        return
    distinct, codes = np.unique(keys[rows], return_inverse=True)
    groups = Groups(batch.slots[rows] * len(distinct) + codes)
    names = [str(key) for key in distinct.tolist()]
    places = [(batch.aggregates[group // len(distinct)], names[group % len(distinct)]) for group in groups.keys]
    times = batch.lines.timestamp_ms[rows][groups.order]
    for index, column in enumerate(batch.lines.gauges):
        values = column[rows][groups.order]
        found = _gauges(groups, times, values, is_rate=index == kind.rate_index)
        for (aggregate, name), gauge in zip(places, found, strict=True):
            if gauge[0] >= 0:
                aggregate.take_gauge(index, name, list(gauge))


def _gauges(groups: Groups, times: Ints, values: Floats, *, is_rate: bool) -> Iterator[tuple[Any, ...]]:
    """By group: (time of last, last by event time and then by value, max, and of the rate its sum and how many).

    The columns are in the groups' order. A group without any value has a negative time.
    """
    seen = ~np.isnan(values)
    if not seen.all():
        times, values = np.where(seen, times, -1), np.where(seen, values, -1.0)
    latest = np.maximum.reduceat(times, groups.starts)
    peaks = np.maximum.reduceat(values, groups.starts)
    is_latest = times == np.repeat(latest, groups.sizes)
    last = np.maximum.reduceat(np.where(is_latest, values, -1.0), groups.starts)
    sums: list[int] = [0] * len(groups.keys)
    sizes = sums
    if is_rate:
        sums = np.add.reduceat(micros(np.where(seen, values, 0.0)), groups.starts).tolist()
        sizes = np.add.reduceat(seen.astype(np.int64), groups.starts).tolist()
    return zip(latest.tolist(), last.tolist(), peaks.tolist(), sums, sizes, strict=True)
