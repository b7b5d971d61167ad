"""The demo: the embedded broker, a day of example logs that ends now, a live pipeline, the worker, the web view.

It waits until the example logs are in the metrics. On a terminal it then opens the dashboard and the web view,
until that is quit; elsewhere it prints the report of the day and ends.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stream_monitor import offsets, recording, replay, report, sources, topics, tui
from stream_monitor.broker import EmbeddedBroker, die_with_parent, free_port
from stream_monitor.errors import MonitorError
from stream_monitor.offsets import Offsets
from stream_monitor.settings import Settings
from stream_monitor.simulate import check_incident

_PATIENCE_S = 110.0
_WEB_PORT = 8080


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run(*, rate: float, incident: str | None, stopped: Callable[[], bool]) -> int:
    """Run the demo. Returns 0; raises MonitorError where a part of it can't start or ends."""
    check_incident(incident)
    with tempfile.TemporaryDirectory(prefix="stream-monitor-demo-") as folder, EmbeddedBroker() as broker:
        settings = Settings(broker=broker.address, prefix="pipeline", datadir=Path(folder), http_port=free_port())
        _say(f"embedded broker (a stand-in for Kafka) on {broker.address}")
        topics.apply(settings, replication_factor=1)
        with _process(settings, "worker", "--idle-after", "2") as worker:
            sent = replay.replay(settings, recording.examples(), shift_to_now=True, progress=True, stopped=stopped)
            _say(
                f"{sent} example logs of one day sent; the worker folds them (health on port {settings.http_port})"
            )
            live = ["--rate", str(rate), *(("--incident", incident) if incident else ())]
            ends = offsets.ends(settings, offsets.SOURCES)
            with _process(settings, "simulate", *live):
                _wait_processed(settings, ends, worker, stopped)
                if stopped():
                    return 0
                return _show(settings, worker, stopped) if tui.has_terminal() else report.run(settings, hours=25)


def _show(settings: Settings, worker: subprocess.Popen[bytes], stopped: Callable[[], bool]) -> int:
    """The dashboard, and the web view beside it, until the dashboard is quit."""
    port = free_port() if _is_taken(_WEB_PORT) else _WEB_PORT
    with _process(settings, "web", "--port", str(port)):
        _say(f"the web view is on http://127.0.0.1:{port}/")
        code = tui.run(settings, lambda: stopped() or worker.poll() is not None)
    _check(worker)
    return code


def _wait_processed(
    settings: Settings, ends: Offsets, worker: subprocess.Popen[bytes], stopped: Callable[[], bool]
) -> None:
    """Until the logs up to `ends`, and the partials that came of them, are in committed checkpoints."""
    deadline = time.monotonic() + _PATIENCE_S
    _wait_committed(settings, ends, worker, stopped, deadline)
    _wait_committed(settings, offsets.ends(settings, ("partials",)), worker, stopped, deadline)


def _wait_committed(
    settings: Settings,
    upto: Offsets,
    worker: subprocess.Popen[bytes],
    stopped: Callable[[], bool],
    deadline: float,
) -> None:
    while not stopped() and offsets.behind(settings, upto):
        _check(worker)
        if time.monotonic() > deadline:
            raise MonitorError(f"the worker did not fold the example logs within {_PATIENCE_S:g} s")
        time.sleep(0.5)


@contextmanager
def _process(settings: Settings, command: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command of ours in its own process, ended at the end."""
    log = settings.datadir / f"{command}.log"
    tables = settings.model_copy(update={"datadir": settings.datadir / "tables"})
    environment = {**sources.without_ours(), **tables.environment()}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  (our own command, no shell)
            [sys.executable, "-m", "stream_monitor", command, *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
            preexec_fn=die_with_parent, start_new_session=True,
        )  # fmt: skip
    process.log = log  # type: ignore[attr-defined]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _check(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is not None:
        log: Path = worker.log  # type: ignore[attr-defined]
        raise MonitorError(f"the worker ended: {log.read_text(errors='replace').strip().splitlines()[-1:]}")


def _say(line: str) -> None:
    sys.stderr.write(f"▸ {line}\n")
    sys.stderr.flush()
