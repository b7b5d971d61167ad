"""The dashboard in a real terminal beside `stream-monitor demo`: until history is there, until a log is seen.

    tmux ── stream-monitor demo: broker, worker, live logs     tmux ── stream-monitor tui    a log of a new model

python -m bench.tui_demo [--starts 5] [--logs 15] [--screens FOLDER]        needs: apt-get install tmux
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson

from bench.tui_keys import p95
from stream_monitor import clients
from stream_monitor.settings import Settings

SIZE = (120, 40)
LOOK_S = 0.02
PATIENCE_S = 180.0


class Tmux:
    """A terminal with a command in it."""

    def __init__(self, name: str, command: list[str], home: str) -> None:
        self._socket = ("tmux", "-L", f"bench{os.getpid()}{name}")
        self.began = time.monotonic()
        words = ["env", f"XDG_STATE_HOME={home}", "TERM=xterm-256color", *command]
        size = ("-x", str(SIZE[0]), "-y", str(SIZE[1]))
        self._do("-f", "/dev/null", "new-session", "-d", *size, shlex.join(words))

    def _do(self, *arguments: str) -> str:
        return subprocess.run([*self._socket, *arguments], check=True, capture_output=True, text=True).stdout

    def screen(self) -> str:
        """What is on it."""
        return self._do("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        """Type."""
        self._do("send-keys", *keys)

    def until(self, seen: Callable[[str], bool], since: float) -> float:
        """Seconds from `since` until the screen is such."""
        while time.monotonic() - since < PATIENCE_S:
            if seen(self.screen()):
                return time.monotonic() - since
            time.sleep(LOOK_S)
        raise SystemExit("it was not seen:\n" + self.screen())

    def end(self) -> None:
        """q; then the terminal is closed."""
        self.press("q")
        time.sleep(3)
        subprocess.run([*self._socket, "kill-server"], check=False, capture_output=True)


def has_history(screen: str) -> bool:
    """Live, all read: the cards count, the volume is drawn, there are rows."""
    return all(word in screen for word in ("● live", "event-processor", "alerts firing")) and "⠤" in _braille(
        screen
    )


def _braille(screen: str) -> str:
    return re.sub("[⠁-⣿]", "⠤", screen)


def log_of(name: str) -> bytes:
    """A prediction of a model that nobody has seen before."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"timestamp": now, "service": name, "level": "INFO", "model_version": "v1", "prediction_id": name,
            "prediction": "a", "confidence": 0.9, "latency_ms": 12.5}  # fmt: skip
    return orjson.dumps(line)


def seen_after(terminal: Tmux, settings: Settings, count: int) -> list[float]:
    """From a log's produce() to its model on the ML tab, at any moment of the second."""
    producer = clients.producer(settings, **{"linger.ms": 0})
    terminal.press("4")
    found = []
    for number in range(count):
        time.sleep(1.0 + number * 0.37 % 1)
        name = f"probe-{os.getpid()}-{number:02}"
        since = time.monotonic()
        producer.produce(settings.topic("logs.ml"), log_of(name), b"probe")
        producer.poll(0)
        found.append(terminal.until(lambda screen, name=name: name in screen, since))
        terminal.press("4")
    return found


def said(name: str, took: list[float]) -> str:
    """Median, 95th percentile and most, in s."""
    ranked = sorted(took)
    median = statistics.median(took)
    return f"{name}: {len(took)} times, median {median:.2f} s, p95 {p95(ranked):.2f} s, most {ranked[-1]:.2f} s"


def keep_screens(terminal: Tmux, folder: Path) -> None:
    """Every tab, for eyes; the overview once over a day, in which the incidents of the fixtures are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, keys in (
        ("day", "1++"),
        ("airflow", "2"),
        ("kafka", "3"),
        ("ml", "4"),
        ("alerts", "5"),
        ("logs", "6"),
    ):
        terminal.press(*keys)
        time.sleep(3)
        (folder / f"{name}.txt").write_text(terminal.screen())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--logs", type=int, default=15, help="at most 15: each is a row in sight")
    parser.add_argument("--screens", type=Path)
    asked = parser.parse_args()
    us = [sys.executable, "-m", "stream_monitor"]
    print(f"{datetime.now(UTC):%F %H:%M} load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as home:
        demo = Tmux("demo", [*us, "demo"], home)
        try:
            print(f"demo: its dashboard after {demo.until(has_history, demo.began):.1f} s", flush=True)
            broker = re.search(r"on (127\.0\.0\.1:\d+)", demo.screen())
            assert broker is not None, demo.screen()
            settings = Settings(broker=broker[1], prefix="pipeline")
            starts = []
            for number in range(asked.starts):
                terminal = Tmux(f"tui{number}", [*us, "tui", "--broker", broker[1], "--prefix", "pipeline"], home)
                starts.append(terminal.until(has_history, terminal.began))
                terminal.end()
            print(said("from the start to the history on the screen", starts), flush=True)
            print(said("from a log's produce() to the screen", seen_after(demo, settings, asked.logs)), flush=True)
            if asked.screens:
                keep_screens(demo, asked.screens)
        finally:
            demo.end()


if __name__ == "__main__":
    main()
