"""The web view: one process, one feed, many browsers. It draws what the feed says, and writes nothing to Kafka.

guard   who may ask        hub      boards, and who gets them     app    put together
ask     parameters         answer   a view as JSON                api    routes; logs, health, login, files
stream  events to one      server   uvicorn                       static the page
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Thread

from stream_monitor.errors import UsageError
from stream_monitor.feed import LiveFeed
from stream_monitor.settings import Settings

_SWITCH_S = 0.001
"""How soon the thread that makes boards gives way to the one that serves them."""


def run(settings: Settings, stopped: Callable[[], bool] = lambda: False) -> int:
    """Serve until `stopped()`; returns 0. Raises MonitorError where it can't listen, or mustn't."""
    from stream_monitor.web import files, server
    from stream_monitor.web.app import Options, create

    check_access(settings)
    feed = LiveFeed(settings)
    listener = server.listen(settings.web_host, settings.web_port)
    Thread(target=files.static, args=("index.html",), daemon=True).start()
    token = settings.web_token
    options = Options(
        known=settings.known_components,
        token=token.get_secret_value() if token is not None else None,
        hosts=settings.web_allow_host,
        https=settings.web_https,
        most_clients=settings.web_clients,
    )
    app, hub = create(feed, options)
    sys.setswitchinterval(_SWITCH_S)
    _say(settings)
    server.serve(app, listener, stopped, hub.close)
    return 0


def check_access(settings: Settings) -> None:
    """Raises UsageError where everybody who reaches the port could use it, and nobody has said so."""
    from stream_monitor.web.guard import is_loopback

    if is_loopback(settings.web_host) or settings.web_token is not None or settings.web_insecure:
        return
    raise UsageError(
        f"web would listen on {settings.web_host}, beyond this machine, for everybody: "
        "set STREAM_MONITOR_WEB_TOKEN (16 characters or more), or say --insecure"
    )


def address(settings: Settings) -> str:
    """`http://127.0.0.1:8080/`."""
    host = f"[{settings.web_host}]" if ":" in settings.web_host else settings.web_host
    return f"http://{host}:{settings.web_port}/"


def _say(settings: Settings) -> None:
    asks = "; it asks for the token" if settings.web_token is not None else ""
    sys.stderr.write(f"web view of {settings.prefix} on {settings.broker}: {address(settings)}{asks}\n")
    sys.stderr.flush()
