"""What waits in memory between the callers and the sender's thread: bounded, and without a lock.

`put` may be called by any thread, `take` by one. Both are a handful of operations of which each is atomic under
CPython's lock; two callers at once may let a record more in than `max_bytes` allows, never more than that.
"""

from __future__ import annotations

from collections import deque

from stream_monitor.shipping.formatter import Captured

_BASE_BYTES = 1000
"""What a captured record costs besides its texts."""


class Buffer:
    """First in, first out; at most `max_records` and about `max_bytes`."""

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._max_records, self._max_bytes = max_records, max_bytes
        self._items: deque[Captured] = deque()
        self._in_bytes = self._out_bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, captured: Captured) -> bool:
        """Append it; False, and it is not taken, where there is no room."""
        if len(self._items) >= self._max_records or self._in_bytes - self._out_bytes >= self._max_bytes:
            return False
        self._in_bytes += _bytes(captured)
        self._items.append(captured)
        return True

    def take(self, most: int) -> list[Captured]:
        """The first ones, at most that many."""
        taken = [self._items.popleft() for _ in range(min(len(self._items), most))]
        self._out_bytes += sum(map(_bytes, taken))
        return taken


def _bytes(captured: Captured) -> int:
    """About what it takes: its message, a traceback, and all else by the piece."""
    said = captured[0]
    trace = said.get("error.stack_trace")
    return _BASE_BYTES + len(said["message"]) + (len(trace) if trace else 0)
