"""The report command: a range of the metrics topics as text, JSON or CSV, once or again and again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Literal, TextIO

from stream_monitor.core.snapshot import Range
from stream_monitor.core.window import HOUR_MS, MINUTE_MS
from stream_monitor.errors import BrokerUnavailableError, MonitorError, TopicMissingError
from stream_monitor.feed import read_history
from stream_monitor.kinds import KINDS
from stream_monitor.report.build import build
from stream_monitor.report.render_csv import render_csv
from stream_monitor.report.render_json import render_json
from stream_monitor.report.render_text import render_text
from stream_monitor.settings import Settings

Output = Literal["text", "json", "csv"]

RENDER = {"text": render_text, "json": render_json, "csv": render_csv}

_MINUTE_EDGES_H = 1
"""A longer report begins at a full hour: hours come from their own rows, and minutes of that age may be gone."""


def report_range(now_ms: int, hours: int) -> Range:
    """The last `hours` hours up to now, from a full minute (one hour) or a full hour (longer) on."""
    step = MINUTE_MS if hours <= _MINUTE_EDGES_H else HOUR_MS
    start = now_ms - hours * HOUR_MS
    return Range(start - start % step, now_ms)


def run(
    settings: Settings,
    *,
    component: str = "all",
    hours: int = 24,
    output: Output = "text",
    out: TextIO | None = None,
) -> int:
    """Print one report; returns 0. Raises MonitorError where the topics can't be read."""
    now_ms = time.time_ns() // 1_000_000
    kinds = KINDS if component == "all" else {component: KINDS[component]}
    snapshot = read_history(settings, report_range(now_ms, hours), kinds)
    text = RENDER[output](build(snapshot, kinds, settings.known_components, hours))
    stream = out or sys.stdout
    stream.write(text)
    stream.flush()
    return 0


def serve(
    settings: Settings,
    stopped: Callable[[], bool],
    *,
    component: str = "all",
    hours: int = 24,
    output: Output = "text",
    interval_s: float = 60.0,
) -> int:
    """Print a report every `interval_s` seconds until `stopped()`; returns 0.

    A broker or topic that is away costs a line on stderr, and the next round tries again.
    """
    while not stopped():
        due = time.monotonic() + interval_s
        try:
            if output == "text" and sys.stdout.isatty():
                sys.stdout.write("\x1b[2J\x1b[H")
            run(settings, component=component, hours=hours, output=output)
        except (BrokerUnavailableError, TopicMissingError) as error:
            _complain(error)
        while not stopped() and time.monotonic() < due:
            time.sleep(min(0.2, interval_s))
    return 0


def _complain(error: MonitorError) -> None:
    sys.stderr.write(f"stream-monitor: {error}\n")
    sys.stderr.flush()
