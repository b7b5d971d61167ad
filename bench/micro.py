"""The pieces by themselves, beside libraries that do the same: counting values, merging, quantiles, decoding.

make bench-micro (pytest-benchmark). A batch is 5,000 values or lines, as the worker takes them; a window of a busy
series holds some thousands, of most some tens.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import datasketches
import numpy as np
import orjson
import pytest
from ddsketch import DDSketch

from bench.load import record
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.distribution import MICRO, RELATIVE_ERROR, Histogram
from stream_monitor.core.fold import fold
from stream_monitor.kinds import KINDS

BATCH = 5000
VALUES = np.random.default_rng(1).lognormal(3.2, 0.5, BATCH).round(1)
RANKS = [0.5, 0.95, 0.99]
NOW_MS = 1_705_314_600_000


def histogram(values: Any = VALUES) -> Histogram:
    buckets, times = np.unique(Histogram.buckets(values), return_counts=True)
    found = Histogram()
    total = round(float(values.sum()) * MICRO)
    found.take(buckets.tolist(), times.tolist(), total, float(values.min()), float(values.max()))
    return found


def ddsketch(values: Any = VALUES) -> DDSketch:
    found = DDSketch(RELATIVE_ERROR)
    for value in values.tolist():
        found.add(value)
    return found


def kll(values: Any = VALUES) -> Any:
    found = datasketches.kll_doubles_sketch(200)
    found.update(values)
    return found


def tdigest(values: Any = VALUES) -> Any:
    found = datasketches.tdigest_double(100)
    found.update(values)
    return found


SKETCHES: dict[str, Callable[..., Any]] = {
    "stream-monitor": histogram, "ddsketch": ddsketch, "datasketches-kll": kll, "datasketches-tdigest": tdigest,
}  # fmt: skip


@pytest.mark.parametrize("make", SKETCHES.values(), ids=list(SKETCHES))
@pytest.mark.benchmark(group="count 5,000 values")
def test_count(benchmark: Any, make: Callable[..., Any]) -> None:
    benchmark(make)


@pytest.mark.parametrize("make", SKETCHES.values(), ids=list(SKETCHES))
@pytest.mark.benchmark(group="count 50 values")
def test_count_few(benchmark: Any, make: Callable[..., Any]) -> None:
    benchmark(make, VALUES[:50])


@pytest.mark.parametrize("make", SKETCHES.values(), ids=list(SKETCHES))
@pytest.mark.benchmark(group="merge 50 values into 5,000")
def test_merge(benchmark: Any, make: Callable[..., Any]) -> None:
    whole, part = make(), make(VALUES[:50])
    benchmark(whole.merge, part)


@pytest.mark.parametrize("make", SKETCHES.values(), ids=list(SKETCHES))
@pytest.mark.benchmark(group="three quantiles of 5,000 values")
def test_quantiles(benchmark: Any, make: Callable[..., Any]) -> None:
    whole = make()
    if isinstance(whole, Histogram):
        found = benchmark(whole.at_quantiles, RANKS)
    elif isinstance(whole, DDSketch):
        found = benchmark(lambda: [whole.get_quantile_value(rank) for rank in RANKS])
    else:
        found = benchmark(lambda: [whole.get_quantile(rank) for rank in RANKS])
    if isinstance(whole, Histogram | DDSketch):  # the others bound the rank, not the value
        assert np.allclose(found, np.quantile(VALUES, RANKS, method="inverted_cdf"), rtol=RELATIVE_ERROR * 1.01)


def lines(kind: str) -> list[bytes | None]:
    chance = random.Random(1)
    return [orjson.dumps(record(chance, kind, chance.randrange(100), NOW_MS + n)[1]) for n in range(BATCH)]


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("how", ["stream-monitor", "orjson"])
@pytest.mark.benchmark(group="decode 5,000 lines")
def test_decode(benchmark: Any, kind: str, how: str) -> None:
    values, kafka_ms = lines(kind), np.full(BATCH, NOW_MS)
    if how == "orjson":
        benchmark(lambda: [orjson.loads(value) for value in values])  # type: ignore[arg-type]  # none is None
    else:
        assert len(benchmark(KINDS[kind].decode, values, kafka_ms).lines) == BATCH


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("windows", [1, 100, 1000])
@pytest.mark.benchmark(group="fold 5,000 lines into so many windows")
def test_fold(benchmark: Any, kind: str, windows: int) -> None:
    columns = KINDS[kind].decode(lines(kind), np.full(BATCH, NOW_MS)).lines
    slots, offsets = np.arange(BATCH) % windows, np.arange(BATCH)

    def run() -> None:
        fold(KINDS[kind], [Aggregate.empty(KINDS[kind]) for _ in range(windows)], slots, columns, 0, offsets)

    benchmark(run)
