"""Has what a model says changed? Two samples of counts, a test whose threshold knows how large they are.

A fixed threshold on a distance (PSI > 0.1) fires most of the time at n = 100, where chance alone moves that
much, and sees nothing at n = 100,000 but what it was set for. So two questions are asked, and both must be
answered with yes:

    Is it more than chance?   a chi-square test of homogeneity: p < ALPHA, at any n
    Is it much?               the share that has moved (total variation distance) >= a rule's threshold

The test compares what both samples hold of each cell with what they would hold if they were one. Its
distribution is only right where cells are not too small, so cells are pooled until each is expected to hold
LEAST_EXPECTED in both samples: neighbouring bins of a ratio; of classes the rare ones, together. Two cells are
corrected by Yates.

docs/explanation/drift.md shows how often it is wrong, and what it finds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from stream_monitor.core import tally
from stream_monitor.core.record import OTHER

LEAST = 50
"""Of a sample of fewer nothing is said."""
LEAST_EXPECTED = 5.0
MAX_CELLS = 16
"""A ratio's bins are pooled to at most so many cells, about equally full: more of them find less."""
ALPHA = 1e-3
"""How often unchanged data are called changed, at most. A model is looked at some hundred times a day."""


class Comparison(NamedTuple):
    """What a test says."""

    p: float
    """How likely samples of one source differ at least so much."""
    share: float
    """Of the current sample, how much lies in other cells than before: 0 the same, 1 nothing in common."""
    cells: int

    @property
    def moved(self) -> float:
        """The share, where it is more than chance; else 0."""
        return self.share if self.p < ALPHA else 0.0


Pairs = list[tuple[int, int]]
"""(count before, count now) of each cell."""


def compare_bins(before: Mapping[int, int], now: Mapping[int, int]) -> Comparison | None:
    """Two samples of a ratio by bin. None where one is smaller than LEAST."""
    pairs = [(before.get(bin_, 0), now.get(bin_, 0)) for bin_ in sorted({*before, *now})]
    return _compare(pairs, _neighbours)


def compare_classes(before: Mapping[str, int], now: Mapping[str, int]) -> Comparison | None:
    """Two samples of classes by name (tallies of core/tally.py). None where one is smaller than LEAST."""
    before, now = _alike(before, now)
    pairs = [(before.get(name, 0), now.get(name, 0)) for name in sorted({*before, *now})]
    return _compare(pairs, _rare)


def _alike(before: Mapping[str, int], now: Mapping[str, int]) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """The same names in both: where some were put together as OTHER, a name that one has may be in the other's."""
    names = {*before, *now}
    rest = tally.dropped(names, tally.MAX_NAMES) if OTHER in names else ()
    return (before, now) if not rest else (_together(before, rest), _together(now, rest))


def _together(counts: Mapping[str, int], rest: Iterable[str]) -> dict[str, int]:
    kept = dict(counts)
    kept[OTHER] = kept.get(OTHER, 0) + sum(kept.pop(name, 0) for name in rest)
    return kept


def _compare(pairs: Pairs, pool: Callable[[Pairs, float], Pairs]) -> Comparison | None:
    before, now = _sums(pairs)
    if before < LEAST or now < LEAST:
        return None
    needed = LEAST_EXPECTED * (before + now) / min(before, now)  # of both samples together, in each cell
    cells = pool(pairs, needed)
    if len(cells) < 2:
        return Comparison(1.0, 0.0, len(cells))
    return Comparison(_p(cells, before, now), _share(cells, before, now), len(cells))


def _sums(pairs: Pairs) -> tuple[int, int]:
    return sum(b for b, _ in pairs), sum(n for _, n in pairs)


def _neighbours(pairs: Pairs, needed: float) -> Pairs:
    """Neighbouring bins together, until each cell holds what is needed and there are at most MAX_CELLS."""
    needed = max(needed, sum(_sums(pairs)) / MAX_CELLS)
    cells: Pairs = []
    before = now = 0
    for b, n in pairs:
        before, now = before + b, now + n
        if before + now >= needed:
            cells.append((before, now))
            before = now = 0
    if cells and before + now:  # too little is left: it goes to the last cell
        cells[-1] = (cells[-1][0] + before, cells[-1][1] + now)
    return cells


def _rare(pairs: Pairs, needed: float) -> Pairs:
    """The rare ones together; where that is still too little, with the rarest of the others."""
    ordered = sorted(pairs, key=sum)
    before = now = 0
    while ordered and (sum(ordered[0]) < needed or 0 < before + now < needed):
        b, n = ordered.pop(0)
        before, now = before + b, now + n
    return [*ordered, (before, now)] if before + now else ordered


def _p(cells: Pairs, before: int, now: int) -> float:
    whole = before + now
    yates = 0.5 if len(cells) == 2 else 0.0
    statistic = 0.0
    for b, n in cells:
        expected_before, expected_now = (b + n) * before / whole, (b + n) * now / whole
        off = max(0.0, abs(b - expected_before) - yates)
        statistic += off * off * (1 / expected_before + 1 / expected_now)
    return chi_square_tail(statistic, len(cells) - 1)


def _share(cells: Pairs, before: int, now: int) -> float:
    return sum(abs(b / before - n / now) for b, n in cells) / 2


def chi_square_tail(statistic: float, freedom: int) -> float:
    """P(a chi-square variable with so many degrees of freedom exceeds the statistic).

    The regularised upper incomplete gamma function Q(freedom / 2, statistic / 2), in its closed forms: for an even
    number e^-x · sum x^i / i!, for an odd one erfc(sqrt x) and a sum over the half-integers (Abramowitz and Stegun
    26.4.4, 26.4.5).
    """
    x = statistic / 2
    if x <= 0:
        return 1.0
    if freedom % 2 == 0:
        term, total = 1.0, 1.0
        for i in range(1, freedom // 2):
            term *= x / i
            total += term
        return min(1.0, math.exp(-x) * total)
    total = math.erfc(math.sqrt(x))
    term = math.exp(-x) * math.sqrt(x) * 2 / math.sqrt(math.pi)
    for i in range(1, (freedom - 1) // 2 + 1):
        total += term
        term *= x / (i + 0.5)
    return min(1.0, total)


def pooled(bins: Sequence[int], by: int) -> list[int]:
    """A dense sample of bins with `by` neighbours in one."""
    return [sum(bins[start : start + by]) for start in range(0, len(bins), by)]
