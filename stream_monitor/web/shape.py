"""What the API answers with, for its OpenAPI document. Answers are plain data; a test holds them to this."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Phase = Literal["connecting", "missing", "loading", "live", "lost"]
_SERIES: Any = {
    "name": "ml:ml.predictor/v1.2.3", "kind": "ml", "entity": "ml.predictor/v1.2.3", "status": "ok",
    "status_why": "", "records": 1250, "volume": 1250.0, "errors": 2, "of": 1250, "error_rate": 0.0016,
    "count": 1250, "mean_ms": 45.2, "p50_ms": 41.9, "p95_ms": 97.0, "p99_ms": 141.3, "max_ms": 310.4, "lag": None,
    "lag_max": None, "messages_per_second": None, "confidence_mean": 0.93, "confidence_p5": 0.61, "drift": 0.02,
    "last_data": "2026-01-15T10:30:00Z", "from": "2026-01-15T09:30:00Z", "to": "2026-01-15T10:30:42Z",
}  # fmt: skip


class Shape(BaseModel):
    """Nothing is left out, nothing is in addition."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = []
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank", "title": "Unprocessable Content", "status": 422,
                "detail": "from 'yesterday-ish' is no time: now-6h, now, 2026-01-15T10:30:00Z",
            }
        }
    )  # fmt: skip


class Range(Shape):
    """In steps; the first begins at `from`. `live`: it ends now."""

    since: str = Field(alias="from")
    to: str
    from_ms: int
    to_ms: int
    live: bool
    resolution: str
    step_s: int


class State(Shape):
    """How the feed is. `skew_s`: how far the newest data are ahead of the server's clock, or behind."""

    phase: Phase
    since: str
    why: str
    last_record: str | None
    skew_s: float | None
    records_read: int


class Card(Shape):
    """A number as it is shown; `values` by step."""

    title: str
    brief: str
    value: str
    said: str
    level: str
    values: list[float | None]


class Total(Shape):
    """A kind's components as one. `measures` null: not decoded yet."""

    kind: str
    records: int
    volume: float | None
    errors: int
    of: int
    error_rate: float | None
    measures: dict[str, dict[str, float | None]] | None


class Series(Shape):
    """A component over the range. No data: null, never 0."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, json_schema_extra={"example": _SERIES})
    name: str
    kind: str
    entity: str
    status: str
    status_why: str
    records: int
    volume: float | None
    errors: int
    of: int
    error_rate: float | None
    count: int | None
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    lag: float | None
    lag_max: float | None
    messages_per_second: float | None
    confidence_mean: float | None
    confidence_p5: float | None
    drift: float | None
    last_data: str | None
    since: str = Field(alias="from")
    to: str


class Alert(Shape):
    """As it was last said."""

    rule: str
    state: str
    severity: str
    kind: str
    entity: str
    name: str
    since: str
    at: str
    value: float | None
    summary: str
    reason: str
    runbook_url: str


class Snapshot(Shape):
    """A range. `complete`: all that Kafka holds of it has been read; `decoded`: and decoded.

    `rough`: the whole range, in longer steps than it will be; only the stream sends such a one.
    """

    v: Literal[1]
    range: Range
    state: State
    complete: bool
    rough: bool
    decoded: bool
    unreadable_records: int
    cards: list[Card]
    totals: list[Total]
    components: int
    series: list[Series]
    series_total: int
    alerts: list[Alert]
    alerts_total: int


class SeriesPage(Shape):
    """Some of the rows."""

    range: Range
    total: int
    series: list[Series]


class Component(Shape):
    """`name` is what the parameter `c` takes."""

    name: str
    kind: str
    entity: str


class Components(Shape):
    """At most 5,000."""

    total: int
    components: list[Component]


class Window(Shape):
    """A step of a component."""

    name: str
    kind: str
    entity: str
    start: str
    size_s: int
    records: int
    volume: float | None
    errors: int
    of: int
    error_rate: float | None
    measures: dict[str, dict[str, float | None]]
    gauges: dict[str, dict[str, dict[str, float]]]
    exceptions: dict[str, int]
    classes: dict[str, int]


class Windows(Shape):
    """The first `limit` of `total`."""

    range: Range
    total: int
    windows: list[Window]


class Alerts(Shape):
    """The first `limit` of `total`."""

    total: int
    alerts: list[Alert]


class Log(Shape):
    """Where a log record stands in its source topic."""

    kind: str
    partition: int
    offset: int
    timestamp: str
    timestamp_ms: int
    why: Literal["error", "slowest"]
    value_ms: float | None
    entity: str


class Logs(Shape):
    """The first `limit` of `total`."""

    total: int
    logs: list[Log]


class Record(Shape):
    """Bytes that are no UTF-8 are shown as �. `cut`: it is longer than 20,000 characters."""

    offset: int
    timestamp: str
    key: str | None
    value: str | None
    cut: bool
    headers: list[tuple[str, str | None]]


class Excerpt(Shape):
    """The record and at most 20 before and after it. `gone`: Kafka has deleted it."""

    topic: str
    partition: int
    offset: int
    gone: bool
    first_offset: int
    end_offset: int
    records: list[Record]


class Chart(Shape):
    """`figure` is what plotly.js takes; `empty` says why there is none."""

    name: str
    title: str
    said: str
    figure: dict[str, Any]
    empty: str


class Board(Snapshot):
    """A snapshot with its charts, in the order of the page."""

    charts: list[Chart]


class Charts(Shape):
    """In the order of the page."""

    charts: list[Chart]


_PROBLEM = {"content": {"application/problem+json": {"schema": Problem.model_json_schema()}}}
_SAID = {
    304: "The client has it already",
    401: "A token is needed",
    404: "It is not there",
    421: "The Host header names another server",
    422: "A parameter is wrong",
    503: "Kafka does not answer, or too many ask",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": said, **({} if status == 304 else _PROBLEM)} for status, said in _SAID.items()
}
CSV: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A header and the rows (RFC 4180)",
        "content": {"text/csv": {"schema": {"type": "string"}}},
    }
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`board`: a snapshot with `charts`. `state`: how the feed is, when that changes.",
        "content": {"text/event-stream": {}},
    }
}
