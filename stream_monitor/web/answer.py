"""A view as the API's JSON: cards, series, alerts, windows, charts. docs/reference/web.md describes it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_monitor import wire
from stream_monitor.board.cards import Card, alerts_of, cards_of, items_of
from stream_monitor.board.colours import colours
from stream_monitor.board.export import row_of
from stream_monitor.board.item import Item, Place
from stream_monitor.board.name import name_of
from stream_monitor.charts import Scene, charts
from stream_monitor.core.aggregate import reported
from stream_monitor.core.part import Part
from stream_monitor.core.timeline import LineView
from stream_monitor.core.view import Query, View
from stream_monitor.feed import Excerpt, Feed, FeedState, RawRecord
from stream_monitor.feed.store import warm
from stream_monitor.web.ask import RESOLUTION_MS, Ask

Plain = dict[str, Any]

WARM_S = 0.25
"""How long one round decodes windows that nobody has looked at; the rest is for the next rounds."""
_TEXT_MOST = 20_000
"""Characters of a raw record."""
_RANK = {"failing": 0, "lagging": 1, "stale": 2, "ok": 3}
_NAMES = {step_ms: name for name, step_ms in RESOLUTION_MS.items()}


@dataclass
class Board:
    """All that one range shows."""

    view: View
    state: FeedState
    items: list[Item]
    """Those that count: the picked ones, all if none is."""
    all_items: list[Item] = field(default_factory=list)
    alerts: list[wire.AlertRecord] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    is_warm: bool = True
    is_rough: bool = False
    """In longer steps than it will be: those are still to be read."""

    @property
    def is_complete(self) -> bool:
        """Everything has been read."""
        return self.view.complete and not self.is_rough

    @property
    def is_settled(self) -> bool:
        """Everything has been read and decoded."""
        return self.is_complete and self.is_warm


def expect(feed: Feed, ask: Ask) -> Query:
    """The query that is answered first; the feed reads what it needs. A rough one, where its own is not held."""
    query = ask.query(feed)
    rough = None if feed.holds(query) else ask.rough(query)
    if rough is None:
        return query
    feed.view(rough)
    return rough


def first_board(feed: Feed, ask: Ask, known: Sequence[str], warm_s: float = WARM_S) -> Board:
    """As `board_of`, but rough until the rest has been read."""
    query = expect(feed, ask)
    board = _board(feed, query, known, warm_s)
    board.is_rough = query.step_ms != ask.query(feed).step_ms
    return board


def board_of(feed: Feed, ask: Ask, known: Sequence[str], warm_s: float = WARM_S) -> Board:
    """What the feed says as of now. Takes at most about `warm_s` longer than the view itself."""
    return _board(feed, ask.query(feed), known, warm_s)


def _board(feed: Feed, query: Query, known: Sequence[str], warm_s: float) -> Board:
    view = feed.view(query)
    deadline = time.monotonic() + (warm_s if view.complete else 0.0)
    is_warm = True
    for _ in warm(list(view.totals.values())):
        if time.monotonic() > deadline:
            is_warm = False
            break
    items = items_of(view)
    board = Board(
        view, feed.state(), [item for item in items if view.is_counted(item.line)], items, is_warm=is_warm
    )
    board.alerts = alerts_of(feed.alerts(), view.query)
    board.cards = cards_of(view, items, board.alerts, known)
    return board


def ordered(items: Iterable[Item], sort: str, *, is_warm: bool = True) -> list[Item]:
    """Items by a column (`-p99_ms`: falling); what has no value comes last, equal ones by their names."""
    name, falling = sort.removeprefix("-"), sort.startswith("-")
    named = sorted(items, key=lambda item: (item.entity, item.kind))
    rows = [(item, row_of(item, is_decoded=is_warm)[name]) for item in named]
    there = [row for row in rows if row[1] is not None]
    there.sort(key=lambda row: _RANK.get(row[1], 9) if name == "status" else row[1], reverse=falling)
    return [item for item, _ in there] + [item for item, value in rows if value is None]


# --- As JSON --------------------------------------------------------------------------------------


def snapshot(board: Board, sort: str, limit: int, offset: int = 0) -> Plain:
    """Everything but the charts."""
    rows = ordered(board.items, sort, is_warm=board.is_warm)
    return {
        "v": 1,
        "range": within(board.view.query),
        "state": state(board.state),
        "complete": board.is_complete,
        "rough": board.is_rough and board.view.complete,
        "decoded": board.is_warm,
        "unreadable_records": board.view.unreadable,
        "cards": [card._asdict() for card in board.cards],
        "totals": [total(line, is_warm=board.is_warm) for line in board.view.totals.values()],
        "components": len(board.all_items),
        "series": [series(item, is_warm=board.is_warm) for item in rows[offset : offset + limit]],
        "series_total": len(rows),
        "alerts": [alert(one) for one in board.alerts[:200]],
        "alerts_total": len(board.alerts),
    }


def figures(board: Board, *, dark: bool) -> list[Plain]:
    """The charts, in the order of the page."""
    scene = Scene(board.view, board.items, colours(dark=dark), board.is_warm)
    return [chart._asdict() for chart in charts(scene)]


def within(query: Query) -> Plain:
    """The range, and its steps."""
    return {
        "from": wire.iso_second(query.from_ms),
        "to": wire.iso_second(query.range.to_ms),
        "from_ms": query.from_ms,
        "to_ms": query.range.to_ms,
        "live": query.live,
        "resolution": _NAMES[query.step_ms],
        "step_s": query.step_ms // 1000,
    }


def state(of: FeedState) -> Plain:
    """How the feed is; times as text."""
    return {
        "phase": of.phase,
        "since": wire.iso_second(of.since_ms),
        "why": of.why,
        "last_record": None if of.last_record_ms is None else wire.iso_second(of.last_record_ms),
        "skew_s": None if of.skew_ms is None else of.skew_ms / 1000,
        "records_read": of.records,
    }


def series(item: Item, *, is_warm: bool = True) -> Plain:
    """A row: what the CSV has, its name, and why its status is so."""
    return {
        "name": name_of(*item.key),
        **row_of(item, is_decoded=is_warm),
        "status_why": item.status.why,
    }


def total(line: LineView, *, is_warm: bool) -> Plain:
    """A kind's components as one."""
    sums = line.sums
    return {
        "kind": line.kind.name,
        "records": sums.records,
        "volume": _rounded(line.volume if is_warm else sums.volume or None),
        "errors": sums.errors,
        "of": sums.of,
        "error_rate": sums.error_ratio,
        "measures": measures(line, line.whole) if is_warm else None,
    }


