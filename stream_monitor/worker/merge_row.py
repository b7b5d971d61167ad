"""The rows of the merge's table: a minute's newest partials, and what hours and days have taken in.

    m  minute   the newest partial of each source partition
    h  hour     the minutes that have retired into it (a bit each) and their merge
    d  day      the hours that have retired into it, likewise
    s  stub     of a retired minute: what each source partition had, for counting late records

A longer window is its own base plus its live parts. A part retires into the base and leaves its bit; a part
whose bit is set is in the base already, whatever still stands in the table.
"""

from __future__ import annotations

from typing import Any

from stream_monitor import wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.record import Kind

MINUTE, HOUR, DAY, STUB = b"m", b"h", b"d", b"s"


def tag(what: bytes, kind: str) -> bytes:
    """The key prefix of a kind's rows: kinds retire at their own pace."""
    return what + kind.encode() + b"\0"


class MinuteRow:
    """One minute of one series: by source partition (offset, records, packed aggregate).

    The aggregates stay packed: a tenth of the memory, and the row is written without packing them again.
    """

    __slots__ = ("key", "kind", "parts", "series", "start_ms", "touched", "unsaved")

    def __init__(self, kind: Kind, key: bytes, series: bytes, start_ms: int, stored: bytes | None) -> None:
        self.kind = kind
        self.key = key
        self.series = series
        self.start_ms = start_ms
        self.touched = False
        self.unsaved = False
        self.parts: dict[int, tuple[int, int, bytes]] = {}
        if stored is not None:
            self.parts = {
                p: (offset, records, packed) for p, offset, records, packed in wire.row_in(stored)["parts"]
            }

    def take(self, partial: wire.Partial) -> int:
        """Keep the partial if it holds more than the one there; returns how many records more."""
        offset, records, _ = self.parts.get(partial.partition, (-1, 0, b""))
        if partial.offset <= offset:
            return 0
        self.parts[partial.partition] = (partial.offset, partial.records, partial.packed)
        return partial.records - records

    def whole(self) -> Aggregate:
        """A new aggregate of all parts."""
        first, *others = (wire.aggregate_in(self.kind, packed) for _, _, packed in self.parts.values())
        for other in others:
            first.merge(other)
        return first

    def settled(self) -> Aggregate:
        """The same, ready to be merged into an hour."""
        whole = self.whole()
        whole.settle()
        return whole

    def out(self) -> bytes:
        """The row's bytes."""
        return wire.row_out({"parts": [(p, *part) for p, part in self.parts.items()]})


class RollupRow:
    """An hour (of minutes) or a day (of hours): what has retired into it."""

    __slots__ = ("base", "taken", "unsaved")

    def __init__(self, kind: Kind, stored: bytes | None) -> None:
        self.taken = 0
        """Bit i: the i-th part is in the base."""
        self.base = Aggregate.empty(kind)
        self.unsaved = False
        if stored is not None:
            plain: dict[str, Any] = wire.row_in(stored)
            self.taken = plain["taken"]
            self.base = wire.aggregate_in(kind, plain["base"])

    def has(self, part: int) -> bool:
        """The part is in the base."""
        return bool(self.taken >> part & 1)

    def take(self, part: int, settled: Aggregate) -> None:
        """Merge a retired part into the base, once."""
        if not self.has(part):
            self.base.merge(settled)
            self.taken |= 1 << part
            self.unsaved = True

    def out(self) -> bytes:
        """The row's bytes."""
        return wire.row_out({"taken": self.taken, "base": wire.aggregate_out(self.base)})
