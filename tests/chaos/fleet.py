"""Workers under a supervisor: one that ends by itself is started again, as a process manager would."""

from __future__ import annotations

import shutil
import signal
import time
import urllib.request
from collections import Counter
from pathlib import Path

from stream_monitor.broker import free_port
from stream_monitor.settings import Settings
from tests.workers import WorkerProcess

FLAGS = {"STREAM_MONITOR_IDLE_AFTER": "5"}


class Fleet:
    """The workers of a run, by name. Every event goes to `log`."""

    def __init__(self, settings: Settings, folder: Path, log: list[str]) -> None:
        self._settings = settings
        self._folder = folder
        self._log = log
        self._began = time.monotonic()
        self.workers: dict[str, WorkerProcess] = {}
        self._paused: dict[str, float] = {}
        self.ended_by_themselves = 0

    def note(self, what: str) -> None:
        """Write down an event."""
        self._log.append(f"{time.monotonic() - self._began:6.1f} s  {what}")

    def start(self, name: str, **environment: str) -> WorkerProcess:
        """Start a worker on its own datadir."""
        settings = self._settings.model_copy(update={"http_port": free_port()})
        self.workers[name] = WorkerProcess(settings, self._folder / name, **{**FLAGS, **environment})
        return self.workers[name]

    def forget_disk(self, name: str) -> None:
        """Delete a datadir."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def kill(self, name: str) -> None:
        """SIGKILL, and gone."""
        self._paused.pop(name, None)
        self.workers.pop(name).stop(signal.SIGKILL)

    def remove(self, name: str) -> int:
        """SIGTERM, and gone; returns the exit code."""
        return self.workers.pop(name).stop()

    def pause(self, name: str, seconds: float) -> None:
        """SIGSTOP; `tend` lets it go on."""
        self.workers[name].process.send_signal(signal.SIGSTOP)
        self._paused[name] = time.monotonic() + seconds

    def running(self) -> list[str]:
        """The workers that are neither paused nor gone."""
        return sorted(self.workers.keys() - self._paused.keys())

    def tend(self, *, all_paused: bool = False) -> None:
        """Resume who has been paused long enough, restart who has ended."""
        for name, until in list(self._paused.items()):
            if all_paused or time.monotonic() >= until:
                del self._paused[name]
                self.workers[name].process.send_signal(signal.SIGCONT)
                self.note(f"resume {name}")
        for name, worker in list(self.workers.items()):
            code = worker.process.poll()
            if code is not None:
                self.ended_by_themselves += 1
                self.note(f"{name} ended by itself with {code}: {last_line(worker)}")
                self.start(name)

    def counters(self) -> tuple[Counter[tuple[str, int, str]], Counter[tuple[str, int, str]]]:
        """(records by (topic, partition, outcome), merged records by (kind, source partition, outcome))."""
        records: Counter[tuple[str, int, str]] = Counter()
        merged: Counter[tuple[str, int, str]] = Counter()
        for worker in self.workers.values():
            url = f"http://127.0.0.1:{worker.settings.http_port}/metrics"
            with urllib.request.urlopen(url, timeout=5) as page:
                for line in page.read().decode().splitlines():
                    name, labels, value = parsed(line)
                    if name == "stream_monitor_records_total":
                        place = (labels["topic"], int(labels["partition"]), labels["outcome"])
                        records[place] += round(value)
                    elif name == "stream_monitor_merged_records_total":
                        place = (labels["kind"], int(labels["source_partition"]), labels["outcome"])
                        merged[place] += round(value)
        return records, merged

    def close(self) -> None:
        """End all."""
        for name in list(self.workers):
            self.kill(name)


def last_line(worker: WorkerProcess) -> str:
    """Of its log."""
    return (worker.log.read_text(errors="replace").strip().splitlines() or ["(nothing)"])[-1]


def parsed(line: str) -> tuple[str, dict[str, str], float]:
    """(name, labels, value) of a line of Prometheus text."""
    if line.startswith("#") or "{" not in line:
        return "", {}, 0.0
    name, _, rest = line.partition("{")
    labels, _, value = rest.rpartition("} ")
    pairs = (pair.partition("=") for pair in labels.split(","))
    return name, {key: text.strip('"') for key, _, text in pairs}, float(value)