def _rounded(volume: float | None) -> float | None:
    return None if volume is None else round(volume, 6)


def measures(line: LineView, whole: Any) -> Plain:
    """By name: count, mean, extremes and the family's quantiles; those that have values."""
    return {
        name: {
            "count": of.count, "mean": of.mean, "min": of.min, "max": of.max,
            **of.named_quantiles(),
        }
        for (name, _), of in zip(line.kind.measures, whole.measures, strict=True)
        if of.counts
    }  # fmt: skip


def components(board: Board, most: int) -> Plain:
    """Names, of all that match, picked or not."""
    items = sorted(board.all_items, key=lambda item: (item.kind, item.entity))
    rows = [{"name": name_of(*item.key), "kind": item.kind, "entity": item.entity} for item in items[:most]]
    return {"total": len(items), "components": rows}


def windows(query: Query, items: Sequence[Item], most: int) -> tuple[int, list[Plain]]:
    """(how many there are, the first `most` of them): a row for each step of a component that holds something."""
    places = [
        (item, start, part)
        for item in sorted(items, key=lambda item: (item.kind, item.entity))
        for start, part in zip(query.starts, item.line.parts, strict=True)
        if part is not None
    ]
    return len(places), [_window(*place, query.step_ms) for place in places[:most]]


def _window(item: Item, start_ms: int, part: Part, step_ms: int) -> Plain:
    whole = part.aggregate
    return {
        "name": name_of(*item.key),
        "kind": item.kind,
        "entity": item.entity,
        "start": wire.iso_second(start_ms),
        "size_s": step_ms // 1000,
        "records": part.records,
        "volume": _rounded(reported(item.line.kind, part.volume, lambda: whole)),
        "errors": part.errors,
        "of": part.of,
        "error_rate": part.errors / part.of if part.of else None,
        "measures": measures(item.line, whole),
        "gauges": {
            name: {key: {"last": value[1], "max": value[2]} for key, value in sorted(gauge.items())}
            for name, gauge in zip(item.line.kind.gauges, whole.gauges, strict=True)
            if gauge
        },
        "exceptions": dict(whole.exceptions),
        "classes": dict(whole.classes),
    }


def alert(one: wire.AlertRecord) -> Plain:
    """An alert as it was last said."""
    return {
        "rule": one.rule,
        "state": one.state,
        "severity": one.severity,
        "kind": one.kind,
        "entity": one.entity,
        "name": name_of(one.kind, one.label_values),
        "since": wire.iso_second(one.since_ms),
        "at": wire.iso_second(one.at_ms),
        "value": one.value,
        "summary": one.summary,
        "reason": one.reason,
        "runbook_url": one.runbook_url,
    }


def place(one: Place) -> Plain:
    """Where a log record stands, and why it is looked at."""
    return {**one._asdict(), "timestamp": wire.iso(one.timestamp_ms)}


def excerpt(found: Excerpt) -> Plain:
    """A record with its neighbours, as text."""
    return {
        "topic": found.topic,
        "partition": found.partition,
        "offset": found.offset,
        "gone": found.is_gone,
        "first_offset": found.low,
        "end_offset": found.high,
        "records": [_raw(record) for record in found.records],
    }


def _raw(record: RawRecord) -> Plain:
    value = _text(record.value)
    return {
        "offset": record.offset,
        "timestamp": wire.iso(record.timestamp_ms),
        "key": _text(record.key),
        "value": None if value is None else value[:_TEXT_MOST],
        "cut": value is not None and len(value) > _TEXT_MOST,
        "headers": [[name, _text(value)] for name, value in record.headers],
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
