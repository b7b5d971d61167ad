"""`tui --serve`: the page, and the dashboard behind it, as a browser would ask for them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import aiohttp
import psutil
import pytest

from stream_monitor.broker import free_port

pytestmark = pytest.mark.screen


async def drawn(port, then=None):
    """The page answers, and what the dashboard draws first comes through the socket.

    `then`: do it while the socket is open, and wait until the server closes it.
    """
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
            if then is not None:
                then()
                async for _ in socket:
                    pass
        return found


@pytest.fixture
def server():
    """`tui --serve` and its port."""
    port = free_port()
    command = [sys.executable, "-m", "stream_monitor", "tui", "--serve", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--broker", "127.0.0.1:1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )
    yield process, port
    process.kill()
    process.wait()


def test_it_is_there_in_a_browser(server):
    assert b"Overview" in asyncio.run(asyncio.wait_for(drawn(server[1]), 60))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=str)
def test_a_server_that_ends_leaves_no_process(server, number):
    """With a tab that is open."""
    process, port = server
    began = []

    def end():
        began.extend(psutil.Process(process.pid).children(recursive=True))
        process.send_signal(number)

    asyncio.run(asyncio.wait_for(drawn(port, end), 60))
    process.wait(30)
    assert began
    assert psutil.wait_procs(began, 30)[1] == []
