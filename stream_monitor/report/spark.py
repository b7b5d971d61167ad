"""A line of bars for a row of values."""

from __future__ import annotations

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"
_ZERO = "."
_GAP = " "
_MOST = 60


def spark(values: Sequence[float | None], width: int = _MOST) -> str:
    """One mark for each value: a bar, a dot for a zero, a space for None.

    Of more values than `width` (60 at most) neighbours are put together: their mean, where one without
    a value counts for nothing.
    """
    step = -(-len(values) // min(width, _MOST))
    merged = [_mean(values[i : i + step]) for i in range(0, len(values), step)] if step else []
    top = max((value for value in merged if value is not None), default=0.0)
    return "".join(_mark(value, top) for value in merged) or "–"


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) / len(values) if found else None


def _mark(value: float | None, top: float) -> str:
    if value is None:
        return _GAP
    return _BARS[round(value / top * 7)] if value > 0 else _ZERO
