"""The peers on the same seeded load, one after the other in one run, beside the floor and this project.

python -m bench.peers [--records 400000] [--candidates floor,worker,quix,bytewax,kafka-streams,flink,faust]

Each is pinned to one core, the broker has the other: Apache Kafka, and then once more the embedded stand-in. Cost
is taken from two loads, of n and of n / 4 records: start, recovery and stop are in both, and go out of the
difference. A load ends when the results hold as many records as it has, so no candidate is measured while it drops
work. Some publish closed windows only: the end of a load is one record 50 minutes ahead on each partition.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from math import isnan
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic

from bench.__main__ import CORES, REST, WORK
from bench.load import fill
from stream_monitor import clients, topics
from stream_monitor.broker import EmbeddedBroker, free_port
from stream_monitor.settings import Settings
from stream_monitor.testing import brokers
from tests.workers import WorkerProcess, folded, metrics

HERE = Path(__file__).parent
VENVS = Path(".cache/peers")
PIN = ["taskset", "-c", str(CORES[0])]


@dataclass
class Peer:
    """How a candidate is started, and the largest load that it does in reasonable time."""

    command: Callable[[Settings], list[str]]
    most_records: int = 1_000_000


def _script(venv: str, script: str) -> Callable[[Settings], list[str]]:
    def command(settings: Settings) -> list[str]:
        return [str(_environment(venv)), str(HERE / script), settings.broker, settings.prefix]

    return command


def _environment(name: str) -> Path:
    """A peer's own interpreter, made from its pinned requirements when first needed."""
    python = VENVS / name / "bin" / "python"
    if not (VENVS / name / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENVS / name)], check=True)
        wanted = HERE / f"requirements-{name}.txt"
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(wanted)], check=True)
        (VENVS / name / ".ready").touch()
    return python.absolute()


def _java(name: str, *flags: str) -> Callable[[Settings], list[str]]:
    def command(settings: Settings) -> list[str]:
        built = (VENVS / name).absolute()
        if not (built / "lib").exists():
            pom = HERE / name / "pom.xml"
            subprocess.run(["mvn", "-q", "-f", str(pom), f"-DbuildTo={built}", "package"], check=True)
        path = f"{built}/classes:{built}/lib/*"
        arguments = (settings.broker, settings.prefix, tempfile.mkdtemp())
        return ["java", "-Xmx1g", *flags, "-cp", path, "peer.Windows", *arguments]

    return command


_OPENED = ("java.lang", "java.util", "java.time", "java.io")
"""What Flink's own scripts open to its serializers on Java 17."""

PEERS = {
    "quix": Peer(_script("quix", "quix.py")),
    "bytewax": Peer(_script("bytewax", "bytewax_flow.py")),
    "kafka-streams": Peer(_java("kafka-streams")),
    "flink": Peer(_java("flink", *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED))),
    "faust": Peer(_script("faust", "faust_app.py"), most_records=16_000),
}


