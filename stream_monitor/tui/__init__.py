"""The terminal dashboard. It draws what the feed says; nothing here knows the worker, or writes to Kafka.

when      which time is on screen        board, item, detail   a view as plain data
chart     drawings into rectangles       table, widget, pane   Textual's part
app       keys, and when to draw again   raw                   the log behind a spike
"""

from __future__ import annotations

import codecs
import os
import shlex
import sys
from collections.abc import Callable
from typing import TextIO

from stream_monitor.errors import UsageError
from stream_monitor.feed import LiveFeed
from stream_monitor.settings import Settings

_FPS = "120"
"""Textual draws at most so often. A letter that is typed is one picture, what it filters the next: 8 ms later."""
_SWITCH_S = 0.0005
"""How soon a thread that works gives way: an app's loop asks for it many times while it answers one key."""


def run(settings: Settings, stopped: Callable[[], bool] = lambda: False) -> int:
    """Show the dashboard until it is quit, or `stopped()`; returns 0.

    Raises UsageError where there is no terminal.
    """
    from stream_monitor.tui.escape import mend_input
    from stream_monitor.tui.hangup import survive_hangup, watched_input

    os.environ.setdefault("TEXTUAL_FPS", _FPS)
    mend_input()
    from textual import constants

    in_browser = constants.DRIVER is not None  # textual-serve names its driver
    survive_hangup(in_browser=in_browser)
    if not (in_browser or has_terminal()):
        raise UsageError(
            "tui needs a terminal, as input, output and error output; for a browser there is tui --serve, "
            "for a file there is report"
        )
    _check_encoding(sys.__stderr__)  # it is what Textual writes to
    feed = LiveFeed(settings)
    feed.start()  # it reads while the rest is imported
    from stream_monitor.tui.app import MonitorApp
    from stream_monitor.tui.memory import default_path
    from stream_monitor.tui.rubbish import Rubbish

    sys.setswitchinterval(_SWITCH_S)
    is_gone = watched_input()
    app = MonitorApp(
        feed,
        place=f"{settings.prefix} on {settings.broker}",
        known=settings.known_components,
        memory=default_path(),
        stopped=lambda: stopped() or is_gone(),
        quiet=Rubbish().look,
    )
    app.run()
    return app.return_code or 0


def has_terminal() -> bool:
    """It can be shown here: Textual reads stdin and draws on stderr, and stdout is where a person looks for it."""
    streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    return all(stream is not None and stream.isatty() for stream in streams)


def _check_encoding(stream: TextIO | None) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if codecs.lookup(encoding).name != "utf-8":
        raise UsageError(
            f"tui draws in UTF-8, and this terminal's locale says {encoding}; start it with LC_ALL=C.UTF-8"
        )


def serve(settings: Settings, host: str, port: int) -> int:
    """The same in a browser, until Ctrl-C; returns 0. Raises UsageError where textual-serve is not installed."""
    try:
        from stream_monitor.tui.served import TabServer
    except ModuleNotFoundError:
        raise UsageError("tui --serve needs textual-serve: pip install 'stream-monitor[serve]'") from None
    command = [sys.executable, "-m", "stream_monitor", "tui"]
    command += ["--broker", settings.broker, "--prefix", settings.prefix]
    if settings.file is not None:
        command += ["--config", str(settings.file)]
    if settings.known_components:
        command += ["--known-components", ",".join(settings.known_components)]
    TabServer(shlex.join(command), host=host, port=port).serve()
    return 0
