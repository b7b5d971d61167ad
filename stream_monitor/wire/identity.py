"""Keys and times: how a series, a window and an instant are written."""

from __future__ import annotations

from datetime import UTC, datetime
from zlib import crc32

import orjson


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
    moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{timestamp_ms % 1000:03}Z"


def iso_second(timestamp_ms: int) -> str:
    """`2024-01-15T10:30:00Z`, for window bounds."""
    return datetime.fromtimestamp(timestamp_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_iso(text: str) -> int:
    """UTC milliseconds of what `iso` or `iso_second` wrote."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
