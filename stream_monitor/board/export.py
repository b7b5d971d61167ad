"""What is shown as CSV (RFC 4180), complete: all rows, whether in sight or not, in full numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from stream_monitor import wire
from stream_monitor.board.item import Item, Place
from stream_monitor.report.render_csv import safe_cell

SERIES = (
    "kind", "entity", "status", "records", "volume", "errors", "of", "error_rate", "count", "mean_ms", "p50_ms",
    "p95_ms", "p99_ms", "max_ms", "lag", "lag_max", "messages_per_second", "confidence_mean", "confidence_p5",
    "drift", "last_data", "from", "to",
)  # fmt: skip
ALERTS = ("state", "severity", "rule", "kind", "entity", "since", "at", "value", "summary")
LOGS = ("timestamp", "why", "kind", "entity", "value_ms", "partition", "offset")


def csv_of(
    rows: Sequence[Item] | Sequence[wire.AlertRecord] | Sequence[Place],
    columns: Sequence[str],
    *,
    with_header: bool = True,
) -> str:
    """A header and the rows; a cell without data is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\r\n")
    if with_header:
        writer.writeheader()
    for row in rows:
        found = (
            row_of(row)
            if isinstance(row, Item)
            else _alert(row)
            if isinstance(row, wire.AlertRecord)
            else _place(row)
        )
        writer.writerow({name: _cell(value) for name, value in found.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    return "" if value is None else safe_cell(value) if isinstance(value, str) else value


def row_of(item: Item, *, is_decoded: bool = True) -> dict[str, Any]:
    """A series by SERIES. `is_decoded` False: what would have to be decoded is None."""
    sums, within = item.line.sums, item.view.query
    row: dict[str, Any] = dict.fromkeys(SERIES)
    row |= {
        "kind": item.kind,
        "entity": item.entity,
        "status": item.status.level,
        "records": sums.records,
        "volume": None if item.volume is None else round(item.volume, 6),
        "errors": sums.errors,
        "of": sums.of,
        "error_rate": sums.error_ratio,
        "last_data": None if item.line.last_ms is None else wire.iso_second(item.line.last_ms),
        "from": wire.iso_second(within.from_ms),
        "to": wire.iso_second(within.range.to_ms),
    }
    return row | _decoded(item) if is_decoded else row


def _decoded(item: Item) -> dict[str, Any]:
    first, confidence = item.line.whole.measures[0], item.confidence
    times = item.times or (None, None, None)
    return {
        "count": first.count,
        "mean_ms": first.mean,
        "p50_ms": times[0],
        "p95_ms": times[1],
        "p99_ms": times[2],
        "max_ms": first.max if first.counts else None,
        "lag": item.lag,
        "lag_max": item.peak("consumer_lag"),
        "messages_per_second": item.throughput,
        "confidence_mean": confidence.mean if confidence else None,
        "confidence_p5": confidence.quantile(0.05) if confidence else None,
        "drift": item.drift,
    }


def _alert(alert: wire.AlertRecord) -> dict[str, Any]:
    return {
        "state": alert.state,
        "severity": alert.severity,
        "rule": alert.rule,
        "kind": alert.kind,
        "entity": alert.entity,
        "since": wire.iso(alert.since_ms),
        "at": wire.iso(alert.at_ms),
        "value": alert.value,
        "summary": alert.summary,
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "timestamp": wire.iso(place.timestamp_ms),
        "why": place.why,
        "kind": place.kind,
        "entity": place.entity,
        "value_ms": place.value_ms,
        "partition": place.partition,
        "offset": place.offset,
    }
