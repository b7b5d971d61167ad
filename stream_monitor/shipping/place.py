"""What a whole process is told once: where its logs go. `configure` says it, else the environment.

given to a handler  >  given to `configure`  >  STREAM_MONITOR_…  >  the default
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

LOG_DIR = "logs"
"""Where log files go if nobody says anything: a folder of the working directory."""

_NONE: Mapping[str, Any] = {}
_given: ContextVar[Mapping[str, Any]] = ContextVar("stream_monitor_given", default=_NONE)


@contextmanager
def given(settings: Mapping[str, Any]) -> Iterator[None]:
    """While a configuration is loaded: what its handlers take for the settings that they were not given."""
    token = _given.set({name: value for name, value in settings.items() if value is not None})
    try:
        yield
    finally:
        _given.reset(token)


def setting(name: str) -> Any:
    """What `configure` or the environment says of a setting, or None."""
    value = _given.get().get(name)
    return os.environ.get(f"STREAM_MONITOR_{name.upper()}") if value is None else value


def named_log_dir() -> Path | None:
    """The root of the log files, if anybody has said where it is."""
    value = setting("log_dir")
    return Path(value) if value else None
