"""The embedded broker: a stand-in for Kafka on a machine with nothing but Python.

It is noida-db, a small server that speaks Kafka's protocol, in a process of its own that dies with this one.
For the demo and for tests; it is not for production, and no claim about crashes, rebalances, speed or
durability rests on it. One worker at a time: a second one would hang in its group (see `is_embedded`).
To use another stand-in, change this file.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self

from stream_monitor import clients
from stream_monitor.errors import BrokerUnavailableError, MonitorError
from stream_monitor.settings import Settings

_CLUSTER_ID = "MkU3OEVBNTctOEUyRi00"
"""noida-db's, at every start."""
_READY_S = 20.0
_STOP_S = 5.0


class EmbeddedBroker:
    """A broker on a free port of 127.0.0.1 with fresh data, from `with` to its end.

    Raises MonitorError where it can't start: its port is taken, or its program is not for this machine.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._folder = tempfile.TemporaryDirectory(prefix="stream-monitor-broker-", ignore_cleanup_errors=True)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and return when it answers."""
        if _is_taken(self.port):
            raise MonitorError(f"port {self.port} on 127.0.0.1 is in use; free it or choose another")
        folder = Path(self._folder.name)
        command = [
            str(_program()), "start", "--only", "kafka", "--host", "127.0.0.1",
            "--kafka-port", str(self.port), "--data-dir", str(folder / "data"),
        ]  # fmt: skip
        with (folder / "log").open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603  (our own command, no shell)
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder,
                preexec_fn=die_with_parent, start_new_session=True,
            )  # fmt: skip
        self._wait_ready(folder / "log")

    def _wait_ready(self, output: Path) -> None:
        assert self._process is not None
        settings = Settings(broker=self.address, connect_timeout=1.0)
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if _is_taken(self.port):
                with contextlib.suppress(BrokerUnavailableError):
                    clients.ensure_broker(settings)
                    return
            time.sleep(0.05)
        said = output.read_text(errors="replace")
        self.stop()
        lines = [line for line in said.splitlines() if "GLIBC" not in line]
        raise MonitorError(f"the embedded broker did not start on {self.address}: {' '.join(lines[-3:])}")

    def stop(self) -> None:
        """End it: SIGTERM, then SIGKILL. Its data goes."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._folder.cleanup()


def is_embedded(settings: Settings) -> bool:
    """The broker at the settings' address is the stand-in, by its cluster id."""
    metadata = clients.admin(settings).list_topics(timeout=settings.connect_timeout)
    return bool(metadata.cluster_id == _CLUSTER_ID)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def die_with_parent() -> None:
    """In a child before it becomes another program: Linux ends it when its parent ends, however that ends.

    Linux takes the parent's thread for the parent: start children from the main thread.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _program() -> Path:
    name = "noida-db.exe" if os.name == "nt" else "noida-db"
    try:
        path = Path(str(files("noida_db").joinpath(name)))
    except ModuleNotFoundError:
        raise MonitorError("the embedded broker is not installed: pip install noida-db") from None
    if not path.is_file():
        raise MonitorError("the embedded broker has no program for this machine; use a real Kafka (--broker)")
    if not os.access(path, os.X_OK):  # the wheel has lost the bit
        with contextlib.suppress(OSError):
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
    if not os.access(path, os.X_OK):
        raise MonitorError(f"the embedded broker's program may not be run: chmod +x {path}")
    return path
