"""Counts by source partition that survive a crash exactly: a sum, and what is still open by window.

    windows   |  09:58   09:59  |  10:00   10:01   10:02
              |     summed      |  counted by window
                          until_ms

A window's own state (its rows) says what it holds, and it is saved whole or not at all; a sum beside it is saved
at another moment. So a count goes into the sum only when its window takes nothing more, and what is later is
counted again from the rows at a start.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Ledger:
    """How many log records, by source partition. Windows are known by their end, in UTC milliseconds."""

    until_ms: int = 0
    """Windows that end at or before it are in `summed`."""
    summed: dict[int, int] = field(default_factory=dict)
    by_window: dict[int, dict[int, int]] = field(default_factory=dict)

    def add(self, end_ms: int, partition: int, times: int) -> None:
        """Count records of a window that is not summed yet."""
        counts = self.by_window.setdefault(end_ms, {})
        counts[partition] = counts.get(partition, 0) + times

    def close(self, until_ms: int) -> None:
        """Windows that end at or before it take nothing more."""
        self.until_ms = max(self.until_ms, until_ms)
        for end_ms in [end_ms for end_ms in self.by_window if end_ms <= self.until_ms]:
            _add(self.summed, self.by_window.pop(end_ms))

    def totals(self) -> dict[int, int]:
        """By source partition, all windows together."""
        totals = dict(self.summed)
        for counts in self.by_window.values():
            _add(totals, counts)
        return totals


def _add(totals: dict[int, int], counts: dict[int, int]) -> None:
    for partition, times in counts.items():
        totals[partition] = totals.get(partition, 0) + times
