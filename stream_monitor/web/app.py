"""The web application over a Feed: put together here, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.types import ASGIApp

from stream_monitor import __version__
from stream_monitor.core.window import DAY_MS
from stream_monitor.feed import Feed
from stream_monitor.web import answer, files, problem
from stream_monitor.web.api import api
from stream_monitor.web.ask import Ask
from stream_monitor.web.guard import Guard
from stream_monitor.web.health import health
from stream_monitor.web.hub import Hub
from stream_monitor.web.login import login
from stream_monitor.web.logs import Turns, logs

_SAYS = """What the metrics topics hold, as JSON. All times are UTC. A value that is not there is null, never 0.
Errors are problem details (RFC 9457). Answers have an ETag; ask with If-None-Match."""

WARM = (Ask(DAY_MS), Ask(30 * DAY_MS))
"""What is held for a first look before anybody looks."""


@dataclass(frozen=True)
class Options:
    """`known`: the components that should be there. `token`: who knows it may ask; None: everybody may.

    `hosts`: names of this server besides its addresses. `https`: a proxy with TLS is before it.
    """

    known: Sequence[str] = ()
    token: str | None = None
    hosts: Sequence[str] = ()
    https: bool = False
    most_clients: int = 200


def create(feed: Feed, options: Options) -> tuple[ASGIApp, Hub]:
    """(the application, its hub). It starts and stops the feed."""
    hub = Hub(feed, options.known, options.most_clients)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        for ask in WARM:
            answer.expect(feed, ask)  # before the feed begins: its first reading brings it
        feed.start()
        warm = asyncio.create_task(hub.keep_warm(WARM))
        yield
        warm.cancel()
        hub.close()
        feed.stop()

    app = FastAPI(
        title="stream-monitor", version=__version__, description=_SAYS, lifespan=life, redirect_slashes=False,
        docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json",
    )  # fmt: skip
    app.state.hub, app.state.turns, app.state.options = hub, Turns(), options
    problem.install(app)
    for router in (api, logs, health, login, files.files):
        app.include_router(router)
    app.openapi()  # now, and not while the first browser waits
    return Guard(app, options.token, options.hosts), hub
