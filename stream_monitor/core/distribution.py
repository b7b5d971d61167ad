"""Distributions that merge exactly: a log-scaled histogram and linear bins.

What lives here: counting a value into a bucket, merging, quantiles. What must not: names of measures, bytes.

Both keep a dictionary of bucket counts, the sum in integer millionths, the minimum and the maximum.
Merging adds integers and takes extremes, so it is exact, commutative and associative; the order in
which values or parts arrive leaves no trace.

`Histogram` is a DDSketch (Masson, Rim, Lee, VLDB 2019) with γ = 2^(2^-scale), whose buckets are those of
OpenTelemetry's exponential histogram: bucket `i` is `(γ^i, γ^(i+1)]`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext
from functools import cache
from itertools import accumulate
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

SCALE = 6
"""Buckets per power of two: 2**SCALE = 64, so γ = 2^(1/64) and a bucket is 1.09 % wide."""

GAMMA = 2.0 ** (2.0**-SCALE)
RELATIVE_ERROR = (GAMMA - 1.0) / (GAMMA + 1.0)
"""Of every quantile of a Histogram, inside the clamp: 0.00542."""

CLAMP_MIN, CLAMP_MAX = 1e-3, 1e10
"""Values are clamped to this range for their bucket only; sum, min and max keep the value."""

ZERO = -(1 << 30)
"""The key of the bucket that holds exact zeros; it sorts before every other."""

BINS = 128
"""Of a Linear distribution over [0, 1]. A power of two: `value * BINS` is exact, and so are the bins."""

MICRO = 1_000_000

_PER_OCTAVE = float(1 << SCALE)

_ROUNDING = 1e-6
"""A rank is a multiple of a thousandth; floating point misses it by less, up to a billion values."""


def _bounds() -> NDArray[np.float64]:
    """γ^i / 2 for an octave, as fractions of `frexp`: of each the largest double that is not above it."""
    with localcontext() as context:
        context.prec = 50
        exact = [Decimal(2) ** (Decimal(i) / (1 << SCALE)) / 2 for i in range(1 << SCALE)]
    nearest = [float(bound) for bound in exact]
    return np.array(
        [n if Decimal(n) <= e else math.nextafter(n, 0.0) for n, e in zip(nearest, exact, strict=True)]
    )


_BOUNDS = _bounds()


class Distribution:
    """Counts by bucket, with sum, min and max. Subclasses say which bucket a value belongs to."""

    __slots__ = ("counts", "max", "min", "sum_micro")

    quantiles: ClassVar[tuple[tuple[str, float], ...]]
    """Names and ranks of the quantiles that are published for this family."""

    def __init__(
        self,
        counts: dict[int, int] | None = None,
        sum_micro: int = 0,
        minimum: float = math.inf,
        maximum: float = -math.inf,
    ) -> None:
        self.counts = {} if counts is None else counts
        self.sum_micro = sum_micro
        self.min = minimum
        self.max = maximum

    @staticmethod
    def buckets(values: NDArray[np.float64]) -> NDArray[np.int64]:
        """The bucket of each of these finite values ≥ 0."""
        raise NotImplementedError

    def take(
        self, buckets: Sequence[int], times: Sequence[int], sum_micro: int, minimum: float, maximum: float
    ) -> None:
        """Add values: their distinct buckets, how often each; their sum in millionths, and their extremes."""
        mine = self.counts
        if mine:
            for bucket, count in zip(buckets, times, strict=True):
                mine[bucket] = mine.get(bucket, 0) + count
        else:
            mine.update(zip(buckets, times, strict=True))
        self.sum_micro += sum_micro
        if minimum < self.min:
            self.min = minimum
        if maximum > self.max:
            self.max = maximum

    @staticmethod
    def representative(bucket: int) -> float:
        """The value that stands for a bucket, before it is clamped to [min, max]."""
        raise NotImplementedError

    @property
    def count(self) -> int:
        """How many values were added."""
        return sum(self.counts.values())

    @property
    def sum(self) -> float:
        """Of all values, exact to a millionth each."""
        return self.sum_micro / MICRO

    @property
    def mean(self) -> float | None:
        """None where there are no values."""
        count = self.count
        return self.sum_micro / count / MICRO if count else None

    def merge(self, other: Self) -> None:
        """Add another distribution's values to this one; `other` stays as it is."""
        mine = self.counts
        for bucket, count in other.counts.items():
            mine[bucket] = mine.get(bucket, 0) + count
        self.sum_micro += other.sum_micro
        self.min = min(self.min, other.min)
        self.max = max(self.max, other.max)

    def quantile(self, q: float) -> float | None:
        """The nearest-rank quantile, `0 <= q <= 1`: of n sorted values the ceil(q·n)th, at least the first.

        Within the family's error of the exact one, and always in [min, max]. None where there are no values.
        """
        return self.at_quantiles((q,))[0]

    def ordered(self) -> tuple[list[int], list[int]]:
        """(buckets, how many values up to each), from the lowest bucket on."""
        buckets = sorted(self.counts)
        return buckets, list(accumulate(map(self.counts.__getitem__, buckets)))

    def named_quantiles(self, ordered: tuple[list[int], list[int]] | None = None) -> dict[str, float | None]:
        """The quantiles that are published for this family, by their names; `ordered` where it is at hand."""
        found = self.at_quantiles([rank for _, rank in self.quantiles], ordered)
        return {name: value for (name, _), value in zip(self.quantiles, found, strict=True)}

    def at_quantiles(
        self, qs: Iterable[float], ordered: tuple[list[int], list[int]] | None = None
    ) -> list[float | None]:
        """Several quantiles."""
        buckets, upto = ordered or self.ordered()
        if not upto:
            return [None for _ in qs]
        count, low, high, representative = upto[-1], self.min, self.max, self.representative
        found: list[float | None] = []
        for q in qs:
            value = representative(buckets[bisect_left(upto, math.ceil(q * count - _ROUNDING) or 1)])
            found.append(low if value < low else min(value, high))
        return found

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, Distribution)
        return (self.counts, self.sum_micro, self.min, self.max) == (
            other.counts,
            other.sum_micro,
            other.min,
            other.max,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(count={self.count}, sum={self.sum}, min={self.min}, max={self.max})"


class Histogram(Distribution):
    """Log-scaled: every quantile within RELATIVE_ERROR of the exact one. For latencies and durations."""

    __slots__ = ()
    quantiles = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))

    @staticmethod
    def buckets(values: NDArray[np.float64]) -> NDArray[np.int64]:
        """`i` with γ^i < clamped value <= γ^(i+1), exact to the last bit of the value; ZERO for 0."""
        fractions, exponents = np.frexp(np.clip(values, CLAMP_MIN, CLAMP_MAX))
        places = np.searchsorted(_BOUNDS, fractions, side="left")
        found = ((exponents.astype(np.int64) - 1) << SCALE) + places - 1
        return np.where(values == 0.0, ZERO, found)

    @staticmethod
    @cache
    def representative(bucket: int) -> float:
        """The point of the bucket that is equally far, relatively, from both its ends."""
        if bucket == ZERO:
            return 0.0
        return float(2.0 * 2.0 ** ((bucket + 1) / _PER_OCTAVE) / (GAMMA + 1.0))

    def downscaled(self) -> dict[int, int]:
        """The counts at half the resolution (scale - 1). Exact: bucket i goes into i // 2."""
        coarse: dict[int, int] = {}
        for bucket, count in self.counts.items():
            target = ZERO if bucket == ZERO else bucket >> 1
            coarse[target] = coarse.get(target, 0) + count
        return coarse


class Linear(Distribution):
    """BINS equal bins over [0, 1]: every quantile within half a bin (0.0039). For ratios."""

    __slots__ = ()
    quantiles = (("p5", 0.05), ("p50", 0.50))

    @staticmethod
    def buckets(values: NDArray[np.float64]) -> NDArray[np.int64]:
        """The bin of each of these values in [0, 1]."""
        return np.minimum((values * BINS).astype(np.int64), BINS - 1)

    @staticmethod
    def representative(bucket: int) -> float:
        """The middle of the bin."""
        return (bucket + 0.5) / BINS
