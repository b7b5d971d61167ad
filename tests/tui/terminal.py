"""The dashboard in a pseudo-terminal, and what a person sees there: a terminal's emulator reads what is drawn."""

from __future__ import annotations

import fcntl
import os
import pty
import queue
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import pyte

COLOURS = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
_ODD = re.compile(rb"\x1b\[[<=>][\d;]*[a-zA-Z]|\x1b\[\?[\d;]+\$p")
"""Questions and modes of newer terminals, which the emulator would take for others."""


def tui(*arguments: str) -> list[str]:
    """The command, by this interpreter."""
    return [sys.executable, "-m", "stream_monitor", "tui", *arguments]


class Terminal:
    """A command in a terminal of (columns, rows). What it draws is read at once, each piece with its time."""

    def __init__(self, command: Sequence[str], size: tuple[int, int] = (120, 40), **environment: str) -> None:
        self._master, slave = pty.openpty()
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self._pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self.bytes = 0
        self._set_size(size)
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=_take_terminal,
            env={**_outside(), **COLOURS, **environment},
        )  # fmt: skip
        os.close(slave)
        self._is_closed = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._is_closed.is_set():
            if not select.select([self._master], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(self._master, 1 << 16)
            except OSError:
                break
            self.bytes += len(piece)
            self._pieces.put((time.monotonic(), piece))
        os.close(self._master)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    # --- Hands ------------------------------------------------------------------------------------

    def press(self, keys: bytes | str) -> None:
        """Type."""
        os.write(self._master, keys.encode() if isinstance(keys, str) else keys)

    def click(self, x: int, y: int) -> None:
        """The left button, there; from 0."""
        self.press(f"\x1b[<0;{x + 1};{y + 1}M\x1b[<0;{x + 1};{y + 1}m")

    def resize(self, size: tuple[int, int]) -> None:
        """As a window manager does; the process is told by the kernel."""
        self.look()
        self._screen.resize(lines=size[1], columns=size[0])
        self._set_size(size)

    def _set_size(self, size: tuple[int, int]) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def close(self) -> None:
        """The window is closed: the kernel says SIGHUP to what runs in it."""
        self._is_closed.set()
        self._reader.join()

    def end(self, patience_s: float = 30.0) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    # --- Eyes -------------------------------------------------------------------------------------

    def look(self, seconds: float = 0.0) -> list[str]:
        """The lines on the screen, after so long."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                _, piece = self._pieces.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return self._screen.display
            self._feed(piece)

    @property
    def shown(self) -> list[str]:
        """The lines on the screen, as far as they have been looked at."""
        return self._screen.display

    @property
    def text(self) -> str:
        """All lines, as of now."""
        return "\n".join(self.look())

    def until(self, seen: Callable[[list[str]], bool], seconds: float = 60.0, since: float | None = None) -> float:
        """How long after `since` (now) the lines were such for the first time, in seconds.

        Raises TimeoutError, with the screen, if they never were.
        """
        since = time.monotonic() if since is None else since
        self.look()
        if seen(self._screen.display):
            return time.monotonic() - since
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                at, piece = self._pieces.get(timeout=left)
            except queue.Empty:
                break
            self._feed(piece)
            if seen(self._screen.display):
                return at - since
        raise TimeoutError("it was not seen:\n" + "\n".join(self._screen.display))

    def answer(self, keys: bytes | str, seen: Callable[[list[str]], bool], seconds: float = 5.0) -> float:
        """How long after the keys the lines were such, in seconds. They must not be before."""
        self.look()
        assert not seen(self._screen.display), f"it is there before {keys!r}:\n" + "\n".join(self._screen.display)
        since = time.monotonic()
        self.press(keys)
        return self.until(seen, seconds, since)

    def row_of(self, background: str) -> int | None:
        """The first row with a cell of this background (rrggbb)."""
        for y in range(self._screen.lines):
            cells: Mapping[int, pyte.screens.Char] = self._screen.buffer[y]
            if any(cell.bg == background for cell in cells.values()):
                return y
        return None

    def _feed(self, piece: bytes) -> None:
        self._stream.feed(_ODD.sub(b"", piece))


def _outside() -> dict[str, str]:
    """The environment, without what says that the terminal has another size."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


def _take_terminal() -> None:
    """In the child: the terminal is its own, so that keys and a closed window become signals."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
