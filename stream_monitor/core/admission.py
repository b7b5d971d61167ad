"""Which series get rows of their own: a bounded number at a time. The records of the others are still counted,
in one series named OTHER.

A series is known while a window of it takes records. Who comes when there is no room stays outside until a known
one has retired; room is looked for once a minute of event time, so that a flood of names costs a look-up each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_monitor.core.window import MINUTE_MS

Labels = tuple[str, ...]


@dataclass(slots=True)
class Admission:
    """The known series of a source partition; `keep_ms` after the start of a window it has retired."""

    most: int
    keep_ms: int
    known: dict[Labels, int] = field(default_factory=dict)
    """Series → the start of its latest window."""
    looked_ms: int = 0
    """When room was looked for last, by the watermark."""

    def has_room(self, series: int) -> bool:
        """So many more would all be admitted, in whatever order."""
        return len(self.known) + series <= self.most

    def admit(self, labels: Labels, start_ms: int, watermark_ms: int) -> bool:
        """The series may have a row for this window; remembered. Decided by the records alone."""
        latest_ms = self.known.get(labels)
        if latest_ms is None and len(self.known) >= self.most:
            self._forget_retired(watermark_ms)
            if len(self.known) >= self.most:
                return False
        self.known[labels] = max(start_ms, latest_ms or 0)
        return True

    def _forget_retired(self, watermark_ms: int) -> None:
        if watermark_ms < self.looked_ms + MINUTE_MS:
            return
        self.looked_ms = watermark_ms
        gone = [labels for labels, start_ms in self.known.items() if start_ms + self.keep_ms < watermark_ms]
        for labels in gone:
            del self.known[labels]
