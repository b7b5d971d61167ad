"""Results of one kind as one: a row, or several rows put together at the first question.

What a part costs to decode is paid when somebody asks for its aggregate, and not before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stream_monitor.core.aggregate import Aggregate, merged
from stream_monitor.core.record import Kind


class Part(Protocol):
    """Some results of one kind as one: a row, or several."""

    @property
    def records(self) -> int:
        """Log lines folded."""

    @property
    def errors(self) -> int:
        """Of `of`."""

    @property
    def of(self) -> int:
        """What could have failed."""

    @property
    def volume(self) -> float:
        """In the kind's unit."""

    @property
    def last_ms(self) -> int:
        """Start of its latest minute that may have data."""

    @property
    def aggregate(self) -> Aggregate:
        """All of it; not to be changed by whoever asks."""


class Row(Part, Protocol):
    """One window's result; never changes, it is replaced."""

    @property
    def start_ms(self) -> int:
        """The window is [start_ms, start_ms + size_ms)."""

    @property
    def size_ms(self) -> int:
        """One of SIZES_MS."""

    @property
    def final(self) -> bool:
        """The window has closed."""


class Merged:
    """Several parts as one. The aggregate is made at the first question."""

    __slots__ = ("_kind", "_whole", "errors", "last_ms", "of", "parts", "records", "volume")

    def __init__(self, kind: Kind, parts: Sequence[Part]) -> None:
        self._kind = kind
        self.parts = parts
        self._whole: Aggregate | None = None
        self.records = sum(part.records for part in parts)
        self.errors = sum(part.errors for part in parts)
        self.of = sum(part.of for part in parts)
        self.volume = sum(part.volume for part in parts)
        self.last_ms = max(part.last_ms for part in parts)

    @property
    def is_ready(self) -> bool:
        """Its aggregate is there."""
        return self._whole is not None

    @property
    def aggregate(self) -> Aggregate:
        """All of it; not to be changed by whoever asks."""
        if self._whole is None:
            self._whole = merged(self._kind, (part.aggregate for part in self.parts))
        return self._whole


@dataclass(frozen=True, slots=True)
class Sums:
    """What a range's parts add up to; of the errors, None stands for nothing counted."""

    records: int = 0
    errors: int = 0
    of: int = 0
    volume: float = 0.0

    @property
    def error_ratio(self) -> float | None:
        """errors / of; None where nothing was counted."""
        return self.errors / self.of if self.of else None

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.records + other.records,
            self.errors + other.errors,
            self.of + other.of,
            self.volume + other.volume,
        )


def sums_of(parts: Iterable[Part | None]) -> Sums:
    """What the parts add up to; None adds nothing."""
    found = [part for part in parts if part is not None]
    return Sums(
        sum(part.records for part in found),
        sum(part.errors for part in found),
        sum(part.of for part in found),
        sum(part.volume for part in found),
    )
