"""The public API for programs and notebooks: what the metrics topics hold of the last hours.

read(hours=6, component="ml")     a row for each window: a pandas DataFrame, or dictionaries without pandas
look(hours=6)                     the same range as a Look: charts (Plotly figures), rows of components, alerts
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stream_monitor import wire
from stream_monitor.board.cards import Card, alerts_of, cards_of, items_of
from stream_monitor.board.colours import colours
from stream_monitor.board.export import SERIES, csv_of, row_of
from stream_monitor.board.item import Item, measure_of
from stream_monitor.board.name import name_of, series_of
from stream_monitor.board.when import When
from stream_monitor.charts import Chart, Scene, charts
from stream_monitor.core.aggregate import reported
from stream_monitor.core.part import Part
from stream_monitor.core.view import Query, View
from stream_monitor.core.window import HOUR_MS
from stream_monitor.errors import UsageError
from stream_monitor.feed import Feed, read_once
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings

MOST_HOURS = 24 * 366


@dataclass(frozen=True)
class Look:
    """A range of the last hours, read once."""

    view: View
    items: list[Item]
    alerts: list[wire.AlertRecord]
    known: tuple[str, ...] = ()

    @property
    def cards(self) -> list[Card]:
        """The numbers on top of a dashboard."""
        return cards_of(self.view, self.items, self.alerts, self.known)

    def charts(self, *, dark: bool = False) -> list[Chart]:
        """Charts with their Plotly figures: `plotly.graph_objects.Figure(chart.figure)`."""
        return charts(Scene(self.view, self.items, colours(dark=dark)))

    def rows(self) -> list[dict[str, Any]]:
        """A row for each component, those with the most records first."""
        ranked = sorted(self.items, key=lambda item: (-item.line.sums.records, item.entity))
        return [{"name": name_of(*item.key), **row_of(item)} for item in ranked]

    def windows(self) -> list[dict[str, Any]]:
        """A row for each window with data, in the order of time."""
        found = [
            _window(item, start, part)
            for item in self.items
            for start, part in zip(self.view.query.starts, item.line.parts, strict=True)
            if part is not None
        ]
        return sorted(found, key=lambda row: (row["time"], row["name"]))

    def csv(self) -> str:
        """The rows as CSV."""
        ranked = sorted(self.items, key=lambda item: (-item.line.sums.records, item.entity))
        return csv_of(ranked, SERIES)


def look(
    hours: float = 24, component: str = "all", settings: Settings | None = None, names: Sequence[str] = ()
) -> Look:
    """Read the last hours. `component`: all, or a kind. `names`: only these series (`ml:ml.predictor/v1.2.3`).

    Raises MonitorError, one line, for what a user can cause.
    """
    if not 1 <= hours <= MOST_HOURS:
        raise UsageError(f"hours={hours!r}: between 1 and {MOST_HOURS}")
    if component != "all" and component not in KINDS:
        raise UsageError(f"component={component!r}: all, {', '.join(KINDS)}")
    series = [series_of(name, KINDS) for name in names]
    if None in series:
        raise UsageError(
            f"names={names[series.index(None)]!r}: no kind:label/label, such as ml:ml.predictor/v1.2.3"
        )
    settings = settings or Settings.load()
    words = () if component == "all" else ((f"{component}:",),)
    when, picked = When(round(hours * HOUR_MS)), frozenset(one for one in series if one is not None)

    def query(feed: Feed) -> Query:
        return when.query(feed.now_ms(), feed.newest_ms(), feed.series_count(), words, picked)

    found = read_once(settings, query)
    items = [item for item in items_of(found.view) if found.view.is_counted(item.line)]
    return Look(found.view, items, alerts_of(found.alerts, found.view.query), settings.known_components)


def read(hours: float = 24, component: str = "all", settings: Settings | None = None) -> Any:
    """The windows of the last hours, a row for each: a DataFrame where pandas is installed, else dictionaries.

    Columns: time (the window's start, UTC), name, kind, entity, records, volume, errors, of, error_rate, count,
    mean_ms, p50_ms, p95_ms, p99_ms, lag, confidence. What is not there is None (NaN in a DataFrame).
    """
    rows = look(hours, component, settings).windows()
    try:
        import pandas as pd
    except ModuleNotFoundError:
        return rows
    return pd.DataFrame(rows, columns=list(_COLUMNS))


_COLUMNS = (
    "time", "name", "kind", "entity", "records", "volume", "errors", "of", "error_rate", "count", "mean_ms",
    "p50_ms", "p95_ms", "p99_ms", "lag", "confidence",
)  # fmt: skip


def _window(item: Item, start_ms: int, part: Part) -> dict[str, Any]:
    whole = part.aggregate
    first = whole.measures[0]
    p50, p95, p99 = first.at_quantiles((0.5, 0.95, 0.99))
    gauges = dict(zip(item.line.kind.gauges, whole.gauges, strict=True))
    lags = gauges.get("consumer_lag")
    confidence = measure_of(whole, item.line, "confidence")
    values = (
        datetime.fromtimestamp(start_ms / 1000, UTC), name_of(*item.key), item.kind, item.entity, part.records,
        reported(item.line.kind, part.volume, lambda: whole), part.errors, part.of,
        part.errors / part.of if part.of else None, first.count, first.mean,
        p50, p95, p99, sum(value[1] for value in lags.values()) if lags else None,
        confidence.mean if confidence else None,
    )  # fmt: skip
    return dict(zip(_COLUMNS, values, strict=True))
