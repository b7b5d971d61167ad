"""Recorded topics: one Kafka record a line, as JSON. What `fixtures/` holds and `replay` sends.

    {"topic":"logs.ml","partition":2,"timestamp":1705314600123,"key":"ml.predictor","headers":[],"value":{…}}

`value` is an object (compact JSON, key order kept), a text (its UTF-8 bytes), null (a null value), or instead
`value_base64` for any bytes. `topic` is one of logs.*, without the prefix. `partition` may be null: the key
decides.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from stream_monitor.data import data_dir
from stream_monitor.errors import UsageError
from stream_monitor.kinds import KINDS
from stream_monitor.kinds.kafka import MAX_PARTITION

MINUTE_MS = 60_000

_TOPICS = tuple(f"logs.{kind}" for kind in KINDS)
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One record of a recorded topic. The timestamp is Kafka's, in UTC milliseconds."""

    topic: str
    timestamp_ms: int
    value: bytes | None
    key: str | None = None
    partition: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


def examples() -> list[Path]:
    """The recordings that ship: the example day, and what kinds have in folders of their own."""
    fixtures = data_dir("fixtures")
    return sorted([*fixtures.glob("example_*_logs.jsonl"), *fixtures.glob("*/logs.jsonl")])


def read(path: Path) -> Iterator[Recorded]:
    """The records of a file, in its order. Raises UsageError with file, line and reason."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _parse(line, f"{path}:{number}")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _parse(line: bytes, where: str) -> Recorded:
    try:
        return _record(orjson.loads(line))
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{where}: not JSON: {error}") from None
    except KeyError as error:
        raise UsageError(f"{where}: {error.args[0]} is missing") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {error}") from None


def _record(plain: Any) -> Recorded:
    """Raises TypeError or ValueError for what is not as it should be, KeyError for what is missing."""
    if not isinstance(plain, dict):
        raise TypeError("not an object")
    topic, key = plain["topic"], plain.get("key")
    if topic not in _TOPICS:
        raise ValueError(f"topic: one of {', '.join(_TOPICS)}, not {topic!r}")
    if not isinstance(key, str | None):
        raise TypeError(f"key: a text or null, not {key!r}")
    partition = plain.get("partition")
    return Recorded(
        topic=topic,
        timestamp_ms=_whole(plain["timestamp"], "timestamp", _LAST_MS),
        value=_value(plain),
        key=key,
        partition=None if partition is None else _whole(partition, "partition", MAX_PARTITION),
        headers=_headers(plain.get("headers") or []),
    )


def _whole(value: Any, name: str, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name}: a whole number from 0 to {most}, not {value!r}")
    return value


def _headers(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise ValueError("headers: a list of pairs")
    return tuple((str(name), str(text)) for name, text in value)


def _value(plain: dict[str, Any]) -> bytes | None:
    if "value_base64" in plain:
        try:
            return base64.b64decode(plain["value_base64"], validate=True)
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"value_base64: {error}") from None
    value = plain["value"]
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


def line(record: Recorded) -> bytes:
    """A record as a line of a file, without the line break."""
    plain: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "timestamp": record.timestamp_ms,
        "key": record.key,
        "headers": record.headers,
    }
    try:
        plain["value"] = None if record.value is None else orjson.loads(record.value)
        exact = record.value is None or orjson.dumps(plain["value"]) == record.value
    except orjson.JSONDecodeError:
        exact = False
    if not exact or isinstance(plain["value"], str):
        plain.pop("value", None)
        plain["value_base64"] = base64.b64encode(record.value or b"").decode()
    return orjson.dumps(plain)


def shifted(record: Recorded, shift_ms: int) -> Recorded:
    """The record moved in time: Kafka's timestamp and the log's own, in its notation.

    `shift_ms` is a whole number of minutes, so that windows stay aligned; what can't be read stays.
    """
    if not shift_ms:
        return record
    value = record.value
    try:
        log = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        log = None
    if isinstance(log, dict):
        for name in ("timestamp", "asctime"):
            if name in log:
                log[name] = shift_stamp(log[name], shift_ms)
        value = orjson.dumps(log)
    return replace(record, timestamp_ms=record.timestamp_ms + shift_ms, value=value)


def shift_stamp(stamp: Any, shift_ms: int) -> Any:
    """A log's timestamp moved by whole minutes; only its first 16 characters, or its number, change."""
    if isinstance(stamp, bool) or stamp is None:
        return stamp
    if isinstance(stamp, int | float):
        return stamp + (shift_ms if stamp >= 1e11 else shift_ms // 1000)
    if isinstance(stamp, str):
        form = f"%Y-%m-%d{stamp[10:11]}%H:%M"
        try:
            moved = datetime.strptime(stamp[:16], form) + timedelta(milliseconds=shift_ms)  # noqa: DTZ007
        except (ValueError, OverflowError):
            return stamp
        return moved.strftime(form) + stamp[16:]
    return stamp
