"""How far a source topic has come, told by the owners of its partitions; when its windows close and retire.

Rules:
1. A window closes when the lowest watermark over all partitions of its topic has passed its end plus grace.
2. A partition that nobody has spoken for holds everything: silence is not idleness.
3. An idle partition was verified empty by its owner at a moment; its watermark is that moment.
4. A window retires when the owner of every partition has retired it. In place of an idle partition's owner:
   it was verified empty later, by a margin, than all that are not idle had come so far.

Closing is a hint and takes nothing away, so rule 3 may trust the clock. Retiring does take away, and a topic
may be read faster than its time passes (a backlog, a replay): between two looks at an idle partition the
others can pass days. Hence rule 4: what the others have reached counts only for looks that came after.

    partition 0   ──── retired up to 10:00 at t1 ──── up to 16:00 at t3 ───▶
    partition 1   ─────────────── empty at t2 ───────────────────────────▶   10:00 may retire, 16:00 may not
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(slots=True)
class PartitionProgress:
    """What the owner of a source partition said last. Milliseconds; watermark and frontier of event time."""

    position: int
    """The source offset after the last record that it had processed: of two words the one further on is newer."""
    watermark_ms: int
    frontier_ms: int
    """Windows that end at or before it have retired in the owner."""
    idle: bool
    at_ms: int
    """The owner's clock; with `idle`, just before the partition was verified empty."""
    cleared_ms: int = 0
    """Windows up to here take nothing from this partition, by rule 4."""
    reached: tuple[tuple[int, int], ...] = ()
    """(at_ms, frontier_ms) of at most two moments, a margin apart, while it was not idle."""

    def reached_at(self, at_ms: int) -> int:
        """The frontier that it had at a moment, or an earlier one."""
        return max((frontier for at, frontier in self.reached if at <= at_ms), default=0)


@dataclass(slots=True)
class TopicProgress:
    """A source topic's partitions; `expected` is how many it has."""

    margin_ms: int
    expected: int = 0
    partitions: dict[int, PartitionProgress] = field(default_factory=dict)

    def update(self, partition: int, expected: int, said: PartitionProgress) -> None:
        """Take what an owner says. A watermark or frontier never moves back, and an older word never wins."""
        self.expected = max(self.expected, expected)
        now = replace(said)
        seen = self.partitions.get(partition)
        if seen is not None:
            now.watermark_ms = max(seen.watermark_ms, said.watermark_ms)
            now.frontier_ms = max(seen.frontier_ms, said.frontier_ms)
            now.cleared_ms, now.reached = seen.cleared_ms, seen.reached
            if said.position < seen.position:  # a former owner's, late
                now.position, now.idle, now.at_ms = seen.position, seen.idle, seen.at_ms
        self.partitions[partition] = now
        if now.idle:
            now.cleared_ms = max(now.cleared_ms, self._reached_by_the_others(now.at_ms - self.margin_ms))
        elif not now.reached or now.at_ms >= now.reached[-1][0] + self.margin_ms:
            now.reached = (*now.reached[-1:], (now.at_ms, now.frontier_ms))

    def _reached_by_the_others(self, at_ms: int) -> int:
        return min((each.reached_at(at_ms) for each in self.partitions.values() if not each.idle), default=0)

    @property
    def _complete(self) -> bool:
        return bool(self.expected) and len(self.partitions) >= self.expected

    def closing_ms(self) -> int:
        """The watermark that closes windows (rules 1 to 3); 0 while a partition is unheard of."""
        if not self._complete:
            return 0
        return min(max(p.watermark_ms, p.at_ms) if p.idle else p.watermark_ms for p in self.partitions.values())

    def retired_ms(self) -> int:
        """Windows that end at or before it have retired (rules 2 and 4); 0 where none has."""
        if not self._complete:
            return 0
        return min(max(p.frontier_ms, p.cleared_ms) if p.idle else p.frontier_ms for p in self.partitions.values())
