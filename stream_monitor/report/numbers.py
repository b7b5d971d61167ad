"""Numbers for a person: short, with their thousands apart, a dash where there is none."""

from __future__ import annotations

_SCIENTIFIC = 1e12
_LONG_H = 1000
"""From here on minutes say nothing."""


def number(value: float | None) -> str:
    """With thousands apart; one decimal below 100 where there is one (`<0.1`, never `0.0`); `1.23e12`."""
    if value is None:
        return "–"
    if abs(value) >= _SCIENTIFIC:
        return f"{value:.2e}".replace("e+", "e")
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return "<0.1" if 0 < value < 0.05 else f"{value:.1f}"


def percent(ratio: float | None) -> str:
    """A ratio as a percentage."""
    return "–" if ratio is None else f"{ratio * 100:.2f} %"


def duration(ms: float | None) -> str:
    """Milliseconds in the unit that fits: `840 ms`, `29.2 s`, `3 min 21 s`, `2 h 5 min`."""
    if ms is None:
        return "–"
    if round(ms) < 1000:
        return f"{number(ms)} ms"
    if round(ms / 1000, 1) < 60:
        return f"{ms / 1000:.1f} s"
    if round(ms / 1000) < 3600:
        minutes, seconds = divmod(round(ms / 1000), 60)
        return f"{minutes} min {seconds} s"
    return span(ms / 1000)


def span(seconds: float) -> str:
    """Hours and minutes: `24 h 16 min`, `1 h`, `16 min`."""
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = [f"{number(hours)} h"] if hours else []
    if not hours or (minutes and hours < _LONG_H):
        parts.append(f"{minutes} min")
    return " ".join(parts)
