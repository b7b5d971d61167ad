"""A log record as one line of JSON: `timestamp` in UTC with milliseconds, `level`, `logger`, `message`, fields.

Fields come, the later winning, from the formatter's own (`fields`), from the context (`context`, `bind`) and from
the call (`extra=`, a LoggerAdapter). An exception is `error.type`, `error.message` and `error.stack_trace`.
Whatever a record holds becomes a line: what JSON cannot say is written as text, what is too long is cut, nothing
raises.
"""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import orjson

from stream_monitor.shipping.context import current
from stream_monitor.shipping.redaction import Redaction

MAX_BYTES = 256_000
"""Of a line; the worker reads up to 1 MiB, and a broker takes 1 MB by default."""

CONTEXT, SIZE, UPTO, LINE = "\0context", "\0size", "\0upto", "\0line"
"""What a captured record has besides a record's attributes: the context, about how many bytes all of it takes, the
same with all that is queued before it, and what another formatter has made of it. It is one dict, because every
container that is kept brings the interpreter's garbage collector nearer, which costs more than all else here.
"""
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message", "asctime", "taskName", CONTEXT, SIZE, UPTO, LINE,
}  # fmt: skip
_OURS = frozenset({"level", "logger"})
_PLAIN_COUNT = len(logging.makeLogRecord({}).__dict__) + 1
"""Of what a record says when nobody has added anything, with its message; what is added comes behind."""
_IMMUTABLE = frozenset({str, int, float, bool, type(None)})
_MAX_TEXT = 32_000
_MAX_NAME = 200
_MOST_OF_A_FIELD = 128_000
_MARGIN = 100
"""For the braces, and for the number of fields that are left out."""

Captured = dict[str, Any]
"""A record's attributes with its message as text, and CONTEXT and SIZE."""
_BASE_BYTES = 1000
"""What a captured record takes besides its texts."""
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z
_LOOSE = _OPTIONS | orjson.OPT_NON_STR_KEYS


class JsonFormatter(logging.Formatter):
    """`fields` stand in every line; `redact` and `redact_patterns` extend what is redacted (see Redaction).

    The standard library's own arguments are taken, as its configurations give them, and change nothing.
    """

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Any = "%",
        validate: bool = True,
        *,
        fields: Mapping[str, Any] | None = None,
        redact: Iterable[str] | str = (),
        redact_patterns: Iterable[str] | str = (),
        defaults: Mapping[str, Any] | None = None,  # noqa: ARG002  (fileConfig's)
    ) -> None:
        super().__init__(fmt, datefmt, style, validate)
        self.static = dict(fields or {})
        self.redaction = Redaction(redact, redact_patterns)
        self._second = (0, "")

    def format(self, record: logging.LogRecord) -> str:
        """The line, redacted, without the line break."""
        return bounded(self.redaction.clean(encoded(self.fields(capture(record))))).decode()

    def fields(self, said: Captured) -> dict[str, Any]:
        """What the line says, in order; not yet redacted."""
        context = said[CONTEXT]
        fields: dict[str, Any] = {
            "timestamp": self._stamp(said["created"]),
            "level": said["levelname"],
            "logger": said["name"],
            "message": said["message"],
        }
        if self.static:
            fields |= self.static
        if context:
            fields.update(context)
        for name, value in said.items():
            if name not in _STANDARD:
                fields[f"extra_{name}" if name in _OURS else name] = value
        if said["stack_info"]:
            fields["stack_info"] = said["stack_info"]
        return fields

    def _stamp(self, created_s: float) -> str:
        """`2024-01-15T10:30:00.000Z`; what is finer is cut."""
        millis = int(created_s * 1000 + 1e-4)  # 0.999 is not 0.998
        second, text = self._second
        if second != millis // 1000:
            second = millis // 1000
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, text)
        return f"{text}.{millis % 1000:03}Z"


def capture(record: logging.LogRecord) -> Captured:
    """What a record and its context say now, so that nothing in them can change before it is written."""
    said = record.__dict__.copy()
    try:
        message = record.getMessage()
    except Exception as error:  # noqa: BLE001  (the call's arguments do not fit, or will not be shown)
        message = f"{_text(record.msg)} % {_text(record.args)} [{type(error).__name__}: {_text(error)}]"
    said["message"] = message
    size = _BASE_BYTES + len(message)
    if len(said) > _PLAIN_COUNT:
        for name, value in islice(record.__dict__.items(), _PLAIN_COUNT - 1, None):
            if type(value) is str:
                size += len(value)
            elif type(value) not in _IMMUTABLE and name not in _STANDARD:
                said[name], bytes_ = _kept(value)
                size += bytes_
    if record.exc_info or record.exc_text:
        said |= (trace := _exception(record))
        said["exc_info"] = None
        size += sum(map(len, trace.values()))
    said["args"] = None
    context = said[CONTEXT] = current()
    if context:
        held = {name: _kept(value) for name, value in context.items()}
        said[CONTEXT] = {name: value for name, (value, _) in held.items()}
        size += sum(bytes_ for _, bytes_ in held.values())
    said[SIZE] = size
    return said


