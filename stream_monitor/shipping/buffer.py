"""What waits in memory between the callers and the sender's thread: bounded, and without a lock.

`put` may be called by any thread, `take` by one. Every item carries the bytes of all up to itself, so that what
waits is the last one's less what was taken: no count drifts, whatever happens at once. Two callers that see the
same last one let a record more in than `max_bytes` allows, until these are taken.
"""

from __future__ import annotations

from collections import deque

from stream_monitor.shipping.formatter import SIZE, UPTO, Captured


class Buffer:
    """First in, first out; at most `max_records` and about `max_bytes`."""

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._max_records, self._max_bytes = max_records, max_bytes
        self._items: deque[Captured] = deque()
        self._taken = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def size_bytes(self) -> int:
        """About what is in it takes."""
        items = self._items
        return items[-1][UPTO] - self._taken if items else 0

    def put(self, captured: Captured) -> bool:
        """Append it; False, and it is not taken, where there is no room."""
        items = self._items
        try:
            upto = items[-1][UPTO]
        except IndexError:  # empty, or just emptied
            upto = self._taken
        if len(items) >= self._max_records or upto - self._taken >= self._max_bytes:
            return False
        captured[UPTO] = upto + captured[SIZE]
        items.append(captured)
        return True

    def take(self, most: int) -> list[Captured]:
        """The first ones, at most that many."""
        items = self._items
        count = min(len(items), most)
        if not count:
            return []
        self._taken = items[count - 1][UPTO]
        return [items.popleft() for _ in range(count)]
