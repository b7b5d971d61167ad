"""The internal records, in MessagePack: partials and ticks in the partials topic, rows in the tables.

They begin with their version; an unknown one raises UnknownVersionError, it is never skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from stream_monitor.core.aggregate import Aggregate, Gauge
from stream_monitor.core.record import Kind

INTERNAL_VERSION = 1

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode
_INT64 = 1 << 63


class UnknownVersionError(Exception):
    """An internal record of another release; the worker must not go on."""


class ForeignRecordError(ValueError):
    """Bytes in the partials topic that no release of this system wrote."""


class Partial(NamedTuple):
    """A source partition's cumulative part of one minute of one series."""

    kind: str
    series: bytes
    start_ms: int
    partition: int
    offset: int
    """The last source offset folded into it; of two partials the higher one holds the other."""
    records: int
    """How many records it holds."""
    packed: bytes
    """The aggregate, as `aggregate_out` wrote it."""


class Tick(NamedTuple):
    """How far a source partition's owner has come; all its partials up to here precede it."""

    kind: str
    partition: int
    partitions: int
    """Of the source topic, as the owner's metadata lists them."""
    position: int
    """The source offset after the last record processed."""
    watermark_ms: int
    frontier_ms: int
    """Windows that end at or before it have retired in the owner, and that is committed."""
    idle: bool
    at_ms: int
    """The owner's clock; with `idle`, just before the partition was verified empty."""


def partial_out(partial: Partial) -> bytes:
    """A partial's bytes."""
    return _pack((INTERNAL_VERSION, "p", *partial, _checksum(partial)))


def tick_out(tick: Tick) -> bytes:
    """A tick's bytes."""
    return _pack((INTERNAL_VERSION, "t", *tick))


def partials_in(value: bytes | None) -> Partial | Tick:
    """What a record of the partials topic holds. Raises ForeignRecordError, and UnknownVersionError."""
    try:
        version, what, *fields = _unpack(value or b"")
    except (msgspec.DecodeError, RecursionError, TypeError, ValueError) as error:
        raise ForeignRecordError(f"neither a partial nor a tick: {error}") from None
    if not isinstance(version, int) or what not in ("p", "t"):
        raise ForeignRecordError("neither a partial nor a tick")
    _check_version(version)
    try:
        if what == "t":
            return msgspec.convert(fields, Tick)
        *fields, checksum = fields
        partial = msgspec.convert(fields, Partial)
    except (msgspec.ValidationError, ValueError) as error:
        raise ForeignRecordError(f"neither a partial nor a tick: {error}") from None
    if checksum != _checksum(partial):
        raise ForeignRecordError("a partial whose checksum is wrong")
    return partial


def _checksum(partial: Partial) -> int:
    """Of what is looked into later, when it is too late to put the record aside."""
    return crc32(partial.packed, crc32(partial.series))


def row_out(fields: Mapping[str, Any]) -> bytes:
    """A table row: a flat mapping of plain values, with the version added."""
    return _pack({"v": INTERNAL_VERSION, **fields})


def row_in(value: bytes) -> dict[str, Any]:
    """The mapping that `row_out` took."""
    row: dict[str, Any] = _unpack(value)
    _check_version(row.pop("v", None))
    return row


def aggregate_out(whole: Aggregate) -> bytes:
    """An aggregate's bytes, exact."""
    return _pack(
        (
            whole.records,
            whole.error_records,
            whole.of,
            whole.errors,
            _big(whole.volume_micro),
            [(m.counts, _big(m.sum_micro), m.min, m.max) if m.counts else None for m in whole.measures],
            [_gauge_out(gauge) for gauge in whole.gauges],
            whole.exceptions,
            whole.classes,
            whole.slowest,
            whole.failures,
        )
    )


def aggregate_in(kind: Kind, packed: bytes) -> Aggregate:
    """The aggregate that `aggregate_out` took."""
    plain = _unpack(packed)
    whole = Aggregate.__new__(Aggregate)
    whole.records, whole.error_records, whole.of, whole.errors, volume, measures = plain[:6]
    gauges, whole.exceptions, whole.classes, slowest, failures = plain[6:]
    whole.volume_micro = int(volume)
    whole.measures = [
        family() if m is None else family(m[0], int(m[1]), float(m[2]), float(m[3]))
        for (_, family), m in zip(kind.measures, measures, strict=True)
    ]
    for gauge in gauges:
        for value in gauge.values():
            value[3] = int(value[3])
    whole.gauges = gauges
    whole.slowest = None if slowest is None else tuple(slowest)
    whole.failures = [tuple(failure) for failure in failures]
    return whole


def _gauge_out(gauge: dict[str, Gauge]) -> dict[str, Gauge]:
    if all(-_INT64 <= value[3] < _INT64 for value in gauge.values()):
        return gauge
    return {key: [at, last, peak, _big(total), times] for key, (at, last, peak, total, times) in gauge.items()}


def _big(number: int) -> int | str:
    """MessagePack's integers end at 64 bits; ours do not."""
    return number if -_INT64 <= number < _INT64 else str(number)


def _check_version(version: Any) -> None:
    if version != INTERNAL_VERSION:
        raise UnknownVersionError(
            f"an internal record of version {version!r}; this release reads {INTERNAL_VERSION}"
        )
