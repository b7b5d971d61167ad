"""How often the drift tests are wrong, and what they find: a simulation, as a Markdown table.

    python -m bench.drift [--runs N]

Unchanged: both samples come from one source, and every p below the threshold is a false alarm. Beside it what a
bare PSI > 0.1 over ten bins would have said of the same samples. Changed: how often a change of a size is found.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stream_monitor.core import drift
from stream_monitor.core.distribution import BINS

Rng = np.random.Generator
Draw = Callable[[Rng, int], NDArray[np.int64]]
"""(source of chance, n) → counts by bin or class."""

SIZES = (50, 100, 200, 500, 1000, 5000, 20_000, 100_000)
REFERENCE_TIMES = 20
"""The reference holds so many times the current sample (a day beside some minutes), at most MOST_REFERENCE."""
MOST_REFERENCE = 500_000


def confidence(a: float, b: float, shift: float = 0.0) -> Draw:
    """Confidences of a beta distribution, moved down."""
    edges = np.linspace(0, 1, 40_001)
    grid = (edges[1:] + edges[:-1]) / 2
    log = (a - 1) * np.log(grid) + (b - 1) * np.log1p(-grid)
    weight = np.exp(log - log.max())
    bins = np.minimum((np.clip(grid - shift, 0, 1) * BINS).astype(int), BINS - 1)
    p = np.bincount(bins, weights=weight, minlength=BINS)
    return multinomial(p / p.sum())


def classes(*weights: float) -> Draw:
    """Classes with these weights."""
    p = np.array(weights)
    return multinomial(p / p.sum())


def multinomial(p: NDArray[np.float64]) -> Draw:
    """Counts of n draws."""
    return lambda rng, n: rng.multinomial(n, p)


SURE, UNSURE = confidence(14, 1.4), confidence(3, 3)
MANY = tuple(1 / rank for rank in range(1, 41))
UNCHANGED = {
    "confidence, sure": SURE,
    "confidence, wide": UNSURE,
    "2 classes, 1 % and 99 %": classes(0.01, 0.99),
    "3 classes, equal": classes(1, 1, 1),
    "40 classes, Zipf": classes(*MANY),
}
CHANGED = {
    "confidence 0.02 lower": (SURE, confidence(14, 1.4, 0.02)),
    "confidence 0.05 lower": (SURE, confidence(14, 1.4, 0.05)),
    "confidence 0.15 lower": (SURE, confidence(14, 1.4, 0.15)),
    "a tenth goes to another class": (classes(1, 1, 1), classes(1.3, 0.85, 0.85)),
    "a quarter goes to another class": (classes(1, 1, 1), classes(1.75, 0.625, 0.625)),
    "half goes to another class": (classes(1, 1, 1), classes(2.5, 0.25, 0.25)),
}


def compare(name: str, before: NDArray[np.int64], now: NDArray[np.int64]) -> drift.Comparison:
    """By the test of the kind."""
    if name.startswith("confidence"):
        found = drift.compare_bins(_sparse(before), _sparse(now))
    else:
        found = drift.compare_classes(
            {str(k): v for k, v in _sparse(before).items()}, {str(k): v for k, v in _sparse(now).items()}
        )
    assert found is not None
    return found


def _sparse(counts: NDArray[np.int64]) -> dict[int, int]:
    return {int(i): int(counts[i]) for i in np.flatnonzero(counts)}


def psi(before: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    """The population stability index over ten bins of the reference, with the usual half for an empty one."""
    cuts = np.searchsorted(np.cumsum(before), np.arange(1, 10) * before.sum() / 10)
    place = np.searchsorted(np.unique(cuts), np.arange(before.size), side="left")
    b, n = np.bincount(place, weights=before), np.bincount(place, weights=now)
    p, q = np.maximum(b, 0.5) / before.sum(), np.maximum(n, 0.5) / now.sum()
    return float(((q - p) * np.log(q / p)).sum())


def reference(n: int) -> int:
    """How large the reference is."""
    return min(n * REFERENCE_TIMES, max(n, MOST_REFERENCE))


def false_alarms(name: str, n: int, runs: int, rng: Rng, *, equal: bool = False) -> tuple[float, float]:
    """(of the test, of a bare PSI > 0.1), as shares of the runs."""
    draw, fired, fired_psi = UNCHANGED[name], 0, 0
    for _ in range(runs):
        before, now = draw(rng, n if equal else reference(n)), draw(rng, n)
        fired += compare(name, before, now).moved > 0
        fired_psi += psi(before, now) > 0.1
    return fired / runs, fired_psi / runs


def power(name: str, n: int, runs: int, rng: Rng) -> tuple[float, float]:
    """(how often the change is found, how often it is found and at least a tenth has moved)."""
    before_of, now_of = CHANGED[name]
    kind = "confidence" if name.startswith("confidence") else "classes"
    found = [compare(kind, before_of(rng, reference(n)), now_of(rng, n)) for _ in range(runs)]
    return sum(c.moved > 0 for c in found) / runs, sum(c.moved >= 0.1 for c in found) / runs


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    runs, rng = parser.parse_args().runs, np.random.default_rng(1)
    print(f"False alarms of {runs} comparisons of unchanged data, in % (in brackets: of a bare PSI > 0.1)\n")
    print("| source | reference | " + " | ".join(f"n = {n:,}" for n in SIZES) + " |")
    print("|---|---|" + "---|" * len(SIZES))
    for name in UNCHANGED:
        for equal in (False, True):
            cells = [false_alarms(name, n, runs, rng, equal=equal) for n in SIZES]
            shown = [f"{100 * ours:.2f} ({100 * bare:.0f})" for ours, bare in cells]
            print(
                f"| {name} | {'n' if equal else f'{REFERENCE_TIMES} n'} | " + " | ".join(shown) + " |", flush=True
            )
    print(f"\nOf {max(200, runs // 10)} changes found, in % (in brackets: and at least a tenth has moved)\n")
    print("| change | " + " | ".join(f"n = {n:,}" for n in SIZES) + " |")
    print("|---|" + "---|" * len(SIZES))
    for name in CHANGED:
        cells = [power(name, n, max(200, runs // 10), rng) for n in SIZES]
        print(f"| {name} | " + " | ".join(f"{100 * a:.0f} ({100 * b:.0f})" for a, b in cells) + " |", flush=True)
    worst = math.sqrt(0.01 * 0.99 / runs)
    print(f"\nThe standard error of a rate of 1 % is {100 * worst:.2f} %.")


if __name__ == "__main__":
    main()