def _kept(value: Any) -> tuple[Any, int]:
    """A value that cannot change any more, and about how many bytes it takes."""
    if type(value) in _IMMUTABLE:
        return value, len(value) if type(value) is str else 0
    if isinstance(value, str):
        return str.__str__(value), len(value)
    said = _said(value)
    return (orjson.Fragment(said) if isinstance(said, bytes) else said), len(said)


def encoded(fields: Mapping[str, Any]) -> bytes:
    """JSON of the fields, at most MAX_BYTES: texts are cut, and fields that do not fit left out."""
    try:
        line = orjson.dumps(fields, _shown, _OPTIONS)
    except (TypeError, ValueError, RecursionError):
        line = orjson.dumps({_text(name): _sayable(value) for name, value in fields.items()}, option=_LOOSE)
    if len(line) <= MAX_BYTES:
        return line
    return _fitted(orjson.loads(line))


def _fitted(fields: dict[str, Any]) -> bytes:
    """The first fields that fit, each cut; how many do not is said. Its time follows their number alone."""
    short: dict[str, Any] = {}
    room, left_out = MAX_BYTES - _MARGIN, 0
    for name, value in fields.items():
        key, cut = name[:_MAX_NAME], _cut(value)
        size = len(orjson.dumps({key: cut}))
        if size > _MOST_OF_A_FIELD:
            cut = f"[{size} bytes left out]"
            size = len(orjson.dumps({key: cut}))
        if size > room:
            left_out += 1
            continue
        short[key] = cut
        room -= size
    if left_out:
        short["fields_left_out"] = left_out
    return orjson.dumps(short)


def _exception(record: logging.LogRecord) -> dict[str, str]:
    if not record.exc_info or record.exc_info[0] is None:
        return {"error.stack_trace": record.exc_text} if record.exc_text else {}
    kind, error, trace = record.exc_info
    try:
        text = record.exc_text or "".join(traceback.format_exception(kind, error, trace)).rstrip()
    except Exception:  # noqa: BLE001  (an exception that cannot be shown)
        text = ""
    return {"error.type": type_name(kind), "error.message": _text(error), "error.stack_trace": text}


def type_name(kind: type) -> str:
    """`ValueError`, `psycopg2.OperationalError`: as a traceback says it."""
    return (
        kind.__qualname__
        if kind.__module__ in ("builtins", "__main__")
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _shown(value: Any) -> Any:
    """What orjson does not know: a set, bytes, a number of another library; else as text."""
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode(errors="replace")
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return _text(value)


def _sayable(value: Any) -> Any:
    """The value, if it is one that JSON can say by itself; else its text."""
    said = _said(value)
    return orjson.Fragment(said) if isinstance(said, bytes) else said


def _said(value: Any) -> bytes | str:
    """As JSON, or as text where JSON cannot say it."""
    try:
        return orjson.dumps(value, _shown, _LOOSE)
    except (TypeError, ValueError, RecursionError):
        return _text(value)


def _text(value: Any) -> str:
    """As text that UTF-8 can hold, of bounded length; never raises."""
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001  (anybody's __str__)
        text = f"[{type(value).__name__} that cannot be shown]"
    return text[:_MAX_TEXT].encode(errors="replace").decode()


def _cut(value: Any) -> Any:
    return shortened(value, _MAX_TEXT) if isinstance(value, str) else value


def shortened(text: str, most: int) -> str:
    """A long text without its middle: a traceback says most at its ends."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[{len(text) - most} characters left out]\n{text[-half:]}"


def bounded(line: bytes) -> bytes:
    """A line of at most MAX_BYTES: redaction may have made it longer, and a text may be of any length."""
    if len(line) <= MAX_BYTES:
        return line
    with contextlib.suppress(ValueError):
        fields = orjson.loads(line)
        if isinstance(fields, dict):
            return _fitted(fields)
    short = shortened(line.decode(errors="replace"), MAX_BYTES // 4 - _MARGIN)
    return short.encode()
