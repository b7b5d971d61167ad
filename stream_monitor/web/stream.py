"""Server-sent events to one client: from its queue to its connection, until it leaves or is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stream_monitor.web.hub import Client

BEAT_S = 15.0
"""A comment after so much silence, so that nobody on the way takes the connection for dead."""
PATIENCE_S = 20.0
"""An event that cannot be handed to the network for this long ends the connection."""

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class EventStream(Response):
    """An ASGI response. `leave` ends the subscription; `abort` closes the connection, whatever waits in it."""

    def __init__(self, client: Client, leave: Callable[[], None], abort: Callable[[], None]) -> None:
        super().__init__()
        self._client, self._leave, self._abort = client, leave, abort

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        tasks = [
            asyncio.create_task(self._write(send)),
            asyncio.create_task(_gone(receive)),
            asyncio.create_task(self._client.is_cut.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leave()
            if self._client.is_cut.is_set():
                self._abort()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, send: Send) -> None:
        """Until the last event, or one that can't be handed over in time."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        text: bytes | None = b"retry: 2000\n\n"
        while text is not None:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await send({"type": "http.response.body", "body": text, "more_body": True})
            except TimeoutError:
                self._client.is_cut.set()
                return
            try:
                async with asyncio.timeout(BEAT_S):
                    text = await self._client.queue.get()
            except TimeoutError:
                text = b": here\n\n"
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
