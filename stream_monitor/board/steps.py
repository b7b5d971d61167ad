"""A view's steps, one after the other, over several lines: latency, errors, log records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stream_monitor.core.distribution import Distribution
from stream_monitor.core.part import Merged, Part
from stream_monitor.core.timeline import LineView
from stream_monitor.core.view import View

LATENCY = "latency_ms"


def _is_ready(part: Part | None) -> bool:
    return part is not None and (not isinstance(part, Merged) or part.is_ready)


def latency_lines(view: View) -> list[tuple[LineView, int]]:
    """The totals with a latency, and which of their measures it is; the first measures of all where none has."""
    found = [
        (line, index)
        for line in view.totals.values()
        for index, (name, _) in enumerate(line.kind.measures)
        if name == LATENCY
    ]
    return found or [(line, 0) for line in view.totals.values()]


def latency_steps(lines: Sequence[tuple[LineView, int]]) -> list[Distribution | None]:
    """By step, the lines' measures as one; None where nothing is there, or nothing is decoded yet."""
    steps: list[Distribution | None] = []
    for parts in zip(*(line.parts for line, _ in lines), strict=True):
        whole: Distribution | None = None
        for part, (line, index) in zip(parts, lines, strict=True):
            if part is None or not _is_ready(part) or not part.aggregate.measures[index].counts:
                continue
            whole = line.kind.measures[index][1]() if whole is None else whole
            whole.merge(part.aggregate.measures[index])
        steps.append(whole)
    return steps


def merged_steps(steps: Iterable[Distribution | None]) -> Distribution | None:
    """All steps as one."""
    whole: Distribution | None = None
    for step in steps:
        if step is not None:
            whole = type(step)() if whole is None else whole
            whole.merge(step)
    return whole


def bands(steps: Iterable[Distribution | None]) -> list[tuple[float, float, float] | None]:
    """p50, p95, p99 of each step."""
    out: list[tuple[float, float, float] | None] = []
    for step in steps:
        p50, p95, p99 = step.at_quantiles((0.5, 0.95, 0.99)) if step is not None else (None, None, None)
        out.append(None if p50 is None or p95 is None or p99 is None else (p50, p95, p99))
    return out


def error_steps(lines: Iterable[LineView]) -> list[float | None]:
    """By step errors / of, over the lines."""
    out: list[float | None] = []
    for parts in zip(*(line.parts for line in lines), strict=True):
        of = sum(part.of for part in parts if part is not None)
        out.append(sum(part.errors for part in parts if part is not None) / of if of else None)
    return out


def record_steps(lines: Iterable[LineView]) -> list[float | None]:
    """By step the log records, over the lines."""
    return [
        None if all(part is None for part in parts) else sum(part.records for part in parts if part is not None)
        for parts in zip(*(line.parts for line in lines), strict=True)
    ]
