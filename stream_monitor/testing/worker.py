"""The worker as its user runs it: a process of its own, on a broker, a prefix and a datadir."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from stream_monitor import sources
from stream_monitor.settings import Settings

_QUICK = {"idle_after": "1", "checkpoint_interval": "1", "flush_interval": "0.3", "session_timeout": "6"}
"""What a test does not want to wait for, where its settings do not say otherwise."""


class WorkerProcess:
    """`stream-monitor worker`, from `with` to its end. It reads what was set in `settings`, and `environment`."""

    def __init__(self, settings: Settings, datadir: Path | None = None, **environment: str) -> None:
        self.settings = settings
        self.datadir = datadir or settings.datadir
        self.log = Path(f"{self.datadir}.log")
        quick = {sources.variable(name): value for name, value in _QUICK.items()}
        own = {**settings.environment(), sources.variable("datadir"): str(self.datadir)}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stream_monitor", "worker"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**sources.without_ours(), **quick, **own, **environment},
            )

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """End it; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)


def wait_for(what: Callable[[], bool], seconds: float, worker: WorkerProcess | None = None) -> None:
    """Until `what()`; fails with the worker's log when it takes too long or the worker ends."""
    deadline = time.monotonic() + seconds
    while not what():
        ended = worker is not None and worker.process.poll() is not None
        if ended or time.monotonic() > deadline:
            log = worker.log.read_text()[-3000:] if worker else ""
            raise AssertionError(f"{'the worker ended' if ended else f'not within {seconds} s'}\n{log}")
        time.sleep(0.2)
