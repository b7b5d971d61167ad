"""What the lines of every kind have in common: the outer checks, level, time, exceptions, numbers.

A kind's decoder is `decoder(LineStruct, build)`: the struct says which fields it reads, `build` makes the
Record. Whatever a line can contain ends as a Record or as Rejected; nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec

from stream_monitor.core.record import LABEL_MAX, Record, Rejected, bounded_label
from stream_monitor.kinds.timestamp import parse_timestamp

MAX_BYTES = 1 << 20
MAX_NUMBER = 1e15

Number = Annotated[float, msgspec.Meta(ge=0.0, le=MAX_NUMBER)]
"""A field in [0, 1e15]; the parser checks it, for nothing."""

_ERROR_LEVELS = frozenset(
    spelling for level in ("ERROR", "CRITICAL", "FATAL") for spelling in (level, level.lower(), level.capitalize())
)
_TYPE_NAME = re.compile(r"[A-Za-z_][\w.]{0,199}", re.ASCII)
_BOUND = re.compile(r"Expected `\w+` [<>]=")
_TRACEBACK = "Traceback (most recent call last)"


class Line(msgspec.Struct, gc=False):
    """The fields that every kind reads. Unknown fields are skipped, not built."""

    timestamp: str | int | float | None = None
    asctime: str | int | float | None = None
    level: str | None = None
    message: str | None = None
    exc_type: str | None = None
    error_type: str | None = msgspec.field(default=None, name="error.type")
    error: Any = None
    exc_info: Any = None
    exc_text: Any = None
    traceback: Any = None
    stack_trace: Any = None


_Line = TypeVar("_Line", bound=Line)


class Refusal(Exception):  # noqa: N818  (a verdict on a line, not a failure of the program)
    """Raised by a `build` function, turned into its Rejected by the decoder."""

    def __init__(self, reason: Any, detail: str) -> None:
        super().__init__(detail)
        self.rejected = Rejected(reason, detail)


def decoder(
    line_type: type[_Line], build: Callable[[_Line, int, bool], Record]
) -> Callable[[bytes, int], Record | Rejected]:
    """The decode function of a kind: (value, Kafka timestamp ms) → Record or Rejected."""
    parse = msgspec.json.Decoder(line_type).decode

    def decode(value: bytes | None, kafka_timestamp_ms: int) -> Record | Rejected:
        try:
            if not value or len(value) > MAX_BYTES or not value.isascii():
                _check_bytes(value)
            line = parse(value)  # type: ignore[arg-type]  # _check_bytes refuses None
            stamp = line.timestamp if line.timestamp is not None else line.asctime
            timestamp_ms = kafka_timestamp_ms if stamp is None else parse_timestamp(stamp)
            if timestamp_ms is None or timestamp_ms < 0:
                return Rejected("bad_timestamp", f"timestamp: cannot read {str(stamp)[:60]!r}")
            level = line.level
            return build(line, timestamp_ms, level is not None and is_error_level(level))
        except Refusal as refusal:
            return refusal.rejected
        except msgspec.ValidationError as error:
            return _invalid(str(error), value)
        except UnicodeDecodeError as error:
            return Rejected("invalid_utf8", f"byte {error.start}: {error.reason}")
        except RecursionError:
            return Rejected("not_json", "nested too deeply")
        except msgspec.DecodeError as error:
            return Rejected("not_json", str(error))

    return decode


def is_error_level(level: str) -> bool:
    """ERROR, CRITICAL or FATAL, in any case."""
    return level != "INFO" and (level in _ERROR_LEVELS or level.strip().upper() in _ERROR_LEVELS)


def label(value: str | None, name: str) -> str:
    """A required label, bounded in length, or Refusal where it is absent, null or empty."""
    if not value:
        raise Refusal("missing_field", f"{name}: absent or empty")
    return value if len(value) <= LABEL_MAX else bounded_label(value)


def number(value: float | None, name: str) -> float | None:
    """The number if it is in [0, 1e15], or Refusal; None stays None."""
    if value is None or 0.0 <= value <= MAX_NUMBER:
        return value
    raise Refusal("out_of_range", f"{name}: {value!r} is not in [0, 1e15]")


def exception_type(line: Line) -> str | None:
    """The type that a line names, by the order in docs/reference/kinds.md; None where it names none."""
    error, message = line.error, line.message
    if (
        line.exc_type is None
        and line.error_type is None
        and error is None
        and line.exc_text is None
        and line.exc_info is None
        and line.traceback is None
        and line.stack_trace is None
        and (message is None or _TRACEBACK not in message)
    ):
        return None  # nearly every line
    nested = error.get("type") if isinstance(error, dict) else None
    named = line.error_type or (nested if isinstance(nested, str) else None) or line.exc_type
    if named:
        return bounded_label(named)
    for text in (line.exc_info, line.exc_text, line.traceback, line.stack_trace):
        if isinstance(text, str) and (found := _last_line_type(text)):
            return found
    return _last_line_type(message) if message is not None and _TRACEBACK in message else None


def _last_line_type(text: str) -> str | None:
    lines = text.strip().splitlines()
    name = lines[-1].split(":", 1)[0].strip() if lines else ""
    return name if _TYPE_NAME.fullmatch(name) else None


def _check_bytes(value: bytes | None) -> None:
    if not value:
        raise Refusal("empty", "no value")
    if len(value) > MAX_BYTES:
        raise Refusal("too_large", f"{len(value)} bytes; at most {MAX_BYTES}")
    value.decode()


def _invalid(message: str, value: bytes | None) -> Rejected:
    """Well-formed but not as it should be; the parser stops before it has seen whether it is well-formed."""
    try:
        msgspec.json.decode(value or b"")
    except (msgspec.DecodeError, RecursionError) as error:
        if "out of range" not in str(error):
            return Rejected("not_json", str(error))
    if "Expected `object`" in message and " - at " not in message:
        return Rejected("not_an_object", message)
    if "out of range" in message or _BOUND.match(message):
        return Rejected("out_of_range", message)
    return Rejected("wrong_type", message)
