"""The report as CSV (RFC 4180): a row per series and hour, and one per series for the whole range (hour empty)."""

from __future__ import annotations

import csv
import io
from typing import Any

from stream_monitor.kinds import KINDS

COLUMNS = (
    "kind", "entity", "hour", "volume", "errors", "of", "error_rate", "records", "mean_ms", "p50_ms", "p95_ms",
    "p99_ms", "max_ms", "confidence_mean", "confidence_p5", "lag", "lag_max", "messages_per_second", "active",
)  # fmt: skip

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render_csv(report: dict[str, Any]) -> str:
    """A cell without data is empty. Text that a spreadsheet would run as a formula gets an apostrophe."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for kind, section in report["components"].items():
        for series in section["series"]:
            names = {"kind": kind, "entity": safe_cell(series["entity"])}
            writer.writerow(names | _whole(kind, series))
            for hour in series["per_hour"]:
                writer.writerow(names | {key: _cell(value) for key, value in hour.items()})
    return text.getvalue()


def _whole(kind: str, series: dict[str, Any]) -> dict[str, Any]:
    times = series["measures"].get(KINDS[kind].measures[0][0]) or {}
    confidence = series["measures"].get("confidence") or {}
    row = {name: series.get(name) for name in ("volume", "errors", "of", "error_rate", "records")}
    row |= {f"{name}_ms": times.get(name) for name in ("mean", "p50", "p95", "p99", "max")}
    row |= {"confidence_mean": confidence.get("mean"), "confidence_p5": confidence.get("p5")}
    row |= {name: series.get(name) for name in ("lag", "lag_max", "messages_per_second")}
    row["active"] = "yes" if series["active"] else "no"
    return {key: _cell(value) for key, value in row.items()}


def _cell(value: Any) -> Any:
    return "" if value is None else value


def safe_cell(text: str) -> str:
    """Text as a spreadsheet shows it and never runs it."""
    return f"'{text}" if text.startswith(_FORMULA) else text
