"""The log records that windows point to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stream_monitor.board.item import Item, Place, places_of
from stream_monitor.core.timeline import LineView
from stream_monitor.core.view import View

_MOST_LOGS = 500


def logs_of(items: Iterable[Item], over: Callable[[], bool] = lambda: False) -> list[Place]:
    """The log records that the range's windows point to, latest first: errors, and the slowest of each series.

    Of the series with most errors at least, where the time is `over` before all are looked at.
    """
    found: dict[tuple[str, int, int], Place] = {}
    for item in sorted(items, key=lambda item: -item.line.sums.errors):
        if len(found) >= _MOST_LOGS or (found and over()):
            break
        if not item.view.is_counted(item.line):
            continue
        for place in item.places:
            found.setdefault(place[:3], place)
        for part in reversed(item.line.parts):
            if part is not None and part.errors and len(found) < _MOST_LOGS:
                for place in places_of(part.aggregate, item.kind, item.entity):
                    if place.why == "error":
                        found.setdefault(place[:3], place)
    return sorted(found.values(), key=lambda place: -place.timestamp_ms)


def places_in(lines: Iterable[LineView], step: int) -> list[Place]:
    """The log records behind one step of these lines: errors first, then the slowest."""
    found: list[Place] = []
    for line in lines:
        part = line.parts[step] if step < len(line.parts) else None
        if part is not None:
            found += places_of(part.aggregate, line.kind.name, line.entity or f"all of {line.kind.name}")
    return sorted(found, key=lambda p: (p.why != "error", -(p.value_ms or 0.0), -p.timestamp_ms))


def places_of_view(view: View, items: Iterable[Item], at_ms: int) -> list[Place]:
    """The log records behind the step that holds a time, of these series; none where it is not in the range."""
    query = view.query
    if not query.from_ms <= at_ms < query.range.to_ms:
        return []
    return places_in([item.line for item in items], (at_ms - query.from_ms) // query.step_ms)
