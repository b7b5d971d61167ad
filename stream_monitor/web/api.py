"""The routes of /api/v1. What they answer with is made in answer.py; what they are asked is read in ask.py."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from stream_monitor.board.export import SERIES, csv_of
from stream_monitor.board.item import Item
from stream_monitor.web import answer, shape
from stream_monitor.web.ask import Ask, From, Kind, Names, Sort, Step, Theme, To, Words, ask_of, default_every_s
from stream_monitor.web.hub import Hub, Show
from stream_monitor.web.known import known_parameters
from stream_monitor.web.problem import ProblemError
from stream_monitor.web.server import abort
from stream_monitor.web.stream import EventStream

MOST_ROWS = 5_000
MOST_WINDOWS = 10_000
CSV_ROWS = 500
"""Of an export are made at a time, so that boards come in between, and memory does not grow with the rows."""

api = APIRouter(prefix="/api/v1", tags=["api"], responses=shape.PROBLEMS, dependencies=[Depends(known_parameters)])

Order = Annotated[Sort, Query(description="The column that rows are ordered by; `-`: falling. No value: last")]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Rows at most")]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="Rows that are passed over")]


def hub_of(request: Request) -> Hub:
    """The application's."""
    hub: Hub = request.app.state.hub
    return hub


TheHub = Annotated[Hub, Depends(hub_of)]


def asked(
    hub: TheHub, since: From = "now-1h", to: To = "now", q: Words = "", c: Names = None, resolution: Step = None
) -> Ask:
    """The range and the components that a request names."""
    return ask_of(hub.feed.now_ms(), since, to, q, c or (), resolution)


Asked = Annotated[Ask, Depends(asked)]


def tagged(request: Request, body: bytes) -> Response:
    """JSON with an ETag; 304 without it where the client has it."""
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    held = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if tag in held or "*" in held:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


@api.get("/snapshot", response_model=shape.Snapshot, summary="Cards, totals, series and alerts of a range")
async def snapshot(
    request: Request, hub: TheHub, ask: Asked, sort: Order = "-records", limit: Limit = 200
) -> Response:
    board = await hub.settled(ask)
    return tagged(request, await hub.run(lambda: orjson.dumps(answer.snapshot(board, sort, limit))))


@api.get("/series", response_model=shape.SeriesPage, summary="The components of a range, a page of them")
async def series(
    request: Request, hub: TheHub, ask: Asked, sort: Order = "-records", limit: Limit = 200, offset: Offset = 0
) -> Response:
    board = await hub.settled(ask)

    def body() -> bytes:
        rows = answer.ordered(board.items, sort)
        page = [answer.series(item) for item in rows[offset : offset + limit]]
        return orjson.dumps({"range": answer.within(board.view.query), "total": len(rows), "series": page})

    return tagged(request, await hub.run(body))


@api.get("/components", response_model=shape.Components, summary="The names of all components of a range")
async def components(request: Request, hub: TheHub, ask: Asked) -> Response:
    board = await hub.settled(ask)
    return tagged(request, orjson.dumps(answer.components(board, MOST_ROWS)))


@api.get("/windows", response_model=shape.Windows, summary="The steps of components, with all their numbers")
async def windows(
    request: Request, hub: TheHub, ask: Asked, kind: Kind | None = None,
    entity: Annotated[str | None, Query(max_length=700, description="A component's name for people")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_WINDOWS, description="Windows at most")] = 2_000,
) -> Response:  # fmt: skip
    board = await hub.settled(ask)

    def body() -> bytes:
        chosen = [
            item
            for item in board.items
            if (kind is None or item.kind == kind) and (entity is None or item.entity == entity)
        ]
        total, rows = answer.windows(board.view.query, chosen, limit)
        return orjson.dumps({"range": answer.within(board.view.query), "total": total, "windows": rows})

    return tagged(request, await hub.run(body))


@api.get("/alerts", response_model=shape.Alerts, summary="Alerts: those that fire first, then the latest")
async def alerts(
    request: Request, hub: TheHub, state: Literal["all", "firing"] = "all",
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="Alerts at most")] = 200,
) -> Response:  # fmt: skip
    found = [one for one in hub.feed.alerts() if state == "all" or one.is_firing]
    body = {"total": len(found), "alerts": [answer.alert(one) for one in found[:limit]]}
    return tagged(request, orjson.dumps(body))


@api.get("/charts", response_model=shape.Charts, summary="The charts of a range as Plotly figures")
async def charts(request: Request, hub: TheHub, ask: Asked, theme: Theme = "light") -> Response:
    board = await hub.settled(ask)
    body = await hub.run(lambda: orjson.dumps({"charts": answer.figures(board, dark=theme == "dark")}))
    return tagged(request, body)


@api.get("/board", response_model=shape.Board, summary="A snapshot with its charts, what the stream sends")
async def board(
    request: Request, hub: TheHub, ask: Asked, sort: Order = "-records", limit: Limit = 200, theme: Theme = "light"
) -> Response:
    await hub.settled(ask)
    return tagged(request, (await hub.rendered(ask, Show(sort, limit, theme == "dark"))).body)


@api.get("/export.csv", summary="All rows of a range as CSV", response_class=Response, responses=shape.CSV)
async def export(
    hub: TheHub, ask: Asked, sort: Order = "-records",
    limit: Annotated[int | None, Query(ge=1, description="Rows at most; all of them, if it is not said")] = None,
) -> Response:  # fmt: skip
    board = await hub.settled(ask)
    if not board.view.complete:
        detail = "the range has not been read to its end, and its rows would lack something; ask again in a while"
        raise ProblemError(503, detail, {"Retry-After": "5"})
    rows = await hub.run(lambda: answer.ordered(board.items, sort)[:limit])
    within = board.view.query
    name = f"stream-monitor-{within.from_ms // 1000}-{within.range.to_ms // 1000}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_lines(hub, rows), media_type="text/csv; charset=utf-8", headers=headers)


async def _lines(hub: Hub, rows: Sequence[Item]) -> AsyncIterator[str]:
    """The header and the rows, in pieces that are made when the one before has been sent."""
    yield csv_of((), SERIES)
    for first in range(0, len(rows), CSV_ROWS):
        some = rows[first : first + CSV_ROWS]
        yield await hub.run(partial(csv_of, some, SERIES, with_header=False))


@api.get("/stream", summary="Boards as server-sent events", response_class=Response, responses=shape.EVENTS)
async def stream(
    request: Request, hub: TheHub, ask: Asked, sort: Order = "-records", limit: Limit = 200,
    theme: Theme = "light",
    every: Annotated[
        float | None,
        Query(ge=0, le=3600, description="Seconds between boards at least; 0: one, and states; by the range"),
    ] = None,
) -> Any:  # fmt: skip
    if hub.clients >= hub.most_clients:
        raise ProblemError(503, f"{hub.most_clients} clients listen already", {"Retry-After": "10"})
    seconds = default_every_s(ask.length_ms) if every is None else every and max(1.0, every)
    client, leave = hub.subscribe(ask, Show(sort, limit, theme == "dark"), seconds)
    return EventStream(client, leave, lambda: abort(request.client))
