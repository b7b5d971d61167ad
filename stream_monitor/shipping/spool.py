"""Logs on disk until Kafka has them: append-only segments with checksums, bounded, of one process at a time.

    <spool>/<broker>/<host>-<pid>-<run>/   lock                    held by its process as long as it lives
                                           ack                     the number of the first log not yet delivered
                                           0000000000000000.log …  segments, by the number of their first log

Every log of a run has a number, counted from 0; its `ce_id` is `<run>-<number>`, also when another process
delivers it after this one was killed. A frame is `length, checksum, number, time in ms, lengths of topic and key,
topic, key, value`. What is written reaches the kernel at once (it survives a kill of the process) and is never
fsynced (it need not survive a power cut). A damaged frame ends its segment. One thread at a time uses a Spool.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

try:
    import fcntl
except ImportError:  # Windows: what a killed process left stays until somebody deletes it
    fcntl = None  # type: ignore[assignment]

SEGMENT_BYTES = 4_000_000
_HEAD = struct.Struct("<II")
"""(length of the rest, CRC-32 of the rest)."""
_META = struct.Struct("<QqHH")
"""(number, UTC ms, bytes of the topic, bytes of the key)."""
_ACK = struct.Struct("<QI")
_MAX_FRAME = 4_000_000
_UNKNOWN = 1 << 62


class Item(NamedTuple):
    """A log on its way: UTC ms, the topic's name, key and value."""

    time_ms: int
    topic: str
    key: str
    value: bytes


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
        """Segments that ended in a damaged frame."""

    is_open = True

    @classmethod
    def create(cls, root: Path, max_bytes: int) -> Spool:
        """A new run's."""
        fresh = root / f".{new_run()}"
        fresh.mkdir(mode=0o700, parents=True)
        lock = _locked(fresh / "lock")
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
        if self._out is None or self._sizes[self._segments[-1]] >= SEGMENT_BYTES:
            self._roll()
        assert self._out is not None
        segment = self._segments[-1]
        data = b"".join(_frame(first + index, item) for index, item in enumerate(items))
        try:
            _write(self._out, data)
        except OSError:
            os.ftruncate(self._out, self._sizes[segment])
            raise
        self._sizes[segment] += len(data)
        self.written += len(items)
        self._make_room()
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
            if self.acked >= self.written:
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
        count = sum(number >= self.read for segment in self._segments for number, _, _ in self._frames(segment, 0))
        self.acked = self.read = self.written
        self.close()
        return count

    def _read_from(self, segment: int, most: int, found: list[tuple[int, Item]]) -> None:
        known = self._place is not None and self._place[0] == segment
        start = self._place[1] if known and self._place else 0
        for number, item, end in self._frames(segment, start):
            if number >= self.read:
                found.append((number, item))
                self.read = number + 1
            self._place = (segment, end)
            if len(found) >= most:
                break

    def _frames(self, segment: int, place: int) -> Iterator[tuple[int, Item, int]]:
        """(number, log, where the next one begins) from a place on, until the end or damage."""
        with self._path(segment).open("rb") as file:
            file.seek(place)
            while True:
                head = file.read(_HEAD.size)
                if len(head) < _HEAD.size:
                    return
                length, checksum = _HEAD.unpack(head)
                body = file.read(length) if length <= _MAX_FRAME else b""
                if len(body) < max(length, _META.size) or crc32(body) != checksum:
                    return
                place += _HEAD.size + length
                number, item = _parsed(body)
                yield number, item, place

    def _end_of(self, segment: int | None) -> None:
        """No more of a segment can be read: on to the next, or that was all."""
        if segment is not None:
            at = self._place[1] if self._place is not None and self._place[0] == segment else 0
            self.damaged += at < self._sizes[segment]
        later = [first for first in self._segments if segment is not None and first > segment]
        if later:
            self.read = max(self.read, later[0])
        elif self.written == _UNKNOWN:
            self.written = self.read
        else:
            self.read = self.written
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

    def _make_room(self) -> None:
        """While it holds too much the oldest segment goes."""
        while self.size_bytes > self._max_bytes and len(self._segments) > 1:
            after = self._segments[1]
            if self.read < after:
                self.evicted += after - self.read
                self.read, self._place = after, None
            self._delete_oldest()

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
    size_bytes = evicted = 0

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


def new_run() -> str:
    """`<host>-<pid>-<32 hex digits>`: a process's name for its logs, another one every time."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"


def orphans(root: Path, max_bytes: int) -> Iterator[Spool]:
    """Spools whose process has ended, oldest first. Each is locked: no other process will take it."""
    if fcntl is None or not root.is_dir():
        return
    for folder in sorted(root.glob("[!.]*"), key=_born):
        try:
            lock = _locked(folder / "lock")
            if lock is None:
                continue
            yield Spool(folder, lock, max_bytes)
        except (OSError, ValueError):  # it has gone, or is no spool
            continue


def _born(folder: Path) -> float:
    try:
        return (folder / "lock").stat().st_mtime
    except OSError:
        return 0.0


def _locked(path: Path) -> int | None:
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


def _frame(number: int, item: Item) -> bytes:
    topic, key = item.topic.encode(), item.key.encode()
    body = b"".join((_META.pack(number, item.time_ms, len(topic), len(key)), topic, key, item.value))
    return _HEAD.pack(len(body), crc32(body)) + body


def _parsed(body: bytes) -> tuple[int, Item]:
    number, time_ms, topic, key = _META.unpack_from(body)
    begin = _META.size
    middle, value = begin + topic, begin + topic + key
    return number, Item(time_ms, body[begin:middle].decode(), body[middle:value].decode(), body[value:])
