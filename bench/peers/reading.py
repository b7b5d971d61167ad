"""What the Python peers share: a log → what is aggregated, and a window's state → its result.

Imports nothing of the project: each peer runs in an environment of its own.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Any, NamedTuple

KINDS = ("airflow", "kafka", "ml")
MINUTE_MS = 60_000
GAMMA = 1.01 / 0.99
"""A DDSketch with a relative accuracy of 1 %: bucket i holds (γ^(i-1), γ^i]."""
_LOG_GAMMA = math.log(GAMMA)
_DURATION = re.compile(r"duration=([0-9.]+)")


class Reading(NamedTuple):
    """What is aggregated of one log."""

    series: str
    at_ms: int
    latency_ms: float
    is_error: bool


def reading(kind: str, log: dict[str, Any]) -> Reading:
    """Of one log, as the three systems write them."""
    at_ms = round(datetime.fromisoformat(log["timestamp"]).timestamp() * 1000)
    is_error = log["level"] == "ERROR"
    if kind == "airflow":
        match = _DURATION.search(log["message"])
        duration_ms = float(match[1]) * 1000 if match else 0.0
        return Reading(f"{log['dag_id']}/{log['task_id']}", at_ms, duration_ms, is_error)
    if kind == "kafka":
        return Reading(f"{log['consumer_group']}/{log['topic']}", at_ms, log["latency_ms"], is_error)
    return Reading(f"{log['service']}/{log['model_version']}", at_ms, log["latency_ms"], is_error)


def empty() -> dict[str, Any]:
    """A window's state: plain values that every engine can store."""
    return {"n": 0, "e": 0, "s": 0.0, "b": {}}


def add(state: dict[str, Any], latency_ms: float, is_error: bool) -> dict[str, Any]:
    """Count one log in a state; returns it."""
    state["n"] += 1
    state["e"] += is_error
    state["s"] += latency_ms
    bucket = str(math.ceil(math.log(max(latency_ms, 1e-3)) / _LOG_GAMMA))
    state["b"][bucket] = state["b"].get(bucket, 0) + 1
    return state


def result(series: str, start_ms: int, state: dict[str, Any]) -> dict[str, Any]:
    """What is published of a window."""
    buckets = sorted((int(bucket), count) for bucket, count in state["b"].items())
    out = {"series": series, "start": start_ms, "count": state["n"], "errors": state["e"], "sum": state["s"]}
    for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        rank, seen = max(1, math.ceil(q * state["n"])), 0
        for bucket, count in buckets:
            seen += count
            if seen >= rank:
                out[name] = 2 * GAMMA**bucket / (GAMMA + 1)
                break
    return out
