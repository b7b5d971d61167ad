"""Alerts that nobody is told of for a while. A silence hides; it does not stop a rule, and it always ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple


class Silence(NamedTuple):
    """Name (`rule`, `kind`, `severity`, `entity` or a label) → patterns of which one must fit; all names must."""

    match: Mapping[str, tuple[str, ...]]
    since_ms: int
    until_ms: int
    reason: str

    def covers(self, named: Mapping[str, str], now_ms: int) -> bool:
        """It is on, and about an alert with these."""
        return self.since_ms <= now_ms < self.until_ms and all(
            name in named and any(fnmatchcase(named[name], pattern) for pattern in patterns)
            for name, patterns in self.match.items()
        )


def silenced_by(silences: Iterable[Silence], named: Mapping[str, str], now_ms: int) -> Silence | None:
    """The silence that covers an alert longest, or None."""
    covering = [silence for silence in silences if silence.covers(named, now_ms)]
    return max(covering, default=None, key=lambda silence: silence.until_ms)
