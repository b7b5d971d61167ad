"""Logs on disk until Kafka has them: append-only segments with checksums, bounded, of one process at a time.

    <spool>/<broker>/<host>-<pid>-<run>/   lock                    held by its process as long as it lives
                                           ack                     the number of the first log not yet delivered
                                           aside                   Kafka refused it; to be tried again in a while
                                           0000000000000000.log …  segments, by the number of their first log

Every log of a run has a number, counted from 0; its `ce_id` is `<run>-<number>`, also when another process
delivers it after this one was killed. What is written reaches the kernel at once (it survives a kill of the
process) and is never fsynced (it need not survive a power cut). What a damaged place has cost is counted, and read
is what stands behind it. One thread at a time uses a Spool.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from stream_monitor.shipping.frame import Item, frames, packed

try:
    import fcntl
except ImportError:  # Windows: what a killed process left stays until somebody deletes it
    fcntl = None  # type: ignore[assignment]

SEGMENT_BYTES = 4_000_000
_ACK = struct.Struct("<QI")
_UNKNOWN = 1 << 62
ASIDE = "aside"


@dataclass(frozen=True)
class Limits:
    """How much may wait, and where. `spool` None: in memory alone."""

    spool: Path | None
    spool_bytes: int
    flush_timeout_s: float


class Spool:
    """The spool of one run. Raises OSError where the disk does not do what it should; its state stays sound."""

    def __init__(self, folder: Path, lock: int, max_bytes: int) -> None:
        self.folder, self._lock, self._max_bytes = folder, lock, max_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max_bytes // 4)
        self.name = folder.name
        self._segments = sorted(int(path.stem) for path in folder.glob("*.log"))
        self._sizes = {first: self._path(first).stat().st_size for first in self._segments}
        self._out: int | None = None
        self.acked = self._saved = self._read_ack()
        self.read = max(self.acked, self._segments[0] if self._segments else 0)
        self.written = _UNKNOWN if self._segments else self.read
        """Of somebody else's run it is not known until the end has been read."""
        self._place: tuple[int, int] | None = None
        """(segment, byte) of the next frame to read, if that is known."""
        self.evicted = 0
        """Logs that had to go unread, for want of room."""
        self.damaged = 0
        """Logs that could not be read. A torn end counts as one where nobody knows how many."""

    is_open = True

    @classmethod
    def create(cls, root: Path, max_bytes: int) -> Spool:
        """A new run's."""
        fresh = root / f".{new_run()}"
        fresh.mkdir(mode=0o700, parents=True)
        lock = locked(fresh / "lock")
        if lock is None:
            raise OSError(errno.ENOLCK, "its file system has no locks")
        folder = root / fresh.name[1:]
        fresh.rename(folder)  # locked before anybody looks at it
        return cls(folder, lock, max_bytes)

    @property
    def size_bytes(self) -> int:
        """On disk."""
        return sum(self._sizes.values())

    @property
    def is_read(self) -> bool:
        """Nothing is in it that has not been read."""
        return self.read >= self.written

    def append(self, items: Sequence[Item]) -> int:
        """Write logs; returns the number of the first. If it raises, none of them has been written."""
        first = self.written
        data = b"".join([packed(first + index, item) for index, item in enumerate(items)])
        if self._out is None or 0 < self._sizes[self._segments[-1]] > self._segment_bytes - len(data):
            self._roll()
        assert self._out is not None
        segment = self._segments[-1]
        try:
            _write(self._out, data)
        except OSError:
            os.ftruncate(self._out, self._sizes[segment])
            raise
        self._sizes[segment] += len(data)
        self.written += len(items)
        while self.size_bytes > self._max_bytes and self.shrink():
            pass
        return first

    def reserve(self, count: int) -> int:
        """Numbers for logs that could not be written; returns the first."""
        self.written += count
        return self.written - count

    def take(self, upto: int) -> None:
        """All that is written, up to that number, goes on from memory: it need not be read."""
        self.read = upto
        self._place = (self._segments[-1], self._sizes[self._segments[-1]]) if self._segments else None

    def next(self, most: int) -> list[tuple[int, Item]]:
        """The next logs, at most that many, with their numbers. An empty list: all is read."""
        found: list[tuple[int, Item]] = []
        while not found and not self.is_read:
            segment = self._segment_of(self.read)
            if segment is not None:
                self._read_from(segment, most, found)
            if not found:
                self._end_of(segment)
        return found

    def acknowledge(self, upto: int) -> None:
        """All below that number is delivered: whole segments go."""
        self.acked = max(self.acked, upto)
        while len(self._segments) > 1 and self._segments[1] <= self.acked:
            self._delete_oldest()

    def shrink(self) -> bool:
        """The oldest segment goes, unread or not, for want of room; not the one that is written to."""
        if len(self._segments) < 2:
            return False
        after = self._segments[1]
        if self.read < after:
            self.evicted += after - self.read
            self.read, self._place = after, None
        self._delete_oldest()
        return True

    def keeps(self, number: int) -> bool:
        """A log that was written is still there."""
        return bool(self._segments) and number >= self._segments[0]

    def tidy(self) -> None:
        """Where all is delivered, nothing stays on disk."""
        if self._segments and self.acked >= self.written:
            self._close_segment()
            self._delete_oldest()

    @property
    def is_tidy(self) -> bool:
        """Nothing is on disk."""
        return not self._segments

    def save(self) -> None:
        """Write down what is acknowledged, for whoever comes after a kill."""
        if self._saved == self.acked:
            return
        data = self.acked.to_bytes(8, "little")
        fresh = self.folder / "ack.new"
        fresh.write_bytes(_ACK.pack(self.acked, crc32(data)))
        fresh.replace(self.folder / "ack")
        self._saved = self.acked

    def close(self) -> None:
        """Give it up; its folder goes if all is delivered."""
        self._close_segment()
        with contextlib.suppress(OSError):
            if self.acked >= self.written or not any(self._sizes.values()):
                for path in self.folder.iterdir():
                    path.unlink()
                self.folder.rmdir()
            else:
                self.save()
        os.close(self._lock)

    def forget(self) -> None:
        """In a forked child: the files and the lock are the parent's; only these descriptors go."""
        for descriptor in (self._out, self._lock):
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    os.close(descriptor)

    def drop(self) -> int:
        """Delete what another run left, for want of room; returns how many logs that are."""
        count = self.left()
        self.acked = self.read = self.written
        self.close()
        return count

    def left(self) -> int:
        """How many logs are in it that are not delivered, as far as is known; it reads them all."""
        every = (frame for segment in self._segments for frame in frames(self._path(segment), 0))
        return sum(frame.number >= self.acked for frame in every)

    @property
    def is_aside(self) -> bool:
        """Kafka has refused it before."""
        return (self.folder / ASIDE).exists()

    def set_aside(self) -> None:
        """For now nobody needs to try again."""
        with contextlib.suppress(OSError):
            (self.folder / ASIDE).write_bytes(b"")

    def _read_from(self, segment: int, most: int, found: list[tuple[int, Item]]) -> None:
        known = self._place is not None and self._place[0] == segment
        start = self._place[1] if known and self._place else 0
        for number, item, end, is_behind_damage in frames(self._path(segment), start):
            if number >= self.read:
                self.damaged += number - self.read if is_behind_damage else 0
                found.append((number, item))
                self.read = number + 1
            self._place = (segment, end)
            if len(found) >= most:
                break

    def _end_of(self, segment: int | None) -> None:
        """No more of a segment can be read: on to the next, or that was all."""
        at = self._place[1] if self._place is not None and self._place[0] == segment else 0
        is_torn = segment is not None and at < self._sizes[segment]
        later = [first for first in self._segments if segment is not None and first > segment]
        if later or self.written != _UNKNOWN:
            upto = max(self.read, later[0] if later else self.written)
            self.damaged += upto - self.read if is_torn else 0
            self.read = upto
        else:
            self.damaged += is_torn
            self.written = self.read
        self._place = None

    def _segment_of(self, number: int) -> int | None:
        held = [first for first in self._segments if first <= number]
        return held[-1] if held else (self._segments[0] if self._segments else None)

    def _roll(self) -> None:
        path = self._path(self.written)
        out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
        self._close_segment()
        self._out = out
        if self.written not in self._sizes:
            self._segments.append(self.written)
        self._sizes[self.written] = 0

    def _delete_oldest(self) -> None:
        segment = self._segments.pop(0)
        del self._sizes[segment]
        with contextlib.suppress(OSError):
            self._path(segment).unlink()

    def _close_segment(self) -> None:
        if self._out is not None:
            os.close(self._out)
            self._out = None

    def _path(self, segment: int) -> Path:
        return self.folder / f"{segment:016}.log"

    def _read_ack(self) -> int:
        try:
            number, checksum = _ACK.unpack((self.folder / "ack").read_bytes())
        except (OSError, struct.error):
            return 0
        return number if crc32(number.to_bytes(8, "little")) == checksum else 0


