"""One log file that is being followed, wherever it is renamed to, from a place on."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from stream_monitor.shipping.checkpoint import EDGE_BYTES, Checkpoint, Entry, digest
from stream_monitor.shipping.line import Piece, labels_of, pieces
from stream_monitor.shipping.source import Gzip, Plain, Source

_CHUNK_BYTES = 1_000_000
_SETTLE_S = 0.5
"""The last record is complete when nothing has come behind it for so long: a stack trace takes its time."""
_PACKED_S = 60.0
"""A gzip'd file that is not whole, and has not changed for so long, is not being written: it is cut off."""


class Tail:
    """A file's records from its entry's offset on. `advance` moves the entry; nothing else does.

    Truncated, or written anew in its place, it begins a new generation: its records have other `ce_id`s. `release`
    closes the file until it is read again. What it does may raise OSError.
    """

    def __init__(self, path: Path, checkpoint: Checkpoint) -> None:
        self.path, self._checkpoint = path, checkpoint
        self.is_gzip = path.suffix == ".gz"
        self._raw: BinaryIO | None = None
        self._source: Source = self._opened(path)
        self.device, self.inode = self._status.st_dev, self._status.st_ino
        self.place = 0
        self.has_sent = False
        self._held = (0, b"")
        self._size, self._grown = -1, time.monotonic()
        self._is_whole, self._checked = False, -1
        self.is_at_end = self.is_gone = self.is_waiting = False
        self.labels = labels_of(path)
        self.entry: Entry | None = None
        self._is_known = False

    def _opened(self, path: Path) -> Source:
        self._raw = _opened(path)
        self._status = os.fstat(self._raw.fileno())
        if not stat.S_ISREG(self._status.st_mode):
            self.release()
            raise OSError(0, "it is no file")
        return Gzip(self._raw) if self.is_gzip else Plain(self._raw)

    def release(self) -> None:
        """Close the file; it is opened again when there is something to read."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    close = release

    def _reopen(self) -> None:
        """Raises FileNotFoundError where it has gone."""
        if self._raw is not None:
            return
        self._find()
        if self.is_gone:
            raise FileNotFoundError(2, "it has gone")
        self._source = self._opened(self.path)

    def _find(self) -> None:
        """Where it is called otherwise now."""
        if not self.is_there:
            with contextlib.suppress(OSError):
                self.path = next(filter(self._is_at, self.path.parent.iterdir()), self.path)
            self.is_gone = not self.is_there

    @property
    def is_open(self) -> bool:
        """It takes a descriptor."""
        return self._raw is not None

    @property
    def is_there(self) -> bool:
        """The path that it was found at still names this file."""
        return self._is_at(self.path)

    def _is_at(self, path: Path) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (self.device, self.inode)

    def _known(self) -> Entry | None:
        """The entry that is kept of this file, or of what it is a copy of; None for a file that is new."""
        kept = self._checkpoint.of(self.device, self.inode)
        entry = kept if kept is not None and kept.fits(self._source.read_at) else None
        if entry is None:
            copied = self._checkpoint.copied(self._source.read_at, self.path)
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

    def _new_entry(self, is_last: bool) -> Entry | None:
        """Of a file that nobody knows; None until its first line is complete."""
        head = self._source.read_at(0, EDGE_BYTES)
        line, ending, _ = head.partition(b"\n")
        if not (ending or len(head) == EDGE_BYTES or self._is_settled() or (is_last and self._is_quiet())):
            return None
        before = self._checkpoint.of(self.device, self.inode)
        generation = before.generation + 1 if before is not None else 0
        name = digest(b"%d:%d:%d:%b" % (self.device, self.inode, generation, line))
        return self._begin(generation, name)

    def look(self) -> bool:
        """Whether it has grown, was truncated, or written anew. False: it has not, and all of it is read."""
        if self._raw is not None:
            self._status = os.fstat(self._raw.fileno())
        else:
            self._find()
            if not self.is_gone:
                self._status = self.path.stat()
        if self._status.st_size == self._size:
            return not self.is_at_end
        self._reopen()
        self._size, self._grown, self.is_at_end = self._status.st_size, time.monotonic(), False
        if not self.is_gzip and self.entry is not None and not self.entry.fits(self._source.read_at):
            self.entry, self.place = None, 0
        return True

    @property
    def is_ready(self) -> bool:
        """Not a gzip'd file that is still being written."""
        if not self.is_gzip or self._is_whole:
            return True
        changed_s = max(self._status.st_mtime, self._status.st_ctime)
        if time.time() - changed_s < _PACKED_S:
            if self._checked == self._size:
                return False
            self._checked = self._size
            with _opened(self.path) as raw:
                every = Gzip(raw)
                every.read_all()
                if every.is_cut and not every.is_damaged:
                    return False
        self._is_whole = True
        return True

    @property
    def is_cut(self) -> bool:
        """It is gzip'd, and ends before its content does."""
        return self.is_at_end and self._source.is_cut

    def _is_settled(self) -> bool:
        return self.is_gzip or time.monotonic() - self._grown >= _SETTLE_S

    def _is_quiet(self) -> bool:
        """By its own time: nobody is writing a line of it."""
        return self.is_gzip or time.time() - self._status.st_mtime > _SETTLE_S

    @property
    def quiet_s(self) -> float:
        """How long it has not grown."""
        return time.monotonic() - self._grown

    @property
    def modified_s(self) -> float:
        """When it was last written."""
        return self._status.st_mtime

    def read(self, most: int, *, is_last: bool) -> list[Piece]:
        """The next records, at most so many; [] at the end. `is_last`: nothing will come behind what is there."""
        self.is_waiting = False
        if not self.look():
            return []
        self._reopen()
        if not self.is_ready:
            self.is_waiting = True
            return []
        if not self._is_known:
            self.entry, self._is_known = self._known(), True
        if self.entry is None:
            self.entry = self._new_entry(is_last)
            if self.entry is None:
                return []
            self.place = self.entry.offset
        data = self._read_on()
        self.is_at_end = not data
        if not data:
            return []
        is_end = len(data) < _CHUNK_BYTES
        found = list(islice(pieces(_lines(self._whole(data, is_end, is_last)), self.place), most + 1))
        is_complete = is_end and (is_last or self._is_settled())
        if len(found) > most or not (is_complete or (len(found) == 1 and not is_end)):
            found = found[:-1]  # more may belong to it
        if found:
            self.place = found[-1].end
        return found

    def _whole(self, data: bytes, is_end: bool, is_last: bool) -> bytes:
        """Without a last line that is still being written."""
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and not is_end:
            return data  # a line without an end is cut
        if is_end and is_last and (self._is_quiet() or data[len(whole) :].rstrip().endswith(b"}")):
            return data
        return whole

    def advance(self) -> None:
        """All that was read is in Kafka, or belongs to no kind. Where nothing was sent yet, nothing is remembered:
        the next time somebody may say what its kind is.
        """
        if self.entry is None:
            return
        self.entry.seen_s = time.time()
        if self.has_sent and self.entry.offset != self.place:
            self.entry.offset = self.place
            self._mark(self.entry)

    def _mark(self, entry: Entry) -> None:
        self._reopen()
        if entry.head_bytes < EDGE_BYTES:
            head = self._source.read_at(0, EDGE_BYTES)
            entry.head, entry.head_bytes = digest(head), len(head)
        begin = max(0, entry.offset - EDGE_BYTES)
        start, held = self._held
        is_held = start <= begin and entry.offset <= start + len(held)
        tail = held[begin - start : entry.offset - start] if is_held else None
        entry.tail = digest(self._source.read_at(begin, entry.offset - begin) if tail is None else tail)

    def _read_on(self) -> bytes:
        """From the place on; with what stands before it is held, because a gzip'd file is slow to go back in."""
        start, held = self._held
        before = held[max(0, self.place - start - EDGE_BYTES) : max(0, self.place - start)]
        data = self._source.read_at(self.place, _CHUNK_BYTES)
        self._held = (self.place - len(before), before + data)
        return data


def _opened(path: Path) -> BinaryIO:
    """For reading, without waiting for a pipe's writer."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)), "rb")


def _lines(data: bytes) -> Iterator[bytes]:
    return iter(data.splitlines(keepends=True)) if b"\r" not in data else iter(_by_newline(data))


def _by_newline(data: bytes) -> list[bytes]:
    parts = [part + b"\n" for part in data.split(b"\n")]
    parts[-1] = parts[-1][:-1]
    return [part for part in parts if part]
