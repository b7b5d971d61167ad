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
_LOOK_S = 0.2
_NO_LINGER = struct.pack("ii", 1, 0)
"""Without it a close waits, in the kernel, for a reader that does not read."""
_open: dict[tuple[str, int], asyncio.Transport] = {}
"""By the client's address."""


class _Protocol(H11Protocol):
    """HTTP/1.1 that knows its connections."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client is not None:
            _open[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.client is not None:
            _open.pop(self.client, None)
        super().connection_lost(exc)


def abort(client: Any) -> None:
    """Close a client's connection now; what waits to be sent is thrown away, by the kernel, too."""
    transport = None if client is None else _open.get(tuple(client))
    if transport is not None:
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()


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
    while not stopped() and not task.done():
        await asyncio.sleep(_LOOK_S)
    closing()
    server.should_exit = True
    await task
