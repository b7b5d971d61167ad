"""Airflow's logs: DAG and task lines; numbers stand in fields or as `key=value` in the message."""

from __future__ import annotations

import re

from stream_monitor.core.distribution import MICRO, Histogram
from stream_monitor.core.record import Kind, Record, bounded_label
from stream_monitor.kinds.line import Line, Number, decoder, exception_type, label, number

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


def _build(line: AirflowLine, timestamp_ms: int, is_error: bool) -> Record:
    message = line.message or ""
    processed, duration, state = line.records_processed, line.duration, line.state
    if "=" in message:
        if processed is None:
            processed = _found(_PROCESSED, message, "records_processed")
        if duration is None:
            duration = _found(_DURATION, message, "duration")
        if state is None and (match := _STATE.search(message)):
            state = match[1]
    is_run = duration is not None or state in _OUTCOMES
    return Record(
        labels=(label(line.dag_id, "dag_id"), bounded_label(line.task_id or "")),
        timestamp_ms=timestamp_ms,
        is_error=is_error,
        counted=is_run,
        failed=is_run and (is_error or state in _FAILURES),
        volume_micro=round(processed * MICRO) if processed else 0,
        exception=exception_type(line),
        values=(None if duration is None else duration * 1000,),
    )


def _found(pattern: re.Pattern[str], message: str, name: str) -> float | None:
    match = pattern.search(message)
    return number(float(match[1]), name) if match else None


AIRFLOW = Kind(
    name="airflow",
    labels=("dag_id", "task_id"),
    measures=(("duration_ms", Histogram),),
    decode=decoder(AirflowLine, _build),
)
