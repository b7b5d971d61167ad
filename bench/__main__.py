"""One worker, pinned to one core, on a mixed backlog, beside the floor in the same run; Apache Kafka on the other.

python -m bench [--records 1000000] [--series 1000] [--span 1000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import date
from importlib.metadata import version
from pathlib import Path

import psutil

from bench.load import fill
from stream_monitor.broker import free_port
from stream_monitor.settings import Settings
from stream_monitor.testing import brokers
from tests.workers import WorkerProcess, wait_for, wait_settled

CORES = sorted(os.sched_getaffinity(0))
WORK, REST = {CORES[0]}, set(CORES[1:]) or {CORES[0]}


def floor(settings: Settings, records: int) -> dict[str, float]:
    """Seconds and CPU seconds of the floor."""
    command = [
        "taskset",
        "-c",
        str(CORES[0]),
        sys.executable,
        "-m",
        "bench.floor",
        settings.broker,
        settings.prefix,
    ]
    done = subprocess.run([*command, str(records)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


_COUNTERS = "http://127.0.0.1:{}/metrics?name[]=stream_monitor_records_total"


def counted(port: int) -> int:
    """Source records read, by the worker's own counters."""
    try:
        with urllib.request.urlopen(_COUNTERS.format(port), timeout=5) as page:
            lines = page.read().decode().splitlines()
    except OSError:
        return 0
    return sum(int(float(ln.split()[-1])) for ln in lines if 'outcome="read"' in ln and ".logs." in ln)


def worker(settings: Settings, records: int) -> dict[str, float]:
    """Until all is read, and until all is merged, published and committed; CPU seconds, peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        flags = {"STREAM_MONITOR_FLUSH_INTERVAL": "1", "STREAM_MONITOR_CHECKPOINT_INTERVAL": "5"}
        with WorkerProcess(settings, Path(folder) / "data", **flags) as process:
            inside = psutil.Process(process.process.pid)
            inside.cpu_affinity(list(WORK))
            for thread in inside.threads():
                os.sched_setaffinity(thread.id, WORK)
            wait_for(lambda: counted(settings.http_port) > 0, 60, process)
            first, before, cpu = time.monotonic(), counted(settings.http_port), used(inside)
            wait_for(lambda: counted(settings.http_port) >= records, 600, process)
            read, read_cpu = time.monotonic() - first, used(inside) - cpu
            wait_settled(settings, 600, process)
            done = {"seconds": read, "cpu": read_cpu, "records": records - before}
            done |= {"all_seconds": time.monotonic() - first, "all_cpu": used(inside) - cpu}
            done["peak_mb"] = peak_mb(process.process.pid)
            process.stop()
            return done


def used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    return float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--span", type=int, default=1000, help="seconds of event time")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.sched_setaffinity(0, REST)
    rows = []
    with brokers.kafka() as address:
        for number in range(options.rounds):
            settings = Settings(broker=address, prefix=f"bench{number}", http_port=free_port())
            fill(settings, options.records, options.series, options.span)
            base = floor(settings, options.records)
            ours = worker(settings, options.records)
            rows.append((base, ours))
            show(number, options.records, base, ours)
    summary(options, rows)


def show(number: int, records: int, base: dict[str, float], ours: dict[str, float]) -> None:
    print(
        f"round {number + 1}: floor {records / base['seconds']:,.0f}/s ({records / base['cpu']:,.0f} per CPU-s); "
        f"worker {ours['records'] / ours['seconds']:,.0f}/s ({ours['records'] / ours['cpu']:,.0f} per CPU-s), "
        f"to the last commit {ours['records'] / ours['all_seconds']:,.0f}/s "
        f"({ours['records'] / ours['all_cpu']:,.0f} per CPU-s), peak {ours['peak_mb']:.0f} MB",
        flush=True,
    )


def summary(options: argparse.Namespace, rows: list[tuple[dict[str, float], dict[str, float]]]) -> None:
    records = options.records
    ratios = [(b["seconds"] / records) / (o["seconds"] / o["records"]) for b, o in rows]
    cpu = [(b["cpu"] / records) / (o["all_cpu"] / o["records"]) for b, o in rows]
    print(
        f"{date.today()} · {records:,} records, {options.series} series, {options.span} s of event time · "
        f"Python {platform.python_version()}, faust-streaming {version('faust-streaming')}, "
        f"confluent-kafka {version('confluent-kafka')} · one core for the worker, Apache Kafka on the other\n"
        f"of the floor: {statistics.median(ratios):.2f} by time while reading, "
        f"{statistics.median(cpu):.2f} by CPU-seconds up to the last commit"
    )


if __name__ == "__main__":
    main()
