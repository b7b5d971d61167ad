"""What the lines of every kind have in common: the outer checks, level, time, exceptions.

A kind's decoder is `decoder(LineStruct, build)`: the struct says which fields it reads and what they may be,
`build` makes columns of them. Whatever a value can contain ends as a row of Lines or as Rejected; nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar, cast

import msgspec
import numpy as np

from stream_monitor.core.lines import Bools, Floats, Ints, Lines
from stream_monitor.core.record import Decoded, Reason, Rejected, bounded_label
from stream_monitor.kinds.timestamp import parse_timestamps

MAX_BYTES = 1 << 20
MAX_NUMBER = 1e15

Number = Annotated[float, msgspec.Meta(ge=0.0, le=MAX_NUMBER)]
"""A field in [0, 1e15]; the parser checks it, for nothing."""

_ERROR_LEVELS = frozenset({"ERROR", "CRITICAL", "FATAL"})
_TYPE_NAME = re.compile(r"[A-Za-z_][\w.]{0,199}", re.ASCII)
_BOUND = re.compile(r"Expected `\w+` [<>]=")
_TRACEBACK = "Traceback (most recent call last)"


class Line(msgspec.Struct, gc=False):
    """The fields that every kind reads and most lines have. Unknown fields are skipped, not built.

    The parser looks for fields in their order: a kind adds its own behind these, as systems write them.
    """

    timestamp: str | int | float | None = None
    level: str | None = None
    message: str | None = None


_RARE: tuple[tuple[str, Any, Any], ...] = (
    ("asctime", str | int | float | None, None),
    ("exc_type", str | None, None),
    ("error_type", str | None, msgspec.field(default=None, name="error.type")),
    *((name, Any, None) for name in ("error", "exc_info", "exc_text", "traceback", "stack_trace")),
)
"""The fields that every kind reads and few lines have; they come last."""

_Line = TypeVar("_Line", bound=Line)


class Rejections(dict[int, Rejected]):
    """By row of a batch: why it cannot be folded. The first reason stays."""

    def add(self, row: int, reason: Reason, detail: str) -> None:
        """Reject a row."""
        self.setdefault(row, Rejected(reason, detail))


class Refusal(Exception):  # noqa: N818  (a verdict on a value, not a failure of the program)
    """A value that is not even parsed."""


Build = Callable[[Sequence[_Line], Ints, Bools, Rejections], Lines]
"""(lines, their UTC milliseconds, whether their level is an error's, where to reject) → as many rows of Lines; a
rejected row may hold anything.
"""


def decoder(line_type: type[_Line], build: Build[_Line]) -> Callable[[Sequence[bytes | None], Ints], Decoded]:
    """The decode function of a kind: (values, Kafka timestamps in ms) → Decoded."""
    full = msgspec.defstruct(line_type.__name__, _RARE, bases=(line_type,), gc=False)
    parse = msgspec.json.Decoder(full).decode

    def decode(values: Sequence[bytes | None], kafka_ms: Ints) -> Decoded:
        unread = Rejections()
        parsed = _parse(parse, values, unread)
        rows = np.arange(len(values))
        if unread:
            rows = np.delete(rows, list(unread))
        unfit = Rejections()
        lines = build(parsed, _times(parsed, rows, kafka_ms, unfit), _are_errors(parsed), unfit)
        lines.exceptions = _exceptions(parsed)
        if unfit:
            unread |= {int(rows[row]): why for row, why in unfit.items()}
            keep = np.delete(np.arange(len(rows)), list(unfit))
            lines, rows = lines.take(keep), rows[keep]
        return Decoded(lines, rows, sorted(unread.items()))

    return decode


def _parse(parse: Callable[[Any], Any], values: Sequence[bytes | None], unread: Rejections) -> list[Any]:
    """The lines of the values that can be parsed; the others are rejected."""
    read = parse if _are_plain(values) else partial(_read, parse)
    lines: list[Any] = []
    rest = iter(values)
    while True:
        try:
            lines.extend(map(read, rest))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Refusal) as error:
            row = len(lines) + len(unread)  # what came before it has been appended
            unread[row] = _why(error, values[row])
        else:
            return lines


def _are_plain(values: Sequence[bytes | None]) -> bool:
    """Nothing but ASCII, nothing empty, nothing too long."""
    if not all(values):
        return False
    present = cast("Sequence[bytes]", values)
    return b"".join(present).isascii() and max(map(len, present), default=0) <= MAX_BYTES


def _read(parse: Callable[[Any], Any], value: bytes | None) -> Any:
    """One line. The parser looks at the encoding of what it builds, not of what it skips."""
    if not value or len(value) > MAX_BYTES:
        raise Refusal
    if not value.isascii():
        value.decode()
    return parse(value)


def _why(error: Exception, value: bytes | None) -> Rejected:
    if not value:
        return Rejected("empty", "no value")
    if isinstance(error, Refusal):
        return Rejected("too_large", f"{len(value)} bytes; at most {MAX_BYTES}")
    if isinstance(error, msgspec.ValidationError):
        return _invalid(str(error), value)
    if isinstance(error, UnicodeDecodeError):
        return Rejected("invalid_utf8", f"byte {error.start}: {error.reason}")
    return Rejected("not_json", "nested too deeply" if isinstance(error, RecursionError) else str(error))


def _invalid(message: str, value: bytes) -> Rejected:
    """Well-formed but not as it should be; the parser stops before it has seen whether it is well-formed."""
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        if "out of range" not in str(error):
            return Rejected("not_json", str(error))
    if "Expected `object`" in message and " - at " not in message:
        return Rejected("not_an_object", message)
    if "out of range" in message or _BOUND.match(message):
        return Rejected("out_of_range", message)
    return Rejected("wrong_type", message)


def _times(lines: Sequence[Any], rows: Ints, kafka_ms: Ints, reject: Rejections) -> Ints:
    """Each line's timestamp; its Kafka record's where it has none."""
    times = parse_timestamps([line.timestamp for line in lines])
    for row in np.flatnonzero(times < 0).tolist():
        line = lines[row]
        stamp = line.asctime if line.timestamp is None else line.timestamp
        times[row] = kafka_ms[rows[row]] if stamp is None else parse_timestamps([stamp])[0]
        if times[row] < 0:
            reject.add(row, "bad_timestamp", f"timestamp: cannot read {str(stamp)[:60]!r}")
    return times


def _are_errors(lines: Sequence[Line]) -> Bools:
    levels = [line.level for line in lines]
    errors = {level for level in set(levels) if level is not None and is_error_level(level)}
    if not errors:
        return np.zeros(len(lines), dtype=np.bool_)
    return np.fromiter(map(errors.__contains__, levels), np.bool_, len(levels))


def is_error_level(level: str) -> bool:
    """ERROR, CRITICAL or FATAL, in any case."""
    return level.strip().upper() in _ERROR_LEVELS


def _exceptions(lines: Sequence[Any]) -> dict[int, str]:
    """By row: the type that a line names, by the order in docs/reference/kinds.md."""
    rows = [
        row
        for row, line in enumerate(lines)
        if line.exc_type is not None
        or line.error_type is not None
        or line.error is not None
        or line.exc_text is not None
        or line.exc_info is not None
        or line.traceback is not None
        or line.stack_trace is not None
        or ((message := line.message) is not None and _TRACEBACK in message)
    ]
    return {row: name for row in rows if (name := _exception_type(lines[row])) is not None}


def _exception_type(line: Any) -> str | None:
    nested = line.error.get("type") if isinstance(line.error, dict) else None
    named = line.error_type or (nested if isinstance(nested, str) else None) or line.exc_type
    if named:
        return bounded_label(named)
    for text in (line.exc_info, line.exc_text, line.traceback, line.stack_trace):
        if isinstance(text, str) and (found := _last_line_type(text)):
            return found
    message = line.message
    return _last_line_type(message) if message is not None and _TRACEBACK in message else None


def _last_line_type(text: str) -> str | None:
    lines = text.strip().splitlines()
    name = lines[-1].split(":", 1)[0].strip() if lines else ""
    return name if _TYPE_NAME.fullmatch(name) else None


# What the kinds make their columns with


def floats(column: Sequence[float | None]) -> Floats:
    """Numbers; None is nan."""
    return np.array(column, dtype=np.float64)


def required(column: Sequence[str | None], name: str, reject: Rejections) -> Sequence[str]:
    """A label that every line must have; where it is absent, null or empty the line is rejected."""
    if all(column):
        return cast("Sequence[str]", column)
    for row, value in enumerate(column):
        if not value:
            reject.add(row, "missing_field", f"{name}: absent or empty")
    return [value or "" for value in column]
