"""Finds the project's data folders: `topics`, `fixtures`, `logging`.

In a checkout they stand at the top level; in an installed wheel inside the package.
"""

from __future__ import annotations

from pathlib import Path

from stream_monitor.errors import MonitorError

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """The folder called `name`. Raises MonitorError where the installation lacks it."""
    for parent in (_PACKAGE / "_data", _PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise MonitorError(f"the data folder {name!r} is missing from this installation; reinstall stream-monitor")
