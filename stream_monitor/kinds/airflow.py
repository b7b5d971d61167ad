"""Airflow's logs: DAG and task lines; numbers stand in fields or as `key=value` in the message."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from stream_monitor.core.distribution import Histogram
from stream_monitor.core.lines import Bools, Ints, Lines, micros
from stream_monitor.core.record import Kind
from stream_monitor.kinds.line import (
    MAX_NUMBER,
    Line,
    Number,
    Rejections,
    decoder,
    floats,
    required,
)

_OUTCOMES = frozenset({"success", "failed", "upstream_failed", "skipped", "up_for_retry"})
_FAILURES = frozenset({"failed", "upstream_failed", "up_for_retry"})

_NUMBER = r"([-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
_END = r"(?![^\s,;)\]])"
# The literal comes first, and what stands before it is looked at last: a search for a literal is much faster.
_DURATION = re.compile(rf"duration=(?<![\w.]duration=){_NUMBER}s?{_END}")
_PROCESSED = re.compile(rf"records_processed=(?<![\w.]records_processed=){_NUMBER}{_END}")
_STATE = re.compile(r"state=(?<![\w.]state=)(\w+)")


class AirflowLine(Line, gc=False):
    """The fields of an Airflow line."""

    dag_id: str | None = None
    task_id: str | None = None
    records_processed: Number | None = None
    duration: Number | None = None
    state: str | None = None


def _build(lines: Sequence[AirflowLine], timestamp_ms: Ints, is_error: Bools, reject: Rejections) -> Lines:
    processed = [line.records_processed for line in lines]
    durations = [line.duration for line in lines]
    states = [line.state for line in lines]
    for row, line in enumerate(lines):
        message = line.message
        if message is not None and "=" in message:
            if processed[row] is None:
                processed[row] = _found(_PROCESSED, message, "records_processed", row, reject)
            if durations[row] is None:
                durations[row] = _found(_DURATION, message, "duration", row, reject)
            if states[row] is None and (match := _STATE.search(message)):
                states[row] = match[1]
    duration = floats(durations)
    is_run = ~np.isnan(duration) | np.array([state in _OUTCOMES for state in states], dtype=np.bool_)
    has_failed = is_error | np.array([state in _FAILURES for state in states], dtype=np.bool_)
    return Lines(
        labels=(
            required([line.dag_id for line in lines], "dag_id", reject),
            [line.task_id or "" for line in lines],
        ),
        timestamp_ms=timestamp_ms,
        is_error=is_error,
        counted=is_run,
        failed=is_run & has_failed,
        volume_micro=micros(np.nan_to_num(floats(processed), nan=0.0)),
        values=(duration * 1000,),
    )


def _found(pattern: re.Pattern[str], message: str, name: str, row: int, reject: Rejections) -> float | None:
    """The number of a pair in the message; one out of range rejects the row."""
    match = pattern.search(message)
    if match is None:
        return None
    value = float(match[1])
    if 0.0 <= value <= MAX_NUMBER:
        return value
    reject.add(row, "out_of_range", f"{name}: {value!r} is not in [0, 1e15]")
    return None


AIRFLOW = Kind(
    name="airflow",
    labels=("dag_id", "task_id"),
    measures=(("duration_ms", Histogram),),
    decode=decoder(AirflowLine, _build),
    volume="records processed",
    of="runs",
)
