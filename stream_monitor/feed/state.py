"""What a feed says of itself, in words that a banner can show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["connecting", "missing", "loading", "live", "lost"]

SKEW_AHEAD_MS = 10_000
SKEW_BEHIND_MS = 180_000
"""An open minute is up to 60 s old, closes a few seconds later, and may wait for slow partitions."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """`since_ms`: when the phase began. `why`: where the broker is lost, or the topics are missing, in a line."""

    phase: Phase = "connecting"
    since_ms: int = 0
    why: str = ""
    last_record_ms: int | None = None
    """When the last record of a metrics topic came."""
    skew_ms: int | None = None
    """How far the newest data are ahead of this clock (positive) or behind it while they come; None: neither."""
    records: int = 0
    """Read so far."""


def skew(newest_start_ms: int, arrived_ms: int) -> int | None:
    """How far a window that has just changed is from the clock that saw it come; None: as far as usual."""
    if newest_start_ms > arrived_ms + SKEW_AHEAD_MS:
        return newest_start_ms - arrived_ms
    if newest_start_ms < arrived_ms - SKEW_BEHIND_MS:
        return newest_start_ms - arrived_ms
    return None
