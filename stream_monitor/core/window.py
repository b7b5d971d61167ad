"""Tumbling windows in event time, and when they are over.

    start                end   end + grace              end + lateness
      |---- records -------|------|---------------------------|------------>  watermark
                                  closes: final               retires: later records are late

A window is half-open, `[start, end)`, and known by its start. All times are UTC milliseconds.
"""

from __future__ import annotations

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
SIZES_MS = (MINUTE_MS, HOUR_MS, DAY_MS)


def window_start(timestamp_ms: int, size_ms: int = MINUTE_MS) -> int:
    """The start of the window that holds the timestamp."""
    return timestamp_ms - timestamp_ms % size_ms


def is_closed(start_ms: int, watermark_ms: int, grace_ms: int, size_ms: int = MINUTE_MS) -> bool:
    """The watermark has passed its end plus grace: its result is final (a hint; corrections may follow)."""
    return watermark_ms > start_ms + size_ms + grace_ms


def is_retired(start_ms: int, watermark_ms: int, lateness_ms: int, size_ms: int = MINUTE_MS) -> bool:
    """The watermark has passed its end plus lateness: it takes no more records."""
    return watermark_ms > start_ms + size_ms + lateness_ms
