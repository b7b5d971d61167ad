"""The content of a log file by offset: plain, or gzip'd, which may be cut off, damaged, or still be written."""

from __future__ import annotations

import os
import zlib
from typing import BinaryIO, Protocol

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
        self._packed, self._at = b"", 0
        self.is_cut = False

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
        while True:
            self._packed = self._packed or self._raw.read(_CHUNK_BYTES)
            if self._decoder.eof:  # of a member; another may follow, or padding
                self._packed = self._packed.lstrip(b"\0")
                if not self._packed:
                    self._packed = self._raw.read(_CHUNK_BYTES)
                    if not self._packed:
                        self.is_cut = False
                        return b""
                    continue
                self._decoder = zlib.decompressobj(wbits=31)
            if not self._packed:
                self.is_cut = True
                return b""
            try:
                data = self._decoder.decompress(self._packed, most)
            except zlib.error:
                self.is_cut = True
                return b""
            self._packed = self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail
            if data:
                self._at += len(data)
                return data
