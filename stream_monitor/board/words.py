"""Numbers and times for a person, short: a dash where there is none. All times are UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from stream_monitor.core.view import Query
from stream_monitor.core.window import HOUR_MS, MINUTE_MS

DASH = "–"


_UNITS = ("", "k", "M", "G", "T", "P")


def short(value: float | None) -> str:
    """At most five characters: `0.5`, `12`, `1.2k`, `39M`; a dash for None."""
    if value is None:
        return DASH
    if value < 0:
        return f"-{short(-value)}"
    if value == 0:
        return "0"
    if value < 0.095:
        return f"{value:.2g}" if value >= 0.001 else "0"
    unit = 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value /= 1000
        unit += 1
    digits = f"{value:.1f}" if value < 9.95 and value != int(value) else f"{value:.0f}"
    return digits + _UNITS[unit]


def percent(ratio: float | None) -> str:
    """`0.4%`, `12%`; a dash for None."""
    if ratio is None:
        return DASH
    value = ratio * 100
    return f"{value:.0f}%" if value >= 9.95 or value == 0 else f"{value:.1f}%" if value >= 0.05 else "<0.1%"


def span(ms: float | None) -> str:
    """A duration in the unit that fits: `8.2ms`, `840ms`, `1.2s`, `3m21s`, `2h05m`, `4d`."""
    if ms is None:
        return DASH
    if ms < 0:  # a clock was set back
        return f"-{span(-ms)}"
    if 0 < ms < 0.05:
        return "<0.1ms"
    if ms < 999.5:
        return f"{ms:.1f}ms" if ms < 9.95 and ms != int(ms) else f"{ms:.0f}ms"
    if ms < 59_950:
        return f"{ms / 1000:.1f}s"
    seconds = round(ms / 1000)
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    if seconds < 172_800:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"
    return f"{seconds // 86_400}d"


def ago(ms: float | None) -> str:
    """How long something is past: `now`, `40s`, `3m`, `2h`, `4d`."""
    if ms is None:
        return DASH
    seconds = max(0, round(ms / 1000))
    if seconds < 10:
        return "now"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size * (2 if unit == "d" else 1):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def length(ms: int) -> str:
    """A range's or step's length: `15 min`, `24 h`, `7 d`, `2 d 6 h`."""
    parts = []
    days = 86_400_000 if ms >= 172_800_000 else 1 << 62
    for size, unit in ((days, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")):
        if ms >= size:
            parts.append(f"{ms // size} {unit}")
            ms %= size
    return " ".join(parts) or "0 s"


def _moment(ms: int) -> datetime | None:
    """None where no calendar has it: a producer may stamp a record with any number."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def clock(ms: int, *, seconds: bool = True) -> str:
    """`10:30:05`, or `10:30`; UTC, as everywhere; a dash for what is no time."""
    at = _moment(ms)
    return DASH if at is None else at.strftime("%H:%M:%S" if seconds else "%H:%M")


def day(ms: int) -> str:
    """`15 Jan`."""
    at = _moment(ms)
    return DASH if at is None else f"{at.day} {at:%b}"


def moment(ms: int) -> str:
    """`2024-01-15 10:30:05`."""
    at = _moment(ms)
    return DASH if at is None else at.strftime("%Y-%m-%d %H:%M:%S")


def range_words(query: Query) -> str:
    """`10:31–11:31`, `14 Jan 10:31 – 15 Jan 10:31`."""
    first, last = query.from_ms, query.range.to_ms
    if last - first <= 12 * HOUR_MS:
        return f"{clock(first, seconds=False)}–{clock(last, seconds=last % MINUTE_MS != 0 and not query.live)}"
    return f"{day(first)} {clock(first, seconds=False)} – {day(last)} {clock(last, seconds=False)}"
