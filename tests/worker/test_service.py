"""How the process ends where Faust does not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from stream_monitor.worker import service


async def never():
    """Ends for no cancellation either, like a consumer that waits for a rebalance."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling() > 1:
                raise


CASES = [(True, None, 0), (False, None, 1), (True, OSError(), 1)]


@pytest.mark.parametrize(("is_saved", "failure", "code"), CASES)
def test_a_stop_that_never_ends_ends_the_process(monkeypatch, is_saved, failure, code):
    seen = []
    monkeypatch.setattr(service, "_LEAVE_S", 0.01)
    monkeypatch.setattr(service, "_STOP_S", 0.01)
    monkeypatch.setattr(service.os, "_exit", seen.append)

    async def leave():
        app = SimpleNamespace(stop=never, saved=asyncio.Event(), failure=failure)
        if is_saved:
            app.saved.set()
        before = asyncio.all_tasks()
        task = asyncio.create_task(service._leave(app))
        while not seen:
            await asyncio.sleep(0.01)
        for other in asyncio.all_tasks() - before:
            for _ in range(2):
                other.cancel()
        await asyncio.wait({task})

    asyncio.run(leave())
    assert seen[0] == code


def test_a_stop_that_ends_ends_nothing_else(monkeypatch):
    monkeypatch.setattr(service.os, "_exit", lambda code: pytest.fail(f"exit {code}"))

    async def stop():
        await asyncio.sleep(0)

    async def leave():
        await service._leave(SimpleNamespace(stop=stop, saved=asyncio.Event(), failure=None))

    asyncio.run(leave())
