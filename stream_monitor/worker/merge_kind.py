"""What the merge keeps for one kind of log: how far its topic is, which minutes are open, what was counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

from stream_monitor.core.ledger import Ledger
from stream_monitor.core.progress import PartitionProgress, TopicProgress
from stream_monitor.core.record import Kind
from stream_monitor.core.window import DAY_MS
from stream_monitor.worker.rollup import Rollups


class KindState:
    """One kind in one partials partition. `margin_ms` is that of the progress."""

    def __init__(self, kind: Kind, rollups: Rollups, margin_ms: int) -> None:
        self.kind = kind
        self.rollups = rollups
        self.progress = TopicProgress(margin_ms)
        self.clock_ms = 0
        """The owners' clock, as of their latest tick."""
        self.closed_ms = 0
        """The watermark that windows were last closed by."""
        self.retired_ms = 0
        """Windows that end at or before it take nothing more."""
        self.committed_retired_ms = 0
        """The same, as of the last committed checkpoint: what the next one sweeps."""
        self.committed_frontiers: dict[int, int] = {}
        """By source partition, as of the same checkpoint."""
        self.committed_safe_ms = 0
        """Late records of windows that end at or before it are summed, as of the same checkpoint."""
        self.swept_ms = 0
        """At a start: rows that end at or before it had left their tombstones."""
        self.inherited_ms = 0
        """A former owner may have published windows that begin before it."""
        self.open: dict[int, set[bytes]] = {}
        """Series by start, of the minutes that are not closed."""
        self.merged = Ledger()
        """Log records that are in results."""
        self.late = Ledger()
        """Log records that came for a window that had retired."""

    @property
    def safe_ms(self) -> int:
        """For windows that end at or before it nobody sends anything more; or they are a day too old."""
        frontiers = [said.frontier_ms for said in self.progress.partitions.values()]
        return max(min(frontiers, default=0), self.retired_ms - DAY_MS)

    def is_over(self, end_ms: int, parts: Iterable[tuple[int, list[int]]]) -> bool:
        """A retired minute's stub can go: its source partitions send no more, and what was late is summed."""
        parts = [*parts]
        frontiers = self.committed_frontiers
        over = all(frontiers.get(partition, 0) >= end_ms for partition, _ in parts)
        summed = end_ms <= self.committed_safe_ms
        return summed or (over and not any(late for _, (_, _, late) in parts))

    def retire(self, grace_ms: int) -> None:
        """Retire what the owners have retired, and nothing that is still open."""
        closed_ms = self.progress.closing_ms() - grace_ms - 1
        self.retired_ms = max(self.retired_ms, min(self.progress.retired_ms(), closed_ms))

    def meta(self) -> dict[str, Any]:
        """Its part of a checkpoint's meta row."""
        self.merged.close(self.retired_ms)
        self.late.close(self.safe_ms)
        return {
            "closed_ms": self.closed_ms,
            "retired_ms": self.retired_ms,
            "swept_ms": self.committed_retired_ms,  # the same checkpoint sweeps up to there
            "merged": [*self.merged.summed.items()],
            "safe_ms": self.late.until_ms,
            "late": [*self.late.summed.items()],
            "expected": self.progress.expected,
            "partitions": [(p, *astuple(said)) for p, said in self.progress.partitions.items()],
        }

    def restore(self, plain: dict[str, Any]) -> None:
        """Take what `meta` gave."""
        self.closed_ms, self.retired_ms = plain["closed_ms"], plain["retired_ms"]
        self.swept_ms = plain["swept_ms"]
        self.merged = Ledger(self.retired_ms, dict(plain["merged"]))
        self.late = Ledger(plain["safe_ms"], dict(plain["late"]))
        self.on_committed(plain)
        self.progress.expected = plain["expected"]
        self.progress.partitions = {
            p: PartitionProgress(position, mark, frontier, idle, at, cleared, tuple((a, f) for a, f in reached))
            for p, position, mark, frontier, idle, at, cleared, reached in plain["partitions"]
        }

    def on_committed(self, plain: dict[str, Any]) -> None:
        """The checkpoint with this meta is committed."""
        self.committed_retired_ms = plain["retired_ms"]
        self.committed_frontiers = {p: frontier for p, _, _, frontier, *_ in plain["partitions"]}
        self.committed_safe_ms = plain["safe_ms"]
