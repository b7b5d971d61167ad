"""stream-monitor: a Kafka-native monitor for data pipelines."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def read(hours: float = 24, component: str = "all", settings: Any = None) -> Any:
    """The windows of the last hours: a DataFrame where pandas is installed, else dictionaries; see reading.py."""
    from stream_monitor.reading import read as room

    return room(hours, component, settings)
