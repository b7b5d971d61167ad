"""Which time is on screen: a range that ends now, or in the past and may play. Pure; the clock is an argument."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from stream_monitor.core.snapshot import Range
from stream_monitor.core.view import Query, step_for
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS

RANGES_MS = (15 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS, 7 * DAY_MS, 30 * DAY_MS)
SPEEDS = (1, 2, 5, 10, 30, 60)
INTERVALS_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

LEAST_MS, MOST_MS = 5 * MINUTE_MS, 400 * DAY_MS

_AHEAD_MS = 10 * MINUTE_MS
"""Windows this far ahead of the clock are shown: one of the clocks is wrong, and the data are still data."""
_UNIT_MS = {"s": 1000, "m": MINUTE_MS, "min": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_SPAN = re.compile(r"(\d{1,6}(?:\.\d+)?)\s*(s|min|m|h|d|w)")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")


@dataclass(frozen=True)
class When:
    """`at_ms` None: now. Otherwise the range ends there, and moves on at `speed` where `plays`."""

    length_ms: int = HOUR_MS
    at_ms: int | None = None
    plays: bool = False
    speed: int = 1

    @property
    def is_live(self) -> bool:
        """The range ends now."""
        return self.at_ms is None

    def query(
        self,
        now_ms: int,
        newest_ms: int = 0,
        series: int = 0,
        words: tuple[tuple[str, ...], ...] = (),
        picked: frozenset[tuple[str, tuple[str, ...]]] = frozenset(),
    ) -> Query:
        """The question to the feed. `newest_ms`: start of the newest window that is known."""
        to_ms = now_ms if self.at_ms is None else self.at_ms
        if self.at_ms is None and now_ms < newest_ms <= now_ms + _AHEAD_MS:
            to_ms = newest_ms + 1
        step = step_for(self.length_ms, now_ms - to_ms + self.length_ms, series)
        first = to_ms - self.length_ms
        return Query(Range(first - first % step, to_ms), step, self.is_live, words, picked)

    def jump(self, at_ms: int, now_ms: int) -> When:
        """To a moment; to now, where that is not past."""
        return self.now() if at_ms >= now_ms else replace(self, at_ms=max(0, at_ms), plays=False)

    def now(self) -> When:
        """Live."""
        return replace(self, at_ms=None, plays=False)

    def step(self, by: int, step_ms: int, now_ms: int) -> When:
        """Some steps back or on."""
        at = now_ms if self.at_ms is None else self.at_ms
        return self.jump(at + by * step_ms, now_ms)

    def played(self, elapsed_ms: float, now_ms: int) -> When:
        """After this much time; it arrives at now and is live again."""
        if self.at_ms is None or not self.plays:
            return self
        at = self.at_ms + round(elapsed_ms * self.speed)
        return self.now() if at >= now_ms else replace(self, at_ms=at)

    def faster(self, by: int) -> When:
        """The next speed, or the one before."""
        index = SPEEDS.index(self.speed) if self.speed in SPEEDS else 0
        return replace(self, speed=SPEEDS[max(0, min(len(SPEEDS) - 1, index + by))])

    def longer(self, by: int) -> When:
        """The next range of RANGES_MS, or the one before."""
        if by > 0:
            found = next((r for r in RANGES_MS if r > self.length_ms), self.length_ms)
        else:
            found = next((r for r in reversed(RANGES_MS) if r < self.length_ms), self.length_ms)
        return replace(self, length_ms=found)


def length_of(text: str) -> int | None:
    """`90m`, `2h`, `1d 6h` → milliseconds, at least five minutes; None where it is no length."""
    rest = _SPAN.sub("", text.strip().lower())
    found = _SPAN.findall(text.lower())
    if rest.strip() or not found:
        return None
    total = round(sum(float(number) * _UNIT_MS[unit] for number, unit in found))
    return min(MOST_MS, max(LEAST_MS, total - total % MINUTE_MS))


def moment_of(text: str, now_ms: int) -> int | None:
    """`now`, `now-2h`, `-2h`, `2h ago`, `14:30`, `yesterday 14:30`, `2024-01-15 10:30` → UTC milliseconds;
    None for others.

    A time of day is the last one that is past.
    """
    plain = " ".join(text.strip().lower().replace("utc", "").split())
    if plain in ("now", "live"):
        return now_ms
    back = plain.removeprefix("now").removeprefix("-").removesuffix(" ago").strip()
    if not _SPAN.sub("", back).strip() and _SPAN.search(back):
        return now_ms - round(sum(float(number) * _UNIT_MS[unit] for number, unit in _SPAN.findall(back)))
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    days = 1 if plain.startswith("yesterday") else 0
    match = _CLOCK.fullmatch(plain.removeprefix("yesterday").strip())
    try:
        if match:
            hour, minute, second = (int(part or 0) for part in match.groups())
            at = now.replace(hour=hour, minute=minute, second=second, microsecond=0) - timedelta(days=days)
            at -= timedelta(days=1) if at > now else timedelta()
        else:
            at = datetime.fromisoformat(text.strip().upper().removesuffix("UTC").strip())
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
