"""A published result: one window of one series, as every view reads it."""

from __future__ import annotations

from dataclasses import dataclass

from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.record import Kind
from stream_monitor.core.window import MINUTE_MS

SeriesId = tuple[str, tuple[str, ...]]
"""(kind name, labels): what identifies a series."""


@dataclass(slots=True)
class Metric:
    """One window's result. `revision` is the number of records folded into it."""

    kind: Kind
    labels: tuple[str, ...]
    start_ms: int
    size_ms: int
    final: bool
    aggregate: Aggregate

    @property
    def series(self) -> SeriesId:
        """Its series' identity."""
        return (self.kind.name, self.labels)

    @property
    def entity(self) -> str:
        """Its series' name for people."""
        return self.kind.entity(self.labels)

    @property
    def revision(self) -> int:
        """Grows with every record folded; the highest (revision, final) of a key wins."""
        return self.aggregate.records

    @property
    def end_ms(self) -> int:
        """The window is [start_ms, end_ms)."""
        return self.start_ms + self.size_ms

    @property
    def volume(self) -> float:
        """In the kind's unit: records processed, messages, predictions."""
        return self.aggregate.settled_volume_micro(MINUTE_MS // 1000) / 1_000_000

    def supersedes(self, other: Metric) -> bool:
        """Of two results with the same key, which one to keep; an equal one replaces nothing."""
        return (self.revision, self.final) > (other.revision, other.final)
