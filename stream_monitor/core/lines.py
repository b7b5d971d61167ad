"""Decoded log lines in columns: what a kind makes of a fetched batch, and what is folded into windows.

    row │ labels        timestamp_ms  is_error  counted  values[0]  …
     0  │ group-7 events     …600120     False     True       25.5
     1  │ group-3 events     …600121     False     True        nan     nan is "not in this line"

A column costs a few nanoseconds a line where a record of its own costs a microsecond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.core.distribution import MICRO

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Micros = NDArray[Any]
"""Integer millionths: int64, or Python's integers where the sum of a column might not fit."""

_SAFE = 2.0**62
NO_KEY = -1


@dataclass(slots=True)
class Lines:
    """Log lines of one kind, in their order. All columns are of one length.

    `values` are parallel to the kind's measures, `gauges` to its gauges.
    """

    labels: tuple[Sequence[str], ...]
    """A column for each label of the kind, as they were logged: of any length."""
    timestamp_ms: Ints
    is_error: Bools
    """Its level is ERROR, CRITICAL or FATAL."""
    counted: Bools
    """It counts in `of`: a run, a report, a prediction."""
    failed: Bools
    """It counts in `errors`; only where it is counted."""
    volume_micro: Micros
    values: tuple[Floats, ...] = ()
    gauge_key: Ints | None = None
    """What the gauges are of (a partition); NO_KEY where the line has none."""
    gauges: tuple[Floats, ...] = ()
    classes: Sequence[str | None] | None = None
    exceptions: Mapping[int, str] = field(default_factory=dict)
    """By row: the type that it names. Most rows name none."""

    def __len__(self) -> int:
        return len(self.timestamp_ms)

    def take(self, rows: Ints) -> Lines:
        """Only these rows, in this order."""
        chosen = rows.tolist()
        place = {row: new for new, row in enumerate(chosen)} if self.exceptions else {}
        return Lines(
            labels=tuple([column[row] for row in chosen] for column in self.labels),
            timestamp_ms=self.timestamp_ms[rows],
            is_error=self.is_error[rows],
            counted=self.counted[rows],
            failed=self.failed[rows],
            volume_micro=self.volume_micro[rows],
            values=tuple(column[rows] for column in self.values),
            gauge_key=None if self.gauge_key is None else self.gauge_key[rows],
            gauges=tuple(column[rows] for column in self.gauges),
            classes=None if self.classes is None else [self.classes[row] for row in chosen],
            exceptions={place[row]: name for row, name in self.exceptions.items() if row in place},
        )


def micros(values: Floats) -> Micros:
    """`round(value * 1e6)` of finite values, half to even, summable without overflow."""
    scaled = values * MICRO
    if not len(values) or float(np.abs(scaled).max()) * len(values) < _SAFE:
        return np.rint(scaled).astype(np.int64)
    return np.array([round(value) for value in scaled.tolist()], dtype=object)
