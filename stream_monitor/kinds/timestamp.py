"""The timestamps that logs carry → UTC milliseconds.

The plain notation (`2024-01-15T10:30:00.000Z`) is three dictionary look-ups; every other one takes the
slow way through a regular expression. docs/reference/kinds.md says which notations there are.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

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
