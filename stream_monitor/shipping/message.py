"""The headers of a shipped log: CloudEvents in Kafka's binary mode."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Final

from stream_monitor.shipping.frame import Item

_FIXED: Final[list[tuple[str, str | bytes | None]]] = [
    ("ce_specversion", b"1.0"),
    ("content-type", b"application/json"),
]


def headers(name: str, number: int, item: Item) -> list[tuple[str, str | bytes | None]]:
    """Of a log of the run called `<host>-<pid>-<id>`. `ce_id` is `<id>-<number>`, `ce_source` `/host/pid`."""
    host, pid, run = name.rsplit("-", 2)
    return [
        ("ce_id", f"{run}-{number}".encode()),
        ("ce_source", f"/{host}/{pid}".encode()),
        ("ce_time", stamp(item.time_ms).encode()),
        ("ce_type", f"log.{item.topic.rpartition('.')[2]}".encode()),
        *_FIXED,
    ]


def stamp(time_ms: int) -> str:
    """`2024-01-15T10:30:00.000Z`."""
    second, millis = divmod(time_ms, 1000)
    return f"{_second(second)}.{millis:03}Z"


@lru_cache(maxsize=256)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
