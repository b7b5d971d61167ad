"""A terminal that is gone: its window was closed, its connection has ended.

Textual writes in a thread that ends at the first write that fails; then the app waits for ever for room in that
thread's queue. Where SIGHUP is ignored (nohup) nothing ends the app at all, and it reads the end of its input over
and over again.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import IO, Any


class _Lenient:
    """A file whose writes may be lost."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write, if anybody is there."""
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        """Flush, if anybody is there."""
        with contextlib.suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        """The file's."""
        return self._file.fileno()


def _write_if_read(fileno: int, data: bytes) -> int:
    with contextlib.suppress(BrokenPipeError):
        return os.write(fileno, data)
    return len(data)


def survive_hangup(*, in_browser: bool) -> None:
    """For this process: what cannot be drawn is dropped. Where Textual writes otherwise it changes nothing."""
    if os.name == "nt":
        return
    from textual.drivers import linux_driver
    from textual.drivers._writer_thread import WriterThread

    class Writer(WriterThread):
        def __init__(self, file: IO[str]) -> None:
            lenient: Any = _Lenient(file)
            super().__init__(lenient)

    module: Any = linux_driver
    module.WriterThread = Writer
    if in_browser:
        from textual.drivers import web_driver

        module = web_driver
        module.os = SimpleNamespace(**{**vars(os), "write": _write_if_read})


def watched_input() -> Callable[[], bool]:
    """A function that says whether nobody is at the other end of stdin any more: a terminal, or textual-serve."""
    if os.name == "nt":
        return lambda: False
    poll = select.poll()
    poll.register(sys.stdin.fileno(), 0)  # a hangup is always told; a terminal that is gone is no terminal
    return lambda: any(event & select.POLLHUP for _, event in poll.poll(0))
