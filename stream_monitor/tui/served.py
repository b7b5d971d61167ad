"""The dashboard in a browser: textual-serve, ended as everything else is.

Textual-serve's own server waits a minute for open tabs when it is told to end.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from textual_serve.server import Server


class TabServer(Server):  # type: ignore[misc]
    """A process for each tab; all of them end with it."""

    def __init__(self, command: str, *, host: str, port: int) -> None:
        super().__init__(command, host=host, port=port, title="stream-monitor")
        self._tabs: set[asyncio.Task[Any]] = set()

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """A tab, until it is closed."""
        task = asyncio.current_task()
        assert task is not None
        self._tabs.add(task)
        try:
            answer: web.WebSocketResponse = await super().handle_websocket(request)
            return answer
        finally:
            self._tabs.discard(task)

    async def on_shutdown(self, app: web.Application) -> None:  # noqa: ARG002  (textual-serve's)
        """Close the tabs: each tells its process to quit."""
        tabs = list(self._tabs)
        for tab in tabs:
            tab.cancel()
        await asyncio.gather(*tabs, return_exceptions=True)
