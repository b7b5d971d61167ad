"""One log file that is being followed: open, wherever it is renamed to, from a place on."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from stream_monitor.shipping.checkpoint import EDGE_BYTES, Checkpoint, Entry, digest
from stream_monitor.shipping.line import Piece, labels_of, pieces

_CHUNK_BYTES = 1_000_000
_SETTLE_S = 0.5
"""The last record is complete when nothing has come behind it for so long: a stack trace takes its time."""


class Tail:
    """A file's records from its entry's offset on. `advance` moves the entry; nothing else does.

    Truncated, or written anew in its place, it begins a new generation: its records have other `ce_id`s.
    """

    def __init__(self, path: Path, checkpoint: Checkpoint) -> None:
        self.path, self._checkpoint = path, checkpoint
        self.is_gzip = path.suffix == ".gz"
        self._raw = path.open("rb")
        status = os.fstat(self._raw.fileno())
        self.device, self.inode = status.st_dev, status.st_ino
        self._file: BinaryIO = gzip.open(self._raw) if self.is_gzip else self._raw  # type: ignore[assignment]  # noqa: SIM115
        self.place = 0
        self._held = (0, b"")
        self._size, self._grown = -1, time.monotonic()
        self.labels = labels_of(path)
        self.entry: Entry | None = self._known()

    def _known(self) -> Entry | None:
        """The entry that is kept of this file, or of what it is a copy of; None for a file that is new."""
        kept = self._checkpoint.of(self.device, self.inode)
        entry = kept if kept is not None and kept.fits(self._read_at) else None
        if entry is None:
            copied = self._checkpoint.copied(self._read_at)
            if copied is not None:
                entry = self._begin(copied.generation, copied.identity, copied.offset)
        if entry is not None:
            self.place, entry.path, entry.seen_s = entry.offset, str(self.path), time.time()
        return entry

    def _begin(self, generation: int, identity: str, offset: int = 0) -> Entry:
        entry = Entry(self.device, self.inode, str(self.path), identity, generation, offset)
        self._checkpoint.entries.append(entry)
        self._mark(entry)
        return entry

    def _new_entry(self) -> Entry | None:
        """Of a file that nobody knows; None until its first line is complete."""
        head = self._read_at(0, EDGE_BYTES)
        line, ending, _ = head.partition(b"\n")
        if not (ending or len(head) == EDGE_BYTES or self._is_settled()):
            return None
        before = self._checkpoint.of(self.device, self.inode)
        generation = before.generation + 1 if before is not None else 0
        name = digest(b"%d:%d:%d:%b" % (self.device, self.inode, generation, line))
        return self._begin(generation, name)

    def look(self) -> None:
        """Whether it has grown, was truncated, or written anew."""
        size = os.fstat(self._raw.fileno()).st_size
        if size != self._size:
            self._size, self._grown = size, time.monotonic()
            if not self.is_gzip and self.entry is not None and not self.entry.fits(self._read_at):
                self.entry, self.place = None, 0

    def _is_settled(self) -> bool:
        return self.is_gzip or time.monotonic() - self._grown >= _SETTLE_S

    @property
    def quiet_s(self) -> float:
        """How long it has not grown."""
        return time.monotonic() - self._grown

    @property
    def modified_s(self) -> float:
        """When it was last written."""
        return os.fstat(self._raw.fileno()).st_mtime

    def read(self, most: int, *, is_last: bool) -> list[Piece]:
        """The next records, at most so many; [] at the end. `is_last`: nothing will come behind what is there."""
        self.look()
        if self.entry is None:
            self.entry = self._new_entry()
            if self.entry is None:
                return []
            self.place = self.entry.offset
        data = self._read_on()
        if not data:
            return []
        is_end = len(data) < _CHUNK_BYTES
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and not is_end:
            whole = data  # a line without an end is cut
        if is_end and is_last and (self.is_gzip or data[len(whole) :].rstrip().endswith(b"}")):
            whole = data
        found = list(islice(pieces(_lines(whole), self.place), most + 1))
        is_complete = is_end and (is_last or self._is_settled())
        if len(found) > most or not (is_complete or (len(found) == 1 and not is_end)):
            found = found[:-1]  # more may belong to it
        if found:
            self.place = found[-1].end
        return found

    def advance(self) -> None:
        """All that was read is in Kafka."""
        if self.entry is not None and self.entry.offset != self.place:
            self.entry.offset, self.entry.seen_s = self.place, time.time()
            self._mark(self.entry)

    def rewind(self) -> None:
        """What was read is not in Kafka."""
        self.place = self.entry.offset if self.entry is not None else 0

    def close(self) -> None:
        """Let it go."""
        self._file.close()
        self._raw.close()

    def _mark(self, entry: Entry) -> None:
        if entry.head_bytes < EDGE_BYTES:
            head = self._read_at(0, EDGE_BYTES)
            entry.head, entry.head_bytes = digest(head), len(head)
        begin = max(0, entry.offset - EDGE_BYTES)
        start, held = self._held
        is_held = start <= begin and entry.offset <= start + len(held)
        tail = held[begin - start : entry.offset - start] if is_held else None
        entry.tail = digest(self._read_at(begin, entry.offset - begin) if tail is None else tail)

    def _read_on(self) -> bytes:
        """From the place on; with what stands before it is held, because a gzip'd file is slow to go back in."""
        start, held = self._held
        before = held[max(0, self.place - start - EDGE_BYTES) : max(0, self.place - start)]
        data = self._read_at(self.place, _CHUNK_BYTES)
        self._held = (self.place - len(before), before + data)
        return data

    def _read_at(self, offset: int, size: int) -> bytes:
        """Bytes of the content, gzip'd or not; fewer at its end."""
        if not self.is_gzip:
            return os.pread(self._raw.fileno(), size, offset)
        try:
            self._file.seek(offset)
            return self._file.read(size)
        except (EOFError, OSError):  # cut off, or no gzip
            return b""


def _lines(data: bytes) -> Iterator[bytes]:
    return iter(data.splitlines(keepends=True)) if b"\r" not in data else iter(_by_newline(data))


def _by_newline(data: bytes) -> list[bytes]:
    parts = [part + b"\n" for part in data.split(b"\n")]
    parts[-1] = parts[-1][:-1]
    return [part for part in parts if part]