def floor(settings: Settings, records: int) -> tuple[float, float, float]:
    """(seconds, CPU seconds, peak MB) of the bare loop."""
    command = [*PIN, sys.executable, "-m", "bench.floor", settings.broker, settings.prefix, str(records)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found["seconds"], found["cpu"], float("nan")


def worker(settings: Settings, records: int) -> tuple[float, float, float]:
    """(seconds, CPU seconds, peak MB) of this project, until its results hold all records."""
    with tempfile.TemporaryDirectory() as folder:
        flags = {"STREAM_MONITOR_FLUSH_INTERVAL": "1", "STREAM_MONITOR_CHECKPOINT_INTERVAL": "5"}
        began = time.monotonic()
        with WorkerProcess(settings, Path(folder) / "data", **flags) as process:
            inside = psutil.Process(process.process.pid)
            inside.cpu_affinity(list(WORK))
            while folded(metrics(settings)) + _open(settings) < records:
                time.sleep(0.5)
            return time.monotonic() - began, _cpu(inside), _peak_mb(inside)


def _open(settings: Settings) -> int:
    """Records in windows that have not closed yet."""
    closed = metrics(settings)
    return sum(m.revision for key, m in metrics(settings, live=True).items() if key not in closed)


def peer(name: str, settings: Settings, records: int) -> tuple[float, float, float]:
    """(seconds, CPU seconds, peak MB) of a peer, until its results hold all records."""
    command = PEERS[name].command(settings)
    log = Path(tempfile.mkdtemp()) / "log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen([*PIN, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        inside, results = psutil.Process(process.pid), Results(settings, name)
        cpu = peak = 0.0
        try:
            while (have := results.records()) < records:
                if inside.is_running() and inside.status() != psutil.STATUS_ZOMBIE:
                    cpu, peak = _cpu(inside), _peak_mb(inside)
                elif results.records() == have:
                    raise RuntimeError(f"{name} ended with {have} of {records}: {log.read_text()[-2000:]}")
                if time.monotonic() - began > 900:
                    raise RuntimeError(f"{name} has {have} of {records} records: {log.read_text()[-2000:]}")
                time.sleep(0.2)
            if process.poll() is None:
                cpu, peak = _cpu(inside), _peak_mb(inside)
            return time.monotonic() - began, cpu, peak
        finally:
            process.kill()
            process.wait()
            results.close()


class Results:
    """A peer's output: of each window the last result."""

    def __init__(self, settings: Settings, name: str) -> None:
        topic = f"{settings.prefix}.peer.{name}"
        self._consumer = clients.consumer(settings, **{"group.id": "bench"})
        self._consumer.assign([TopicPartition(topic, partition, 0) for partition in range(4)])
        self._counts: dict[tuple[str, int], int] = {}

    def records(self) -> int:
        """How many records the results hold so far."""
        while messages := self._consumer.consume(10_000, 0.05):
            for message in messages:
                found = {} if message.error() else json.loads(message.value())
                if found and not found["series"].startswith("flush"):
                    self._counts[found["series"], found["start"]] = found["count"]
        return sum(self._counts.values())

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _peak_mb(process: psutil.Process) -> float:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    return float("nan")


def prepare(address: str, prefix: str, records: int, series: int, span_s: int) -> Settings:
    """A load of its own, its end, and the peers' topics."""
    settings = Settings(broker=address, prefix=prefix, http_port=free_port())
    fill(settings, records, series, span_s)
    ahead_ms = time.time_ns() // 1_000_000 + 50 * 60_000  # Kafka refuses what is an hour ahead
    producer = clients.producer(settings)
    for kind in ("airflow", "kafka", "ml"):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(ahead_ms // 1000))
        log = {"timestamp": stamp, "level": "INFO", "message": "duration=1", "latency_ms": 1.0}
        log |= dict.fromkeys(("dag_id", "task_id", "consumer_group", "topic", "service", "model_version"), "flush")
        for partition in range(topics.partition_counts(settings)[f"logs.{kind}"]):
            producer.produce(settings.topic(f"logs.{kind}"), json.dumps(log), "flush", partition)
    producer.flush()
    admin = clients.admin(settings)
    for future in admin.create_topics([NewTopic(f"{prefix}.peer.{name}", 4, 1) for name in PEERS]).values():
        future.result()
    return settings


def measure(name: str, address: str, options: argparse.Namespace) -> dict[str, Any]:
    """What a record costs a candidate: the difference between a larger load and a smaller one. The floor's clock
    starts with its first record: there is nothing to take off.
    """
    most = min(options.records, PEERS[name].most_records) if name in PEERS else options.records
    act: dict[str, Callable[[Settings, int], tuple[float, float, float]]] = {"floor": floor, "worker": worker}
    run = act.get(name) or (lambda settings, records: peer(name, settings, records))
    found = []
    smaller = 0 if name == "floor" else most // 4
    for records in (smaller, most) if smaller else (most,):
        settings = prepare(address, f"{name}-{records}", records, options.series, options.span)
        found.append(run(settings, records))
    small_s, small_cpu, _ = found[0] if smaller else (0.0, 0.0, 0.0)
    large_s, large_cpu, peak = found[-1]
    more = most - smaller
    return {
        "name": name, "records": most, "per_s": more / max(large_s - small_s, 1e-9),
        "per_cpu_s": more / max(large_cpu - small_cpu, 1e-9), "peak_mb": peak,
    }  # fmt: skip


def main() -> None:
    """Measure the candidates; one line for each, then a table for each broker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--span", type=int, default=1000, help="seconds of event time")
    parser.add_argument("--candidates", default=",".join(("floor", "worker", *PEERS)))
    parser.add_argument("--brokers", default="kafka,embedded")
    options = parser.parse_args()
    os.sched_setaffinity(0, REST)
    for name in options.brokers.split(","):
        show(BROKERS[name](options), name, options)


def on_kafka(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All of them on one Apache Kafka."""
    with brokers.kafka() as address:
        return [row for name in options.candidates.split(",") if (row := tried(name, address, options))]


def on_embedded(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each on a stand-in of its own, which keeps everything in memory."""
    rows = []
    for name in options.candidates.split(","):
        with EmbeddedBroker() as broker:
            rows.append(tried(name, broker.address, options))
    return [row for row in rows if row]


BROKERS = {"kafka": on_kafka, "embedded": on_embedded}


def tried(name: str, address: str, options: argparse.Namespace) -> dict[str, Any] | None:
    """A candidate's row; None where it cannot be had or does not end."""
    try:
        row = measure(name, address, options)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        print(f"{name}: not measured: {error}", flush=True)
        return None
    print(row, flush=True)
    return row


def show(rows: list[dict[str, Any]], broker: str, options: argparse.Namespace) -> None:
    """The table."""
    base = next((row["per_cpu_s"] for row in rows if row["name"] == "floor"), float("nan"))
    print(f"\n{date.today()}, broker: {broker}, Python {platform.python_version()}, {options.series} series\n")
    print(
        "| candidate | records | records/s | per CPU-second | of the floor | peak MB |\n|---|---|---|---|---|---|"
    )
    for row in rows:
        print(
            f"| {row['name']} | {row['records']:,} | {row['per_s']:,.0f} | {row['per_cpu_s']:,.0f} | "
            f"{row['per_cpu_s'] / base:.3f} | {_or_dash(row['peak_mb'])} |"
        )


def _or_dash(value: float) -> str:
    return "–" if isnan(value) else f"{value:.0f}"


if __name__ == "__main__":
    main()
