"""Dashboards over fixed data, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import textual.app
import textual.pilot
from textual._wait import wait_for_idle
from textual.pilot import Pilot

from stream_monitor.feed import FixedFeed
from stream_monitor.tui.app import MonitorApp
from tests.tui import data


async def _no_wait(*_: object) -> None:
    """In place of Textual's wait for an idle processor, 20 ms a key; the pilot waits for messages, too."""
    await asyncio.sleep(0.001)


for module in (textual.app, textual.pilot):
    module.wait_for_idle = _no_wait  # type: ignore[attr-defined]


async def settled(pilot: Pilot[int]) -> None:
    """All is drawn: no message is left, and the processor is idle."""
    await pilot.pause()
    await wait_for_idle(0.04)
    await pilot.pause()


Look = Callable[[MonitorApp, Pilot[int]], Awaitable[None]]


def app_of(feed: FixedFeed | None = None, folder: Path | None = None, memory: Path | None = None) -> MonitorApp:
    """A dashboard whose clock stands, and that computes in its own thread."""
    return MonitorApp(
        data.feed() if feed is None else feed,
        place="pipeline on 127.0.0.1:9092",
        folder=folder,
        memory=memory,
        inline=True,
    )


def run(app: MonitorApp, look: Look, size: tuple[int, int] = (120, 40)) -> None:
    """Run the app without a terminal, and `look(app, pilot)` at it."""

    async def go() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await look(app, pilot)

    asyncio.run(go())
