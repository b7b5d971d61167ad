"""Keys and times: how a series, a window and an instant are written."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zlib import crc32

import orjson

_SECONDS = [f"{second:02}" for second in range(60)]
_MILLIS = [f".{milli:03}Z" for milli in range(1000)]


def series_key(kind: str, labels: tuple[str, ...]) -> bytes:
    """Canonical JSON of (kind, labels): `["ml",["ml.predictor","v1.2.3"]]`."""
    return orjson.dumps((kind, labels))


def series_parts(series: bytes) -> tuple[str, tuple[str, ...]]:
    """(kind, labels) of a series key."""
    kind, labels = orjson.loads(series)
    return kind, tuple(labels)


def metric_key(series: bytes, start_ms: int) -> bytes:
    """A metric's Kafka key: `["ml",["ml.predictor","v1.2.3"],1705314600000]`, from its series key."""
    return b"%b,%d]" % (series[:-1], start_ms)


def partition_for(series: bytes, partitions: int) -> int:
    """Where a series lives in partials and metrics: CRC-32 of its series key, modulo the partitions."""
    return crc32(series) % partitions


def iso(timestamp_ms: int) -> str:
    """`2024-01-15T10:30:00.000Z`."""
    millis = timestamp_ms % 60_000
    return _minute(timestamp_ms - millis) + _SECONDS[millis // 1000] + _MILLIS[millis % 1000]


def iso_second(timestamp_ms: int) -> str:
    """`2024-01-15T10:30:00Z`, for window bounds."""
    millis = timestamp_ms % 60_000
    return f"{_minute(timestamp_ms - millis)}{_SECONDS[millis // 1000]}Z"


@lru_cache(maxsize=4096)
def _minute(minute_ms: int) -> str:
    return datetime.fromtimestamp(minute_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:")


def from_iso(text: str) -> int:
    """UTC milliseconds of what `iso` or `iso_second` wrote."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
