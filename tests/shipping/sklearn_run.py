"""A real scikit-learn model behind a service under load: the metrics say what the clients were answered.

make test-sklearn
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from datetime import date
from pathlib import Path

from stream_monitor import topics
from stream_monitor.broker import die_with_parent, free_port
from stream_monitor.settings import Settings
from stream_monitor.testing.brokers import JarsKafka
from tests.workers import WorkerProcess, metrics, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = ROOT / ".cache" / "sklearn" / "bin" / "python"
CLASSES = ("setosa", "versicolor", "virginica")
CLIENTS, CALLS = 4, 500


class Answers:
    """What the clients were told."""

    def __init__(self) -> None:
        self.classes: Counter[str] = Counter()
        self.confidences: list[float] = []
        self.failed = 0
        self.seconds: list[float] = []

    def ask(self, port: int, seed: int) -> None:
        chance = random.Random(seed)
        for number in range(CALLS):
            columns = 3 if number % 50 == 49 else 4
            rows = [[chance.uniform(0.1, 7.5) for _ in range(columns)] for _ in range(chance.choice((1, 1, 1, 8)))]
            request = urllib.request.Request(f"http://127.0.0.1:{port}", json.dumps(rows).encode())
            began = time.perf_counter()
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    found = json.loads(answer.read())
            except urllib.error.HTTPError:
                self.failed += 1
                continue
            self.seconds.append(time.perf_counter() - began)
            for row in found:
                self.classes[CLASSES[row.index(max(row))]] += 1
                self.confidences.append(max(row))


def main() -> int:
    kafka = JarsKafka()
    kafka.start()
    settings = Settings(broker=kafka.address, prefix="sklearn", http_port=0)
    topics.apply(settings, replication_factor=1)
    folder, port = Path(tempfile.mkdtemp(prefix="stream-monitor-sklearn-")), free_port()
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "STREAM_MONITOR_BROKER": kafka.address,
        "STREAM_MONITOR_PREFIX": "sklearn", "STREAM_MONITOR_LOG_DIR": str(folder / "logs"),
    }  # fmt: skip
    service = subprocess.Popen(
        [PYTHON, Path(__file__).parent / "sklearn_service.py", str(port)],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=die_with_parent,
    )  # fmt: skip
    answers = Answers()
    try:
        assert service.stdout is not None
        assert service.stdout.readline() == b"ready\n"
        clients = [threading.Thread(target=answers.ask, args=(port, seed)) for seed in range(CLIENTS)]
        begun = time.monotonic()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        took = time.monotonic() - begun
        service.send_signal(signal.SIGINT)
        service.wait(30)
        predictions = sum(answers.classes.values())
        with WorkerProcess(settings, folder / "data") as worker:
            wait_for(lambda: summed(settings)["of"] == predictions + answers.failed, 60, worker)
            ours = summed(settings)
    finally:
        service.kill()
        kafka.close()
    mean = sum(answers.confidences) / predictions
    print(f"{date.today()} · {CLIENTS} clients, {CLIENTS * CALLS / took:,.0f} calls/s")
    print(f"clients: {predictions} {dict(answers.classes)}, {answers.failed} failed, confidence {mean:.6f}")
    print(f"metrics: {ours}")
    is_good = (
        ours["classes"] == answers.classes
        and ours["errors"] == answers.failed
        and abs(ours["confidence"] - mean) < 1e-5
        and ours["latencies"] == predictions + answers.failed
    )
    text = "".join(path.read_text() for path in (folder / "logs").rglob("*.log"))
    is_good &= "four columns" not in text
    print("as the clients were answered, and no input is in any file" if is_good else "FAILED")
    return 0 if is_good else 1


def summed(settings: Settings) -> dict:
    """Over all minutes of the series."""
    found: dict = {"of": 0, "errors": 0, "latencies": 0, "confidence": 0.0, "classes": Counter()}
    best = {**metrics(settings, live=True)}
    for key, metric in metrics(settings).items():
        if key not in best or metric.supersedes(best[key]):
            best[key] = metric
    confidences, total = 0, 0.0
    for (_, labels, size, _), metric in best.items():
        if labels == ("ml.iris", "iris-1") and size == 60:
            aggregate = metric.aggregate
            found["of"] += aggregate.of
            found["errors"] += aggregate.errors
            found["latencies"] += aggregate.measures[0].count
            confidences += aggregate.measures[1].count
            total += aggregate.measures[1].sum
            found["classes"] += Counter(aggregate.classes)
    found["confidence"] = total / confidences if confidences else 0.0
    return found


if __name__ == "__main__":
    sys.exit(main())
