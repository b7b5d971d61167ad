"""A real Airflow 3 with the plugin and `airflow_logging.conf`: its runs in the metrics equal its own database.

    make test-airflow

Airflow stands in an environment of its own (.cache/airflow), with SQLite and LocalExecutor; api-server, scheduler
and DAG processor are processes of this run and end with it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from datetime import date, datetime
from pathlib import Path

from stream_monitor import topics
from stream_monitor.broker import die_with_parent, free_port
from stream_monitor.settings import Settings
from stream_monitor.testing.brokers import JarsKafka
from tests.workers import WorkerProcess, everything, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
SLACK_S = 0.05
AIRFLOW = ROOT / ".cache" / "airflow" / "venv" / "bin" / "airflow"


class Airflow:
    """Its home, its environment, and its processes."""

    def __init__(self, home: Path, settings: Settings) -> None:
        self.home, self.database = home, home / "airflow.db"
        port = free_port()
        (home / "dags").mkdir(parents=True)
        shutil.copy(Path(__file__).parent / "airflow_dag.py", home / "dags" / "monitored.py")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))},
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": "of-this-run",
            "AIRFLOW__API_AUTH__JWT_SECRET": "of-this-run-and-long-enough-for-sha-512-" * 2,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.database}",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "STREAM_MONITOR_BROKER": settings.broker,
            "STREAM_MONITOR_PREFIX": settings.prefix,
            "STREAM_MONITOR_LOG_DIR": str(home / "our-logs"),
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [AIRFLOW, *arguments], env=self.environment, capture_output=True, text=True, timeout=180, check=False
        )
        if done.returncode:
            raise AssertionError(f"airflow {' '.join(arguments)}: {done.stdout[-1500:]}{done.stderr[-3000:]}")
        return done.stdout

    def start(self, *arguments: str) -> None:
        with (self.home / f"{arguments[0]}.out").open("wb") as output:
            self._processes.append(
                subprocess.Popen(
                    [AIRFLOW, *arguments], env=self.environment, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=output, preexec_fn=die_with_parent, start_new_session=True,
                )
            )  # fmt: skip

    def close(self) -> None:
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def rows(self, query: str) -> list[tuple]:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(query).fetchall()

    def state(self) -> str:
        found = self.rows("select state from dag_run where dag_id = 'monitored'")
        return found[0][0] if found else ""


def expected(airflow: Airflow) -> dict[tuple[str, ...], dict[str, float]]:
    """By labels: runs, failed ones and seconds, as Airflow's database has them, every try."""
    found: dict[tuple[str, ...], dict[str, float]] = defaultdict(lambda: {"of": 0, "errors": 0, "duration_s": 0.0})
    tries = "select task_id, state, start_date, end_date from {} where dag_id = 'monitored'"
    rows = airflow.rows(tries.format("task_instance")) + airflow.rows(tries.format("task_instance_history"))
    rows += [("", *row) for row in airflow.rows("select state, start_date, end_date from dag_run")]
    for task, state, start, end in rows:
        numbers = found["monitored", task]
        numbers["of"] += 1
        numbers["errors"] += state != "success"
        numbers["duration_s"] += (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    return dict(found)


def measured(settings: Settings) -> dict[tuple[str, ...], dict[str, float]]:
    """By labels: the same numbers, and volume, from the metrics topics."""
    best: dict[tuple, dict] = {}
    for name in ("metrics.live", "metrics.1m"):
        for _, value in everything(settings, name):
            result = json.loads(value)
            key = (*result["labels"].values(), result["window"]["start"])
            if result["kind"] == "airflow" and (key not in best or result["revision"] >= best[key]["revision"]):
                best[key] = result
    found: dict[tuple[str, ...], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for (dag, task, _), result in best.items():
        numbers = found[dag, task]
        numbers["of"] += result["of"]
        numbers["errors"] += result["errors"]
        numbers["volume"] += result["volume"]
        numbers["duration_s"] += result["measures"].get("duration_ms", {"sum": 0.0})["sum"] / 1000
    return {labels: dict(numbers) for labels, numbers in found.items()}


def equal(ours: dict, theirs: dict) -> bool:
    """Counts are the same; durations to a twentieth of a second a try: Airflow does not tell a task's process the
    very moment that it writes down as its beginning. A DAG run's are the same.
    """
    return ours.keys() == theirs.keys() and all(
        (ours[key]["of"], ours[key]["errors"]) == (theirs[key]["of"], theirs[key]["errors"])
        and abs(ours[key]["duration_s"] - theirs[key]["duration_s"])
        < (SLACK_S if key[1] else 1e-5) * theirs[key]["of"]
        for key in theirs
    )


def main() -> int:
    kafka = JarsKafka()
    kafka.start()
    settings = Settings(broker=kafka.address, prefix="airflow", http_port=0)
    topics.apply(settings, replication_factor=1)
    home = Path(tempfile.mkdtemp(prefix="stream-monitor-airflow-"))
    airflow, is_good = Airflow(home / "home", settings), False
    try:
        print(
            f"{date.today()} · Airflow {airflow.run('version').split()[-1]} · Apache Kafka from the jars",
            flush=True,
        )
        airflow.run("db", "migrate")
        for arguments in (("api-server",), ("dag-processor",), ("scheduler",)):
            airflow.start(*arguments)
        wait_for(lambda: bool(airflow.rows("select 1 from dag where dag_id = 'monitored'")), 120)
        airflow.run("dags", "unpause", "monitored")
        airflow.run("dags", "trigger", "monitored")
        with WorkerProcess(settings, home / "data") as worker:
            wait_for(lambda: airflow.state() in ("success", "failed"), 180)
            theirs = expected(airflow)
            try:
                wait_for(lambda: equal(measured(settings), theirs), 60, worker)
                is_good = airflow.state() == "success"
            except AssertionError:
                print("NOT EQUAL", flush=True)
            show(measured(settings), theirs)
        is_good &= check_files(home / "home" / "our-logs" / "airflow")
        is_good &= [n["volume"] for key, n in sorted(measured(settings).items())] == [0, 1500, 1499, 1499]
    finally:
        airflow.close()
        kafka.close()
        if is_good:
            shutil.rmtree(home, ignore_errors=True)
        else:
            print(f"see {home}")
    print("as Airflow's own database" if is_good else "FAILED")
    return 0 if is_good else 1


def show(ours: dict, theirs: dict) -> None:
    print("| task | runs | failed | seconds | Airflow's runs | failed | seconds | records |")
    print("|---|---|---|---|---|---|---|---|")
    for key in sorted(theirs):
        a, b = ours.get(key, defaultdict(float)), theirs[key]
        print(
            f"| {'/'.join(key)} | {a['of']:.0f} | {a['errors']:.0f} | {a['duration_s']:.6f} | "
            f"{b['of']:.0f} | {b['errors']:.0f} | {b['duration_s']:.6f} | {a['volume']:.0f} |"
        )


def check_files(folder: Path) -> bool:
    """The files of airflow_logging.conf are there, and the errors apart."""
    metrics = [json.loads(line) for line in (folder / "airflow_metrics.log").read_text().splitlines()]
    errors = [json.loads(line) for line in (folder / "airflow_errors.log").read_text().splitlines()]
    states = sorted(line["state"] for line in metrics if line["state"] != "running")
    print(f"files: {len(metrics)} metrics ({', '.join(states)}), {len(errors)} errors")
    failed = [line for line in errors if line.get("state") == "up_for_retry"]
    return states == ["success"] * 4 + ["up_for_retry"] and [line["error.type"] for line in failed] == ["KeyError"]


if __name__ == "__main__":
    begun = time.monotonic()
    code = main()
    print(f"{time.monotonic() - begun:.0f} s")
    sys.exit(code)
