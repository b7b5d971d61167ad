"""Metrics, and what is expected of them: the fields that are named, and no others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stream_monitor import wire
from stream_monitor.core.metric import Metric
from stream_monitor.kinds import KINDS

_SHOWN = 3
_IDENTITY = ("kind", "labels", "entity", "window")


def winners(records: Iterable[tuple[bytes | None, bytes | None]]) -> list[dict[str, Any]]:
    """Of (key, value) of the metrics topics the winning record of each window, as a consumer reads it, by time."""
    best: dict[tuple[int, bytes], tuple[Metric, bytes]] = {}
    for key, value in records:
        if key and value:
            metric = wire.metric_from(value, KINDS)
            window = metric.size_ms, key
            if window not in best or metric.supersedes(best[window][0]):
                best[window] = metric, value
    rows = [json.loads(value) for _, value in best.values()]
    return sorted(rows, key=lambda row: (row["window"]["start"], row["window"]["size_s"], row["entity"]))


def check(expected: Iterable[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> None:
    """Each of `expected` is part of some window in `found`: every field that it names is there and equal.

    Mappings are compared field by field, to any depth; a value may be anything that compares, such as
    `pytest.approx`. Raises AssertionError with what differs from the windows that come closest.
    """
    __tracebackhide__ = True
    problems = [line for each in expected for line in differences(each, found)]
    if problems:
        raise AssertionError("\n".join(problems))


def differences(expected: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why no window in `found` is as expected; nothing where one is."""
    all_wrong = [(wrong(expected, window), window) for window in found]
    if any(not lines for lines, _ in all_wrong):
        return []
    head = [f"no window is as expected: {dict(expected)}"]
    if not found:
        return [*head, "  there are no metrics at all"]
    all_wrong.sort(key=lambda each: (_other_identity(each[0]), len(each[0])))
    for lines, window in all_wrong[:_SHOWN]:
        head.append(f"  {window.get('kind')} {window.get('entity')}, {_span(window)}:")
        head += [f"    {line}" for line in lines]
    if len(found) > _SHOWN:
        head.append(f"  {len(found) - _SHOWN} more windows are further off")
    return head


def wrong(expected: Mapping[str, Any], found: Any, path: str = "") -> list[str]:
    """`measures.latency_ms.count: 3, expected 4`, for each field that differs."""
    if not isinstance(found, Mapping):
        return [f"{path.rstrip('.')}: {found!r}, expected {dict(expected)!r}"]
    lines = []
    for name, value in expected.items():
        if name not in found:
            lines.append(f"{path}{name}: absent, expected {value!r}")
        elif isinstance(value, Mapping):
            lines += wrong(value, found[name], f"{path}{name}.")
        elif found[name] != value:
            lines.append(f"{path}{name}: {found[name]!r}, expected {value!r}")
    return lines


def _other_identity(lines: Sequence[str]) -> int:
    """How many of the differences say that it is another series or window."""
    return sum(line.startswith(_IDENTITY) for line in lines)


def _span(window: Mapping[str, Any]) -> str:
    span = window.get("window", {})
    return f"{span.get('start')} for {span.get('size_s')} s"
