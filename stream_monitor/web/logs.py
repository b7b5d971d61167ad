"""The routes of /api/v1/logs: which log records stand behind what is shown, and the records themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import orjson
from confluent_kafka import KafkaError, KafkaException
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from stream_monitor.board.places import logs_of, places_of_view
from stream_monitor.errors import MonitorError
from stream_monitor.feed import Excerpt
from stream_monitor.web import answer, shape
from stream_monitor.web.api import Asked, TheHub, tagged
from stream_monitor.web.ask import Kind
from stream_monitor.web.known import known_parameters
from stream_monitor.web.problem import ProblemError

MOST = 500
AT_ONCE = 4
"""Raw records are read from Kafka for so many requests at a time; as many may wait."""
_NO_PARTITION = frozenset({KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART})

logs = APIRouter(
    prefix="/api/v1/logs", tags=["api"], responses=shape.PROBLEMS, dependencies=[Depends(known_parameters)]
)


class Turns:
    """So many at a time."""

    def __init__(self) -> None:
        self._turns, self._here = asyncio.Semaphore(AT_ONCE), 0

    async def run(self, work: Callable[[], Excerpt]) -> Excerpt:
        """Work in a thread. Raises ProblemError where too many wait."""
        if self._here >= 2 * AT_ONCE:
            raise ProblemError(503, "too many raw records are being read; again in a while", {"Retry-After": "5"})
        self._here += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._here -= 1


@logs.get("", response_model=shape.Logs, summary="The log records that a range's windows point to")
async def places(
    request: Request, hub: TheHub, ask: Asked,
    at: Annotated[
        int | None, Query(ge=0, le=2**53, description="UTC milliseconds: only the step that holds this time")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST, description="Records at most")] = 100,
) -> Response:  # fmt: skip
    board = await hub.settled(ask)
    found = await hub.run(
        lambda: logs_of(board.items) if at is None else places_of_view(board.view, board.items, at)
    )
    body = {"total": len(found), "logs": [answer.place(one) for one in found[:limit]]}
    return tagged(request, orjson.dumps(body))


@logs.get(
    "/{kind}/{partition}/{offset}", response_model=shape.Excerpt,
    summary="A log record as it stands in Kafka, with its neighbours",
)  # fmt: skip
async def raw(
    request: Request, hub: TheHub, kind: Kind, partition: Annotated[int, Path(ge=0, le=2**31 - 1)],
    offset: Annotated[int, Path(ge=0, le=2**62)],
) -> Response:  # fmt: skip
    turns: Turns = request.app.state.turns
    try:
        found = await turns.run(lambda: hub.feed.excerpt(kind, partition, offset))
    except MonitorError as error:
        raise ProblemError(404, str(error)) from None
    except KafkaException as error:
        if error.args[0].code() in _NO_PARTITION:
            raise ProblemError(404, f"the {kind} logs have no partition {partition}") from None
        raise ProblemError(503, f"Kafka does not give partition {partition} of the {kind} logs") from None
    return Response(orjson.dumps(answer.excerpt(found)), media_type="application/json")