class NoSpool:
    """In the place of a Spool where there is no disk to be used: it only counts."""

    is_open = False
    is_read = is_tidy = True
    size_bytes = evicted = damaged = acked = 0

    def __init__(self) -> None:
        self.name = new_run()
        self._written = 0

    def append(self, _items: Sequence[Item]) -> int:
        """Never works."""
        raise OSError(30, "there is no spool")

    def reserve(self, count: int) -> int:
        """Numbers for logs; returns the first."""
        self._written += count
        return self._written - count

    def next(self, _most: int) -> list[tuple[int, Item]]:
        """Nothing."""
        return []

    def take(self, upto: int) -> None:
        """Nothing to do; nor has anything of what follows."""

    acknowledge = take

    def save(self) -> None:
        """Nothing."""

    close = forget = tidy = save

    def shrink(self) -> bool:
        """Nothing to let go."""
        return False

    def keeps(self, _number: int) -> bool:
        """Nothing."""
        return False


def new_run() -> str:
    """`<host>-<pid>-<32 hex digits>`: a name for logs, another one every time; the later of two is the greater."""
    return f"{socket.gethostname()}-{os.getpid()}-{time.time_ns():016x}{os.urandom(8).hex()}"


def locked(path: Path) -> int | None:
    """A descriptor that holds the lock until its process ends; None where another process holds it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if fcntl is not None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return None
        if os.fstat(lock).st_nlink == 0:
            os.close(lock)
            return None
    return lock


def _write(out: int, data: bytes) -> None:
    if os.write(out, data) != len(data):
        raise OSError(28, "No space left on device")
