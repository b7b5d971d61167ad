"""`tui --serve`: the page, and the dashboard behind it, as a browser would ask for them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import aiohttp
import pytest

from stream_monitor.broker import free_port

pytestmark = pytest.mark.screen


async def drawn(port: int) -> bytes:
    """The page answers, and what the dashboard draws first comes through the socket."""
    async with aiohttp.ClientSession() as session:
        for _ in range(100):
            try:
                async with session.get(f"http://127.0.0.1:{port}/") as page:
                    assert "stream-monitor" in await page.text()
                break
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.2)
        found = b""
        async with session.ws_connect(f"http://127.0.0.1:{port}/ws?width=120&height=40") as socket:
            async for message in socket:
                found += message.data if isinstance(message.data, bytes) else message.data.encode()
                if b"connecting" in found or b"broker lost" in found:
                    break
        return found


def test_it_is_there_in_a_browser():
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "stream_monitor",
        "tui",
        "--serve",
        "--port",
        str(port),
        "--broker",
        "127.0.0.1:1",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    try:
        assert b"Overview" in asyncio.run(asyncio.wait_for(drawn(port), 60))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)
