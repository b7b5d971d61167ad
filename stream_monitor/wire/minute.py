"""A metrics record as the rules and the exporter read it: typed, a few microseconds, no sketch is built.

The names are those of topics/metrics.schema.json. core/measure.py says what it needs of it (`Minute`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from stream_monitor.wire.public import METRIC_VERSION, Amount, Count, Window, WireError, start_of

Bucket = Annotated[int, msgspec.Meta(ge=-4096, le=4096)]
"""The core's own lie in [-639, 2126]."""
Counts = Annotated[list[Count], msgspec.Meta(max_length=8192)]


class Positive(msgspec.Struct, gc=False):
    """The buckets above zero."""

    offset: Bucket
    bucketCounts: Counts  # noqa: N815  (OTLP's name)


class Buckets(msgspec.Struct, gc=False):
    """OpenTelemetry's exponential histogram."""

    zeroCount: Count  # noqa: N815
    positive: Positive


class Measure(msgspec.Struct, gc=False):
    """A distribution's numbers; a family has its own quantiles."""

    count: Count
    sum: Amount
    min: float
    max: float
    mean: float
    p5: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    histogram: Buckets | None = None
    bins: Counts | None = None


class Gauge(msgspec.Struct, gc=False):
    """The last and the greatest value."""

    last: float
    max: float
    at: Annotated[datetime, msgspec.Meta(tz=True)]

    @property
    def at_ms(self) -> int:
        """Of the last."""
        return round(self.at.timestamp() * 1000)


class ObservedMinute(msgspec.Struct, gc=False):
    """One window of one series."""

    v: int
    kind: str
    labels: dict[str, str]
    window: Window
    revision: Count
    final: bool
    records: Count
    error_records: Count
    errors: Count
    of: Count
    volume: Amount
    measures: dict[str, Measure]
    gauges: dict[str, dict[str, Gauge]] = {}
    classes: dict[str, Count] = {}
    exceptions: dict[str, Count] = {}

    @property
    def start_ms(self) -> int:
        """Start of the window."""
        return start_of(self.window.start)

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


def observed(value: bytes | None) -> ObservedMinute:
    """The window in a metrics record. Raises WireError where it is none."""
    try:
        minute = _decode(value or b"")
        if minute.v != METRIC_VERSION:
            raise WireError(f"metrics record of version {minute.v!r}; this release reads {METRIC_VERSION}")
        start_of(minute.window.start)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError) as error:
        raise WireError(f"not a metrics record: {error}") from None
    return minute
