"""A metrics record as the rules and the exporter read it: typed, a few microseconds, no sketch is built.

The names are those of topics/metrics.schema.json. core/measure.py says what it needs of it (`Minute`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from stream_monitor.wire.identity import from_iso
from stream_monitor.wire.public import METRIC_VERSION, WireError


class Positive(msgspec.Struct, gc=False):
    """The buckets above zero."""

    offset: int
    bucketCounts: list[int]  # noqa: N815  (OTLP's name)


class Buckets(msgspec.Struct, gc=False):
    """OpenTelemetry's exponential histogram."""

    zeroCount: int  # noqa: N815
    positive: Positive


class Measure(msgspec.Struct, gc=False):
    """A distribution's numbers; a family has its own quantiles."""

    count: int
    sum: float
    min: float
    max: float
    mean: float
    p5: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    histogram: Buckets | None = None
    bins: list[int] | None = None


class Gauge(msgspec.Struct, gc=False):
    """The last and the greatest value."""

    last: float
    max: float
    at: str

    @property
    def at_ms(self) -> int:
        """Of the last."""
        return from_iso(self.at)


class Window(msgspec.Struct, gc=False):
    """Where it begins, and how long it is."""

    start: str
    size_s: int


class ObservedMinute(msgspec.Struct, gc=False):
    """One window of one series."""

    v: int
    kind: str
    labels: dict[str, str]
    window: Window
    revision: int
    final: bool
    records: int
    error_records: int
    errors: int
    of: int
    volume: float
    measures: dict[str, Measure]
    gauges: dict[str, dict[str, Gauge]] = {}
    classes: dict[str, int] = {}
    exceptions: dict[str, int] = {}

    @property
    def start_ms(self) -> int:
        """Start of the window."""
        return _start_ms(self.window.start)

    @property
    def label_values(self) -> tuple[str, ...]:
        """The labels in their order."""
        return tuple(self.labels.values())

    @property
    def bins(self) -> Sequence[int]:
        """How often the confidence was in each bin."""
        confidence = self.measures.get("confidence")
        return () if confidence is None else confidence.bins or ()


_decode = msgspec.json.Decoder(ObservedMinute).decode


@lru_cache(maxsize=4096)
def _start_ms(start: str) -> int:
    return from_iso(start)


def observed(value: bytes | None) -> ObservedMinute:
    """The window in a metrics record. Raises WireError where it is none."""
    try:
        minute = _decode(value or b"")
        if minute.v != METRIC_VERSION:
            raise WireError(f"metrics record of version {minute.v!r}; this release reads {METRIC_VERSION}")
        _start_ms(minute.window.start)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError) as error:
        raise WireError(f"not a metrics record: {error}") from None
    return minute
