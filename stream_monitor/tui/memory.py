"""What the dashboard remembers from one time to the next: a small JSON file in the user's state folder (XDG)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
from platformdirs import user_state_path

from stream_monitor.board.when import INTERVALS_S, LEAST_MS, MOST_MS
from stream_monitor.core.window import HOUR_MS
from stream_monitor.tui.palette import DARK
from stream_monitor.tui.text import clean

_MOST_BYTES = 1_000_000


class Memory(msgspec.Struct):
    """The defaults are those of the first start."""

    tab: str = "overview"
    length_ms: int = HOUR_MS
    interval_s: float = 1.0
    theme: str = DARK.name
    filter: str = ""
    picked: list[tuple[str, list[str]]] = []
    sorts: dict[str, tuple[str, bool]] = {}
    charts: int = 0


def default_path() -> Path:
    """`$XDG_STATE_HOME/stream-monitor/tui.json`, or what stands for it on this system."""
    return user_state_path("stream-monitor", appauthor=False) / "tui.json"


def recall(path: Path | None) -> Memory:
    """What was remembered; the defaults, where there is nothing or nothing that can be read."""
    if path is None:
        return Memory()
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return Memory()
        return _bounded(msgspec.json.decode(path.read_bytes(), type=Memory))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Memory()


def _bounded(memory: Memory) -> Memory:
    """What the dashboard itself could have written, whoever has written it."""
    memory.length_ms = min(MOST_MS, max(LEAST_MS, memory.length_ms))
    if memory.interval_s not in INTERVALS_S:
        memory.interval_s = INTERVALS_S[0]
    memory.charts = 1 if memory.charts == 1 else 0
    memory.filter = clean(memory.filter)
    return memory


def remember(path: Path | None, memory: Memory) -> None:
    """Write it; a disk that is full or read-only is no reason to fail."""
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    saved(path, msgspec.json.format(msgspec.json.encode(memory), indent=1).decode())


def saved(path: Path, content: str) -> str | None:
    """Write a file, all or nothing: what was there stays until the new one is whole.

    Returns what is wrong, None if nothing is.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        beside.write_text(content, encoding="utf-8", newline="")
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        return error.strerror or str(error)
    return None
