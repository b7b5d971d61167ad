"""A metrics record as a row of a timeline: the few numbers of a time line at once, the rest when asked for.

What is kept of the rest is the public record until the first question, then the internal form, a fifth as long.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream_monitor import wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.metric import SeriesId
from stream_monitor.core.record import Kind
from stream_monitor.core.window import MINUTE_MS, SIZES_MS

_JSON = 0x7B
"""`{`, with which every public record begins and no internal one."""


class MetricRow:
    """One window's result. Safe to read in any thread."""

    __slots__ = (
        "_kind",
        "_value",
        "errors",
        "final",
        "of",
        "records",
        "size_ms",
        "start_ms",
        "volume",
    )

    def __init__(self, kind: Kind, line: wire.MetricLine, size_ms: int, start_ms: int, value: bytes) -> None:
        self._kind = kind
        self._value = value
        self.start_ms = start_ms
        self.size_ms = size_ms
        self.records = line.revision
        self.final = line.final
        self.errors = line.errors
        self.of = line.of
        self.volume = line.volume

    @property
    def last_ms(self) -> int:
        """Start of its latest minute that may have data."""
        return self.start_ms + self.size_ms - MINUTE_MS

    @property
    def aggregate(self) -> Aggregate:
        """All of it; an empty one where the record's rest cannot be read."""
        value = self._value
        if value[0] != _JSON:
            return wire.aggregate_in(self._kind, value)
        try:
            whole = wire.metric_from(value, {self._kind.name: self._kind}).aggregate
        except wire.WireError:
            whole = Aggregate.empty(self._kind)
        self._value = wire.aggregate_out(whole)
        return whole


def row_from(value: bytes, kinds: Mapping[str, Kind]) -> tuple[SeriesId, MetricRow] | None:
    """A metrics record's series and row; None for a kind that is not asked for. Raises WireError."""
    line = wire.metric_line(value)
    try:
        kind, labels, size_ms, start_ms = line.place
    except ValueError as error:
        raise wire.WireError(f"not a metrics record: {error}") from None
    if kind not in kinds:
        return None
    if tuple(line.labels) != kinds[kind].labels:
        raise wire.WireError(f"not a metrics record: {kind} is labelled {', '.join(kinds[kind].labels)}")
    if size_ms not in SIZES_MS or start_ms % size_ms or not value.startswith(b"{"):
        raise wire.WireError(f"not a metrics record: a window of {size_ms} ms that begins at {start_ms}")
    return (kind, labels), MetricRow(kinds[kind], line, size_ms, start_ms, value)
