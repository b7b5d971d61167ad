"""How far each file has been shipped: one JSON file, written whole and in one step, locked by its process.

A file is known by device and inode, as long as its beginning is still the same; a copy of it (`copytruncate`,
gzip) by its first bytes and those before the place where it was left. Where these are few, files that have nothing
to do with each other may begin alike: then a copy must be named after the original, too.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path

from stream_monitor.errors import MonitorError

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

EDGE_BYTES = 1024
"""Of a file's beginning, and of what stands before the place where it was left, this much is compared."""
_KEEP_S = 14 * 86_400
_VERSION = 1


@dataclass
class Entry:
    """A file, and how far it is shipped. `identity` begins the `ce_id` of its records."""

    device: int
    inode: int
    path: str
    identity: str
    generation: int = 0
    offset: int = 0
    head: str = ""
    head_bytes: int = 0
    tail: str = ""
    seen_s: float = field(default_factory=time.time)

    def fits(self, read: Callable[[int, int], bytes]) -> bool:
        """What `read(offset, size)` reads is this file, or a copy of it, at least up to the offset."""
        if not self.head_bytes or digest(read(0, self.head_bytes)) != self.head:
            return False
        begin = max(0, self.offset - EDGE_BYTES)
        return digest(read(begin, self.offset - begin)) == self.tail


def digest(data: bytes) -> str:
    """A fingerprint."""
    return blake2b(data, digest_size=12).hexdigest()


class Checkpoint:
    """The entries in a file. Raises MonitorError where another process has it, or it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_suffix(".lock").open("w")
            if fcntl is not None:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.entries = _entries(path.read_bytes()) if path.exists() else []
        except BlockingIOError:
            raise MonitorError(
                f"another ship keeps its place in {path}; stop it, or give this one a --datadir of its own"
            ) from None
        except OSError as error:
            raise MonitorError(f"cannot keep the place in {path}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError):
            raise MonitorError(f"{path} is damaged; delete it to ship everything again") from None

    def of(self, device: int, inode: int) -> Entry | None:
        """The newest entry of a file."""
        found = [entry for entry in self.entries if (entry.device, entry.inode) == (device, inode)]
        return max(found, key=lambda entry: entry.generation, default=None)

    def copied(self, read: Callable[[int, int], bytes], path: Path) -> Entry | None:
        """The entry of which the file at a path is a copy: the furthest, if there are several."""
        for entry in sorted(self.entries, key=lambda entry: -entry.offset):
            is_long = entry.offset >= EDGE_BYTES
            if entry.offset and (is_long or _is_named_after(path, Path(entry.path))) and entry.fits(read):
                return entry
        return None

    def save(self) -> None:
        """Write it; durable when it returns."""
        oldest = time.time() - _KEEP_S
        self.entries = [entry for entry in self.entries if entry.seen_s >= oldest]
        fresh = self._path.with_suffix(".new")
        try:
            with fresh.open("wb") as file:
                plain = {"v": _VERSION, "files": [asdict(entry) for entry in self.entries]}
                file.write(json.dumps(plain).encode())  # also of a path that is no UTF-8
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            raise MonitorError(f"cannot keep the place in {self._path}: {error.strerror}") from None

    def close(self) -> None:
        """Let another process have it."""
        self._lock.close()


def _is_named_after(copy: Path, original: Path) -> bool:
    """`app.log.1`, `app.log.gz`, `app.log-20240115` or `app-20240115.log` of `app.log`, in its folder."""
    if copy.parent != original.parent:
        return False
    dated = rf"{re.escape(original.stem)}[-._][\d\-T_.]+{re.escape(original.suffix)}(\.gz)?"
    return copy.name.startswith(original.name) or re.fullmatch(dated, copy.name) is not None


def _entries(data: bytes) -> list[Entry]:
    plain = json.loads(data)
    if plain["v"] != _VERSION:
        raise ValueError(plain["v"])
    return [Entry(**entry) for entry in plain["files"]]
