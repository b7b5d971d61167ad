"""What every log of a stretch of work says beside its message: `with context(dag_id="etl", task_id="load"): …`.

It is a context variable: a thread or an asyncio task has its own, and a task begins with its parent's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_EMPTY: Mapping[str, Any] = {}
_current: ContextVar[Mapping[str, Any]] = ContextVar("stream_monitor_context", default=_EMPTY)

current = _current.get
"""The fields that hold here and now. Not to be changed."""


@contextmanager
def context(**fields: Any) -> Iterator[None]:
    """Add fields to every log inside. Inner ones win over outer ones, a log's own `extra` over both."""
    token = _current.set({**_current.get(), **fields})
    try:
        yield
    finally:
        _current.reset(token)


def bind(**fields: Any) -> None:
    """Add fields to every log from here on, in this thread or asyncio task."""
    _current.set({**_current.get(), **fields})
