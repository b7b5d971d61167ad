"""What the dashboard remembers from one time to the next: a small JSON file in the user's state folder (XDG)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
from platformdirs import user_state_path

from stream_monitor.core.window import HOUR_MS
from stream_monitor.tui.palette import DARK


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
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Memory()


def remember(path: Path | None, memory: Memory) -> None:
    """Write it, all or nothing; a disk that is full or read-only is no reason to fail."""
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(memory), indent=1))
        beside.replace(path)
