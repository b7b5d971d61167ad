"""A metrics record as the core's Metric, for views and tests: typed and bounded, whoever has written it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec

from stream_monitor.core.aggregate import Aggregate, Exemplar
from stream_monitor.core.distribution import BINS, MICRO, ZERO, Distribution, Histogram
from stream_monitor.core.metric import Metric
from stream_monitor.core.record import Kind
from stream_monitor.wire.minute import Measure, ObservedMinute
from stream_monitor.wire.public import METRIC_VERSION, Count, Whole, WireError


class _Place(msgspec.Struct, gc=False):
    """Of a log record; an error's has no value."""

    topic: str
    partition: Whole
    offset: Count
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)]
    value: float = 0.0


class _Exemplars(msgspec.Struct, gc=False):
    slowest: _Place | None
    errors: list[_Place]


class _Record(ObservedMinute, gc=False, kw_only=True):
    exemplars: _Exemplars


_decode = msgspec.json.Decoder(_Record).decode


def metric_from(value: bytes, kinds: Mapping[str, Kind]) -> Metric:
    """The Metric in a metrics record. Raises WireError where it is none, or of an unknown kind."""
    try:
        record = _decode(value)
        if record.v != METRIC_VERSION:
            raise WireError(f"metrics record of version {record.v!r}; this release reads {METRIC_VERSION}")
        kind = kinds[record.kind]
        return Metric(
            kind=kind,
            labels=tuple(record.labels[name] for name in kind.labels),
            start_ms=record.start_ms,
            size_ms=record.window.size_s * 1000,
            final=record.final,
            aggregate=_aggregate(record, kind),
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, ValueError, OverflowError) as error:
        raise WireError(f"not a metrics record: {error!r}") from None


def _aggregate(record: _Record, kind: Kind) -> Aggregate:
    whole = Aggregate.empty(kind)
    whole.records, whole.error_records = record.records, record.error_records
    whole.errors, whole.of = record.errors, record.of
    whole.volume_micro = round(record.volume * MICRO)
    for index, (name, family) in enumerate(kind.measures):
        if name in record.measures:
            whole.measures[index] = _distribution(family, record.measures[name])
    whole.exceptions, whole.classes = record.exceptions, record.classes
    whole.gauges = [
        {key: [g.at_ms, g.last, g.max, 0, 0] for key, g in record.gauges.get(name, {}).items()}
        for name in kind.gauges
    ]
    slowest = record.exemplars.slowest
    whole.slowest = None if slowest is None else _exemplar(slowest)
    whole.failures = [_exemplar(failure) for failure in record.exemplars.errors]
    return whole


def _distribution(family: type[Distribution], measure: Measure) -> Distribution:
    if family is Histogram:
        if measure.histogram is None:
            raise WireError("a measure without its histogram")
        positive = measure.histogram.positive
        counts = {bucket: count for bucket, count in enumerate(positive.bucketCounts, positive.offset) if count}
        if measure.histogram.zeroCount:
            counts[ZERO] = measure.histogram.zeroCount
    else:
        counts = {bucket: count for bucket, count in enumerate((measure.bins or ())[:BINS]) if count}
    return family(counts, round(measure.sum * MICRO), measure.min, measure.max)


def _exemplar(place: _Place) -> Exemplar:
    return (place.value, round(place.timestamp.timestamp() * 1000), place.partition, place.offset)
