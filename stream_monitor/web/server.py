"""uvicorn, so that it says in one line why it can't start, ends when told to, and drops a connection at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from stream_monitor.errors import MonitorError, UsageError

MOST_CONNECTIONS = 1_000
"""Of more the server says 503 at once."""
STILL = 30
"""A connection that asks for nothing, or takes nothing of what it is sent, so many seconds is closed.

They are counted, not timed: after a process or a machine has stood still nobody is closed for that.
"""
_LOOK_S = 0.2
_LOOK_AFTER_S = 1.0
_UNSENT_MOST = 16_384
"""Bytes that the kernel takes before it sends them."""
_NO_LINGER = struct.pack("ii", 1, 0)
"""Without it a close waits, in the kernel, for a reader that does not read."""
_open: dict[tuple[str, int], _Protocol] = {}
"""By the client's address."""


class _Protocol(H11Protocol):
    """HTTP/1.1 that knows its connections, and for how long one has stood still.

    uvicorn waits for ever for a request that is not sent to its end, and for a client that does not read.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._waiting = self._still = 0
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # else megabytes wait in the kernel, and nobody sees them move
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_MOST)
        if self.client is not None:
            _open[self.client] = self

    def is_still(self) -> bool:
        """For too long. Asked each second."""
        waiting = self.transport.get_write_buffer_size()
        cycle = self.cycle
        is_asked = cycle is not None and not cycle.response_complete and not cycle.more_body
        has_moved = waiting != self._waiting or (is_asked and not waiting)
        self._waiting, self._still = waiting, 0 if has_moved else self._still + 1
        return self._still > STILL

    def abort(self) -> None:
        """Close now; what waits to be sent is thrown away, by the kernel, too."""
        with contextlib.suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.client is not None:
            _open.pop(self.client, None)
        super().connection_lost(exc)


def abort(client: Any) -> None:
    """Close a client's connection now."""
    connection = None if client is None else _open.get(tuple(client))
    if connection is not None:
        connection.abort()


async def _look_after() -> None:
    """Close connections that stand still, until cancelled."""
    while True:
        await asyncio.sleep(_LOOK_AFTER_S)
        for connection in list(_open.values()):
            if connection.is_still():
                connection.abort()


class _Server(uvicorn.Server):
    """The command line listens to signals, not the server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises MonitorError where the port is taken, UsageError where the address is none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except socket.gaierror as error:
        raise UsageError(
            f"no address {host!r} to listen on ({error.strerror}); choose another with --host"
        ) from None
    except OSError as error:
        raise MonitorError(
            f"cannot listen on {host}:{port} ({error.strerror}); free the port or choose another with --port"
        ) from None


def serve(app: ASGIApp, listener: socket.socket, stopped: Callable[[], bool], closing: Callable[[], None]) -> None:
    """Serve until `stopped()`; `closing` ends what would never end by itself."""
    config = uvicorn.Config(
        app, http=_Protocol, loop="asyncio", ws="none", lifespan="on", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, limit_concurrency=MOST_CONNECTIONS, timeout_keep_alive=15,
        timeout_graceful_shutdown=3,
    )  # fmt: skip
    asyncio.run(_serve(_Server(config), listener, stopped, closing))


async def _serve(
    server: uvicorn.Server, listener: socket.socket, stopped: Callable[[], bool], closing: Callable[[], None]
) -> None:
    task = asyncio.create_task(server.serve(sockets=[listener]))
    looking = asyncio.create_task(_look_after())
    while not stopped() and not task.done():
        await asyncio.sleep(_LOOK_S)
    looking.cancel()
    closing()
    server.should_exit = True
    await task
