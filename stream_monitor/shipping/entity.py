"""Which log belongs to which series: its kind, its key and its topic.

The labels are those of `stream_monitor.kinds`, said again because that room needs numpy and this one lives in
other people's processes; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from stream_monitor.errors import UsageError

_MAX_KEY_BYTES = 1000


class Route(NamedTuple):
    """Of a kind of log: the labels that make its key, and how many of them, from the first, it must have."""

    labels: tuple[str, ...]
    required: int


ROUTES: dict[str, Route] = {
    "ml": Route(("service", "model_version"), 2),
    "kafka": Route(("consumer_group", "topic"), 2),
    "airflow": Route(("dag_id", "task_id"), 1),
}
"""In the order in which `kind_of` looks for them: an ML service's log may say which DAG has called it."""


def entity(kind: str, fields: Mapping[str, Any]) -> str | None:
    """`dag/task`, `group/topic` or `service/version`: the record's key. None where a required label is no text."""
    labels, required = ROUTES[kind]
    found = [value for name in labels if isinstance(value := fields.get(name), str) and value]
    if len(found) == len(labels):
        return "/".join(found)
    first = fields.get(labels[0])
    return first if required == 1 and isinstance(first, str) and first else None


def kind_of(fields: Mapping[str, Any]) -> str | None:
    """The kind whose required labels the fields have."""
    for kind, (labels, required) in ROUTES.items():
        if all(isinstance(value := fields.get(name), str) and value for name in labels[:required]):
            return kind
    return None


def bounded_key(key: str) -> bytes:
    """A record's key as bytes of bounded length, whatever the labels hold."""
    return key.encode(errors="replace")[:_MAX_KEY_BYTES].decode(errors="ignore").encode()


def checked_kind(kind: str | None) -> str | None:
    """The kind, if there is such a one. Raises UsageError."""
    if kind is not None and kind not in ROUTES:
        raise UsageError(f"kind {kind!r}: one of {', '.join(sorted(ROUTES))}, or none to tell by the fields")
    return kind
