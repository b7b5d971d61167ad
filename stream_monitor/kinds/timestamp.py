"""The timestamps that logs carry → UTC milliseconds.

A column of the plain notation (`2024-01-15T10:30:00.000Z`) is read as a matrix of characters, its minutes from a
dictionary; where a column holds anything else, each is read by itself, the unusual ones by a regular
expression. docs/reference/kinds.md says which notations there are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import numpy as np

from stream_monitor.core.lines import Ints

EARLIEST_MS = 946_684_800_000
"""2000-01-01: what claims to be older is a unit mistaken or a clock never set."""
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""

_SECONDS = {f"{second:02}.": second * 1000 for second in range(60)}
_MILLIS = {f"{milli:03}Z": milli for milli in range(1000)}
_MINUTES_CAP = 10_000
_minutes: dict[str, int] = {}
"""`2024-01-15T10:30:` → milliseconds of that minute; filled by the slow way, emptied when full."""

_NOTATION = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)


UNREADABLE = -1


def parse_timestamps(column: Sequence[str | float | None]) -> Ints:
    """Logs' timestamps in UTC milliseconds; UNREADABLE for None and for what `parse_timestamp` cannot read."""
    found = _parse_plain(column) if column else None
    if found is None:
        each = (None if value is None else parse_timestamp(value) for value in column)
        found = np.array([UNREADABLE if millis is None else millis for millis in each], dtype=np.int64)
    return found


_PLAIN = len("2024-01-15T10:30:00.000Z")
_MINUTE = len("2024-01-15T10:30:")
_WORD = np.dtype("<u8")
"""Eight characters, the first the lowest byte: `2024-01-`, `15T10:30` and `:00.000Z`."""


def _word(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(text.encode("latin-1"), "little"))


_ZEROS, _IS_MARK = _word(":00.000Z"), _word("\xff\0\0\xff\0\0\0\xff")
_DIGITS = ((1, 10_000), (2, 1_000), (4, 100), (5, 10), (6, 1))
"""(place in the last word, milliseconds) of the digits."""


def _parse_plain(column: Sequence[str | float | None]) -> Ints | None:
    """The column, if all of it is in the plain notation; else None."""
    try:
        text = "".join(column).encode("ascii")  # type: ignore[arg-type]  # what is no text raises
    except (TypeError, UnicodeEncodeError):
        return None
    if len(text) != len(column) * _PLAIN or max(map(len, column)) != _PLAIN:  # type: ignore[arg-type]
        return None
    words = np.frombuffer(text, _WORD).reshape(-1, 3)
    day, minute, rest = words[:, 0], words[:, 1], words[:, 2] ^ _ZEROS  # a digit's character ^ 0's is the digit
    millis = np.zeros(len(column), dtype=np.int64)
    for place, weight in _DIGITS:
        digit = (rest >> np.uint64(8 * place)).astype(np.uint8)
        if (digit > 9).any():
            return None
        millis += digit * np.int64(weight)
    if (rest & _IS_MARK).any() or (millis > 59_999).any():
        return None
    changes = np.flatnonzero((day[1:] != day[:-1]) | (minute[1:] != minute[:-1])) + 1
    starts = [0, *changes.tolist()]
    minutes = [_minute(column[start][:_MINUTE]) for start in starts]  # type: ignore[index]
    if None in minutes:
        return None
    times: Ints = np.repeat(np.array(minutes), np.diff(starts, append=len(column))) + millis
    return times


def _minute(prefix: str) -> int | None:
    """`2024-01-15T10:30:` → milliseconds."""
    known = _minutes.get(prefix)
    return parse_timestamp(f"{prefix}00.000Z") if known is None else known


def parse_timestamp(value: str | float) -> int | None:
    """A log's timestamp in UTC milliseconds, or None where it can't be read or is of before 2000."""
    if type(value) is str:
        try:
            return _minutes[value[:17]] + _SECONDS[value[17:20]] + _MILLIS[value[20:]]
        except KeyError:
            return _parse_text(value)
    return _parse_number(float(value))


def _parse_number(value: float) -> int | None:
    """Seconds below 1e11 (the year 5138), milliseconds from there on; to the nearest millisecond."""
    millis = round(value * 1000 if value < 1e11 else value)
    return millis if EARLIEST_MS <= millis <= LATEST_MS else None


def _parse_text(text: str) -> int | None:
    match = _NOTATION.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=_zone(zone))
        seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None
    millis = seconds * 1000 + (int(fraction[:3].ljust(3, "0")) if fraction else 0)
    if not EARLIEST_MS <= millis <= LATEST_MS:
        return None
    if zone == "Z" and text[10] == "T" and len(text) == 24 and text[19] == ".":
        _remember_minute(text[:17], seconds // 60 * 60_000)
    return millis


def _zone(zone: str | None) -> timezone:
    if zone is None or zone in "Zz":
        return UTC
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return timezone(-offset if zone[0] == "-" else offset)


def _remember_minute(prefix: str, millis: int) -> None:
    if len(_minutes) >= _MINUTES_CAP:
        _minutes.clear()
    _minutes[prefix] = millis
