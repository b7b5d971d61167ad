"""The public records, in JSON: a metric's value and a dead letter's. topics/*.schema.json describes them."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import msgspec
import orjson

from stream_monitor.core.aggregate import Exemplar
from stream_monitor.core.distribution import BINS, MICRO, SCALE, ZERO, Distribution, Histogram
from stream_monitor.core.metric import Metric
from stream_monitor.core.record import Kind, Rejected
from stream_monitor.core.window import MINUTE_MS
from stream_monitor.wire.identity import from_iso, iso, iso_second, series_key

METRIC_VERSION = 1
DLQ_VERSION = 1

DLQ_VALUE_CHARS = 4096


_EXACT = 2.0**53


class WireError(ValueError):
    """Bytes that are not what their topic holds."""


def metric_value(metric: Metric, source_topic: str) -> bytes:
    """A metric's Kafka value, version 1. `source_topic` names the topic of its exemplars."""
    kind, whole = metric.kind, metric.aggregate
    value: dict[str, Any] = {
        "v": METRIC_VERSION,
        "kind": kind.name,
        "labels": dict(zip(kind.labels, metric.labels, strict=True)),
        "entity": metric.entity,
        "window": _window_out(metric.start_ms, metric.size_ms),
        "revision": metric.revision,
        "final": metric.final,
        "records": whole.records,
        "error_records": whole.error_records,
        "errors": whole.errors,
        "of": whole.of,
        "error_rate": whole.error_ratio,
        "volume": _plain(metric.volume),
        "measures": {
            name: _measure_out(measure)
            for (name, _), measure in zip(kind.measures, whole.measures, strict=True)
            if measure.counts
        },
        "exceptions": whole.exceptions,
        "exemplars": {
            "slowest": None if whole.slowest is None else _exemplar_out(whole.slowest, source_topic),
            "errors": [_exemplar_out(failure, source_topic, errors=True) for failure in whole.failures],
        },
    }
    if kind.gauges:
        value["gauges"] = {
            name: {
                key: {"last": _plain(last), "max": _plain(peak), "at": iso(at)}
                for key, (at, last, peak, _, _) in sorted(gauge.items())
            }
            for name, gauge in zip(kind.gauges, whole.gauges, strict=True)
            if gauge
        }
    if kind.classes:
        value["classes"] = whole.classes
    return orjson.dumps(value)


@lru_cache(maxsize=4096)
def _window_out(start_ms: int, size_ms: int) -> dict[str, Any]:
    return {"start": iso_second(start_ms), "end": iso_second(start_ms + size_ms), "size_s": size_ms // 1000}


Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""What somebody else has written to a topic may have 400 digits; the parser checks it, for nothing."""
Whole = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31)]
Amount = Annotated[float, msgspec.Meta(ge=0.0, le=1e24)]


class Window(msgspec.Struct, gc=False):
    """Where it begins, and how long it is."""

    start: str
    size_s: Whole


class MetricLine(msgspec.Struct, gc=False):
    """The few fields of a metrics record that a time line needs; a tenth of the price of the whole."""

    kind: str
    labels: dict[str, str]
    window: Window
    revision: Count
    final: bool
    errors: Count
    of: Count
    volume: Amount

    @property
    def place(self) -> tuple[str, tuple[str, ...], int, int]:
        """(kind, labels, size in ms, start in ms): what identifies the window."""
        return self.kind, tuple(self.labels.values()), self.window.size_s * 1000, start_of(self.window.start)


_lines = msgspec.json.Decoder(MetricLine)


@lru_cache(maxsize=4096)
def start_of(start: str) -> int:
    """A window's start in UTC milliseconds; thousands of records have the same. Raises ValueError."""
    return from_iso(start)


def metric_line(value: bytes) -> MetricLine:
    """Part of a metrics record. Raises WireError where it is none."""
    try:
        return _lines.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a metrics record: {error}") from None


def _measure_out(measure: Distribution) -> dict[str, Any]:
    counts = measure.counts
    ordered = buckets, upto = measure.ordered()
    out: dict[str, Any] = {
        "count": upto[-1],
        "sum": measure.sum,
        "min": measure.min,
        "max": measure.max,
        "mean": measure.sum_micro / upto[-1] / MICRO,
        **measure.named_quantiles(ordered),
    }
    if not isinstance(measure, Histogram):
        out["bins"] = _dense(counts, buckets, 0, BINS)
        return out
    positive = buckets[1:] if buckets[0] == ZERO else buckets
    low, high = (positive[0], positive[-1]) if positive else (0, -1)
    out["histogram"] = {
        "scale": SCALE,
        "zeroCount": counts.get(ZERO, 0),
        "positive": {"offset": low, "bucketCounts": _dense(counts, positive, low, high + 1 - low)},
    }
    return out


def _dense(counts: dict[int, int], buckets: list[int], low: int, size: int) -> list[int]:
    """The counts of `size` buckets from `low` on; `buckets` are those that are not 0."""
    out = [0] * size
    for bucket in buckets:
        out[bucket - low] = counts[bucket]
    return out


def _exemplar_out(exemplar: Exemplar, topic: str, *, errors: bool = False) -> dict[str, Any]:
    value, timestamp_ms, partition, offset = exemplar
    out: dict[str, Any] = {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "timestamp": iso(timestamp_ms),
    }
    if not errors:
        out["value"] = value
    return out


def _plain(value: float) -> float | int:
    """A whole number without its `.0`, where JSON's numbers are exact."""
    return int(value) if -_EXACT < value < _EXACT and value == int(value) else value


# --- The dead-letter queue (public) -------------------------------------------------------------------


def dlq_record(
    rejected: Rejected,
    kind: str,
    source: tuple[str, int, int, int],
    value: bytes | None,
) -> tuple[bytes, bytes]:
    """(key, value) of a rejected record. `source` is (topic, partition, offset, Kafka timestamp ms)."""
    topic, partition, offset, timestamp_ms = source
    text = (value or b"")[: DLQ_VALUE_CHARS * 4].decode("utf-8", "replace")
    return orjson.dumps((topic, partition, offset)), orjson.dumps(
        {
            "v": DLQ_VERSION,
            "reason": rejected.reason,
            "detail": rejected.detail[:500].encode("utf-8", "replace").decode(),
            "kind": kind,
            "source": {
                "topic": topic,
                "partition": partition,
                "offset": offset,
                "timestamp": iso(max(0, timestamp_ms)),
            },
            "records": 1,
            "value": text[:DLQ_VALUE_CHARS],
            "truncated": len(text) > DLQ_VALUE_CHARS or len(value or b"") > DLQ_VALUE_CHARS * 4,
        }
    )


def dlq_late_partial(
    kind: Kind, labels: tuple[str, ...], start_ms: int, source: tuple[str, int, int], records: int
) -> tuple[bytes, bytes]:
    """(key, value) of records that reached the merge after their window had retired there."""
    topic, partition, offset = source
    series = series_key(kind.name, labels)
    return orjson.dumps((topic, partition, series.decode(), start_ms)), orjson.dumps(
        {
            "v": DLQ_VERSION,
            "reason": "late",
            "detail": "its window had retired in the merge",
            "kind": kind.name,
            "source": {"topic": topic, "partition": partition, "offset": offset, "timestamp": iso(start_ms)},
            "records": records,
            "labels": dict(zip(kind.labels, labels, strict=True)),
            "window": _window_out(start_ms, MINUTE_MS),
        }
    )
