"""The web view over fixed data, for tests: in the test's own loop, or served as it is for users."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from starlette.testclient import TestClient

from stream_monitor.broker import free_port
from stream_monitor.core.view import Query, View
from stream_monitor.feed import Feed, FixedFeed
from stream_monitor.web import server
from stream_monitor.web.app import Options, create
from stream_monitor.web.hub import Hub
from tests.tui import data

TOKEN = "correct-horse-battery"


@contextlib.contextmanager
def client(feed: Feed | None = None, **options: object) -> Iterator[TestClient]:
    """Asks without a network."""
    app, _ = create(data.feed() if feed is None else feed, Options(**options))  # type: ignore[arg-type]
    with TestClient(app, base_url="http://127.0.0.1:8080", raise_server_exceptions=False) as made:
        yield made


@contextlib.contextmanager
def served(feed: Feed | None = None, **options: object) -> Iterator[tuple[str, Hub]]:
    """(address, hub) of a server in a thread."""
    port = free_port()
    app, hub = create(data.feed() if feed is None else feed, Options(**options))  # type: ignore[arg-type]
    over = threading.Event()
    listener = server.listen("127.0.0.1", port)
    thread = threading.Thread(target=server.serve, args=(app, listener, over.is_set, hub.close), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}", hub
    finally:
        over.set()
        thread.join(120)
    assert not thread.is_alive()


def moving(length: int = 1) -> tuple[FixedFeed, list[int]]:
    """A feed and its clock, which may be set."""
    metrics, raw = data.hour()
    now = [data.NOW]
    return FixedFeed(metrics, data.ALERTS, raw, clock=lambda: now[0]), now


def half_read() -> FixedFeed:
    """A feed whose every range is still being read."""
    feed = data.feed()
    view = feed.view

    def half(query: Query) -> View:
        found = view(query)
        found.complete = False
        return found

    feed.view = half  # type: ignore[method-assign]
    return feed


def wait(url: str, seconds: float = 30) -> None:
    """Until it answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).read()
        except (OSError, urllib.error.URLError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
