"""What ended processes left in the spools' folder: adopted one at a time, the oldest first.

What Kafka has refused is marked (`aside`) and tried again after a while, by whoever lives then; others come first.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from pathlib import Path

from stream_monitor.shipping.spool import ASIDE, Spool, locked

_LOOK_S = 60.0
"""How often a living process looks for what others have left."""
_ASIDE_S = 600.0
"""How long what was refused is left alone."""


class Orphans:
    """Of a folder. Only one lock is held at a time, however many there are."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root, self._max_bytes = root, max_bytes
        self._found: deque[Path] = deque()
        self._looked: float | None = None

    def dropped(self) -> int:
        """Let the oldest go where all together are more than a spool may hold; how many logs that were."""
        count, excess = 0, -self._max_bytes
        free = [folder for folder in _folders(self._root) if self._can_be_had(folder)]
        excess += sum(map(_bytes, free))
        while excess > 0 and free:
            folder = free.pop(0)
            excess -= _bytes(folder)
            spool = self._had(folder)
            if spool is not None:
                count += spool.drop()
        return count

    def next(self) -> Spool | None:
        """The next one, locked; None when there is none for now."""
        now = time.monotonic()
        if not self._found and (self._looked is None or now - self._looked >= _LOOK_S):
            self._looked = now
            self._found.extend(sorted(filter(_is_due, _folders(self._root)), key=_is_aside))
        while self._found:
            spool = self._had(self._found.popleft())
            if spool is not None:
                return spool
        return None

    def _had(self, folder: Path) -> Spool | None:
        """Its spool, if no living process has it; no other will take it."""
        try:
            lock = locked(folder / "lock")
            return Spool(folder, lock, self._max_bytes) if lock is not None else None
        except (OSError, ValueError):  # it has gone, or is no spool
            return None

    def _can_be_had(self, folder: Path) -> bool:
        spool = self._had(folder)
        if spool is not None:
            spool.forget()
        return spool is not None


def _folders(root: Path) -> list[Path]:
    """Oldest first; what begins with a dot is being made."""
    return sorted((folder for folder in root.glob("[!.]*") if folder.is_dir()), key=_born)


def _born(folder: Path) -> tuple[float, str]:
    """When, to a clock tick, and the name: of two that a process has made within one the later has the greater."""
    try:
        return (folder / "lock").stat().st_mtime, folder.name
    except OSError:
        return 0.0, folder.name


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.glob("*.log"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def _is_aside(folder: Path) -> bool:
    return (folder / ASIDE).exists()


def _is_due(folder: Path) -> bool:
    try:
        return time.time() - (folder / ASIDE).stat().st_mtime >= _ASIDE_S
    except OSError:
        return True
