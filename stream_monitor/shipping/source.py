"""The content of a log file by offset: plain, or gzip'd, which may be cut off, damaged, or still be written."""

from __future__ import annotations

import contextlib
import os
import zlib
from typing import Any, BinaryIO, Protocol

_CHUNK_BYTES = 256_000


class Source(Protocol):
    """`is_cut`: what could be read ends before the content does."""

    is_cut: bool

    def read_at(self, offset: int, size: int) -> bytes:
        """So many bytes of the content; fewer at its end."""


class Plain:
    """A file as it is."""

    is_cut = False

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def read_at(self, offset: int, size: int) -> bytes:
        """From there on. Raises OSError."""
        return os.pread(self._raw.fileno(), size, offset)


class Gzip:
    """What is in a gzip'd file. It is read forwards; to go back means to begin again."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._begin()

    def _begin(self) -> None:
        self._raw.seek(0)
        self._decoder = zlib.decompressobj(wbits=31)
        self._packed, self._rest, self._at = b"", b"", 0
        self.is_cut = self.is_damaged = False

    def read_at(self, offset: int, size: int) -> bytes:
        """From there on, as far as it can be read. Raises OSError."""
        if offset < self._at:
            self._begin()
        while self._at < offset:
            if not self._next(min(_CHUNK_BYTES, offset - self._at)):
                return b""
        found = bytearray()
        while len(found) < size and (data := self._next(size - len(found))):
            found += data
        return bytes(found)

    def read_all(self) -> None:
        """To the end, for `is_cut`."""
        while self._next(_CHUNK_BYTES):
            pass

    def _next(self, most: int) -> bytes:
        """At most so many bytes; none at the end, and where it goes no further."""
        if not self._rest:
            self._rest = b"" if self.is_damaged else self._unpacked(most)
        data, self._rest = self._rest[:most], self._rest[most:]
        self._at += len(data)
        return data

    def _unpacked(self, most: int) -> bytes:
        while self._has_more():
            before = self._decoder.copy()
            try:
                data = self._decoder.decompress(self._packed, most)
            except zlib.error:
                self.is_cut = self.is_damaged = True
                return _as_far_as_it_goes(before, self._packed)
            self._packed = self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail
            if data:
                return data
        return b""

    def _has_more(self) -> bool:
        """Packed bytes of this member, or of another that follows; zeros behind the last one are padding."""
        self._packed = self._packed or self._raw.read(_CHUNK_BYTES)
        if not self._decoder.eof:
            self.is_cut = not self._packed
            return bool(self._packed)
        while self._packed and not (rest := self._packed.lstrip(b"\0")):
            self._packed = rest or self._raw.read(_CHUNK_BYTES)
        if not self._packed:
            return False
        self._packed = self._packed.lstrip(b"\0")
        self._decoder = zlib.decompressobj(wbits=31)
        return True


def _as_far_as_it_goes(decoder: Any, packed: bytes) -> bytes:
    """What can be unpacked before the damage."""
    found = bytearray()
    with contextlib.suppress(zlib.error):
        for index in range(len(packed)):
            found += decoder.decompress(packed[index : index + 1])
    return bytes(found)
