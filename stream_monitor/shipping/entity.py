"""Which log belongs to which series: its kind, its key and its topic, by the rows of KINDS.

This room lives in other people's processes: it reads the rows, and never imports a kind's file, which needs numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from stream_monitor.errors import UsageError
from stream_monitor.kinds import KINDS

_MAX_KEY_BYTES = 1000


def entity(kind: str, fields: Mapping[str, Any]) -> str | None:
    """The labels, such as `dag/task`: the record's key. None where a required label is no text."""
    row = KINDS.rows[kind]
    found = list(takewhile(bool, (_text(fields, name) for name in row.labels)))
    return "/".join(found) if len(found) >= row.required else None


def kind_of(fields: Mapping[str, Any]) -> str | None:
    """The kind whose required labels the fields have.

    From the last row of KINDS to the first: an ML service's log may say which DAG has called it.
    """
    for kind, row in reversed(KINDS.rows.items()):
        if all(_text(fields, name) for name in row.labels[: row.required]):
            return kind
    return None


def _text(fields: Mapping[str, Any], name: str) -> str:
    """Empty where it is absent or no text."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def bounded_key(key: str) -> bytes:
    """A record's key as bytes of bounded length, whatever the labels hold."""
    return key.encode(errors="replace")[:_MAX_KEY_BYTES].decode(errors="ignore").encode()


def checked_kind(kind: str | None) -> str | None:
    """The kind, if there is such a one. Raises UsageError."""
    if kind is not None and kind not in KINDS:
        raise UsageError(f"kind {kind!r}: one of {', '.join(sorted(KINDS))}, or none to tell by the fields")
    return kind
