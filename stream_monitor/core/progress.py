"""How far a source topic has come, told by the owners of its partitions; when its windows close and retire.

Rules:
1. A window closes when the lowest watermark over all partitions of its topic has passed its end plus grace.
2. A partition that nobody has spoken for holds the watermark: silence is not idleness.
3. An idle partition follows the clock for closing: nothing is due from it, as far as its owner knows.
4. A window retires when every partition's owner has retired it; idle partitions are left out, and where all
   are idle nothing retires.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class PartitionProgress:
    """What the owner of a source partition said last. Milliseconds of event time."""

    watermark_ms: int
    frontier_ms: int
    idle: bool


@dataclass(slots=True)
class TopicProgress:
    """A source topic's partitions; `expected` is how many it has."""

    expected: int = 0
    partitions: dict[int, PartitionProgress] = field(default_factory=dict)

    def update(self, partition: int, expected: int, progress: PartitionProgress) -> None:
        """Take what an owner says. A watermark or frontier never moves back."""
        seen = self.partitions.get(partition)
        if seen is not None:
            progress = PartitionProgress(
                max(seen.watermark_ms, progress.watermark_ms),
                max(seen.frontier_ms, progress.frontier_ms),
                progress.idle,
            )
        self.partitions[partition] = progress
        self.expected = max(self.expected, expected)

    def closing_ms(self, now_ms: int) -> int:
        """The watermark that closes windows (rules 1 to 3); 0 while a partition is unheard of."""
        if not self.expected or len(self.partitions) < self.expected:
            return 0
        return min(
            max(progress.watermark_ms, now_ms) if progress.idle else progress.watermark_ms
            for progress in self.partitions.values()
        )

    def retired_ms(self) -> int:
        """Windows that end at or before it have retired (rule 4); 0 where none has."""
        if not self.expected or len(self.partitions) < self.expected:
            return 0
        return min((progress.frontier_ms for progress in self.partitions.values() if not progress.idle), default=0)
