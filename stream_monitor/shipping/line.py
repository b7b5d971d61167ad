"""Lines of a log file → records: JSON as it is, text by its time, level and `name=value` pairs; stack traces, too.

A record begins at a line that starts with `{`, a time or a level; any other line belongs to the record before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from stream_monitor.kinds import KINDS

MAX_PIECE_BYTES = 1_000_000
"""A record longer than this is cut: what is behind it is not sent."""

_START = re.compile(
    rb"\{|\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\[?(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\b", re.IGNORECASE
)
_TEXT = re.compile(
    r"\[?(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?\s?(?:Z|[+-]\d\d:?\d\d)?)?\]?[\s\-|]*"
)
_LEVEL = re.compile(r"\b(DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\b", re.IGNORECASE)
_LABELS = "|".join(
    [*(name for row in KINDS.rows.values() for name in row.labels), "run_id", "prediction_id", "prediction"]
)
_NUMBERS = "|".join({name: None for row in KINDS.rows.values() for name in row.numbers})
_PAIR = re.compile(rf"(?<![\w.])(?:({_LABELS})=(?:\"([^\"]*)\"|([^\s,;)\]]+))|({_NUMBERS})=([\d.eE+-]+))")
_TASK_LOG = re.compile(r"dag_id=([^/]+)/run_id=([^/]+)/task_id=([^/]+)/(?:map_index=[^/]+/)?attempt=(\d+)\.log")


class Piece(NamedTuple):
    """A record's lines and where they stand in the file: bytes `[offset, end)`."""

    offset: int
    end: int
    text: bytes


def pieces(lines: Iterable[bytes], offset: int) -> Iterator[Piece]:
    """The records of consecutive lines, of which the first begins at `offset`."""
    begun, held = offset, bytearray()
    for line in lines:
        if held and _START.match(line):
            yield Piece(begun, offset, bytes(held))
            begun = offset
            held.clear()
        if len(held) < MAX_PIECE_BYTES:
            held += line[:MAX_PIECE_BYTES]
        offset += len(line)
    if held:
        yield Piece(begun, offset, bytes(held))


def record(piece: Piece, defaults: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a record; what it does not say is taken from `defaults`. None: there is nothing in it."""
    first, _, rest = piece.text.partition(b"\n")
    fields = _json(first)
    if fields is None:
        fields = _text(piece.text.decode(errors="replace"))
    elif rest.strip():
        fields.setdefault("stack_trace", rest.decode(errors="replace").rstrip())
    if not fields:
        return None
    if "message" not in fields and isinstance(event := fields.get("event"), str):
        fields["message"] = event  # structlog's name for it, and Airflow's
    for name, value in defaults.items():
        if fields.get(name) is None:
            fields[name] = value
    return fields


def labels_of(path: Path) -> dict[str, Any]:
    """What a file's place says: Airflow's task logs stand in folders named by DAG, run and task."""
    match = _TASK_LOG.search(path.as_posix())
    if match is None:
        return {}
    return {"dag_id": match[1], "run_id": match[2], "task_id": match[3], "try_number": int(match[4])}


def _json(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"{"):
        return None
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return fields if isinstance(fields, dict) else None


def _text(text: str) -> dict[str, Any]:
    first, _, rest = text.partition("\n")
    match = _TEXT.match(first)
    message = first[match.end() :].strip() if match else first.strip()
    if not _START.match(text.encode()[:40]):
        return {}  # the rest of a record whose beginning was not read
    fields: dict[str, Any] = {}
    if match and match["time"]:
        fields["timestamp"] = match["time"].strip()
    level = _LEVEL.search(message[:80])
    fields["level"] = level[1].upper() if level else "INFO"
    fields["message"] = message
    for label, quoted, plain, number, digits in _PAIR.findall(first):
        if label:
            fields[label] = quoted or plain
        else:
            fields[number] = _number(digits)
    if rest.strip():
        fields["stack_trace"] = rest.rstrip()
    return {name: value for name, value in fields.items() if value is not None}


def _number(digits: str) -> float | int | None:
    try:
        return int(digits) if digits.isdecimal() else float(digits)
    except ValueError:
        return None
