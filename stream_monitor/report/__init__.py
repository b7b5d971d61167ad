"""The report command: a range of the metrics topics as text, JSON, CSV or HTML, once or again and again."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, Literal, TextIO

from confluent_kafka import KafkaException

from stream_monitor import clients
from stream_monitor.core.snapshot import Range
from stream_monitor.core.window import HOUR_MS, MINUTE_MS
from stream_monitor.errors import MonitorError
from stream_monitor.feed import read_history
from stream_monitor.kinds import KINDS
from stream_monitor.report.build import build
from stream_monitor.report.render_csv import render_csv
from stream_monitor.report.render_json import render_json
from stream_monitor.report.render_text import WIDTH, render_text
from stream_monitor.settings import Settings

Output = Literal["text", "json", "csv", "html"]

RENDER: dict[str, Callable[[dict[str, Any]], str]] = {
    "text": render_text,
    "json": render_json,
    "csv": render_csv,
}

_CLEAR = "\x1b[2J\x1b[H"

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
    """Print one report; returns 0. Raises MonitorError or KafkaException where the topics can't be read."""
    stream = out or sys.stdout
    if output == "html":
        stream.write(_html(settings, component, hours))
        stream.flush()
        return 0
    report = _read(settings, component, hours)
    width = shutil.get_terminal_size().columns if stream.isatty() else WIDTH
    stream.write(render_text(report, width) if output == "text" else RENDER[output](report))
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
    hint: str = "",
) -> int:
    """Print a report every `interval_s` seconds until `stopped()`; returns 0.

    On a terminal a text takes the place of the one before, as much of it as fits, and `hint` is its last line.
    Whatever goes wrong in a round costs a line on stderr, and the next round tries again; only a connection whose
    settings are wrong from the start raises UsageError.
    """
    clients.client_config(settings)
    live = output == "text" and sys.stdout.isatty()
    while not stopped():
        due = time.monotonic() + interval_s
        try:
            report = _read(settings, component, hours, stopped)
            _write(_frame(report, hint) if live else RENDER[output](report))
        except (MonitorError, KafkaException) as error:
            if not stopped():
                _complain(error, hint if live else "")
        while not stopped() and time.monotonic() < due:
            time.sleep(min(0.2, interval_s))
    return 0


def _html(settings: Settings, component: str, hours: int) -> str:
    from stream_monitor.reading import look
    from stream_monitor.report.render_html import render_html

    return render_html(look(hours, component, settings), hours, f"{settings.prefix} on {settings.broker}")


def _read(
    settings: Settings, component: str, hours: int, stopped: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    now_ms = time.time_ns() // 1_000_000
    kinds = KINDS if component == "all" else {component: KINDS[component]}
    snapshot = read_history(settings, report_range(now_ms, hours), kinds, stopped)
    return build(snapshot, kinds, settings.known_components, hours)


def _frame(report: dict[str, Any], hint: str) -> str:
    """The terminal's content: the report, the hint, and a line for the cursor."""
    columns, lines = shutil.get_terminal_size()
    taken = 1 + (-(-len(hint) // columns) if hint else 0)
    return _CLEAR + render_text(report, columns, lines - taken) + (f"{hint}\n" if hint else "")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _complain(error: MonitorError | KafkaException, hint: str) -> None:
    said = clients.reason(error) if isinstance(error, KafkaException) else error
    sys.stderr.write(f"stream-monitor: {said}\n")
    sys.stderr.flush()
    if hint:
        _write(f"{hint}\n")
