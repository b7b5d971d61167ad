"""How the worker's cost grows: with the series, the partitions, the size of a record, and a second worker.

python -m bench.scale [--records 300000] [--only series,partitions,size,workers]

Each case is a backlog of its own on one Apache Kafka, one worker pinned to one core. CPU-seconds are counted from
the moment at which all workers are ready to the last commit.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from bench.__main__ import REST, WORK, peak_mb, used
from bench.load import fill
from stream_monitor import offsets, topics
from stream_monitor.broker import free_port
from stream_monitor.settings import Settings
from stream_monitor.testing import brokers
from tests.workers import WorkerProcess, wait_for

FLAGS = {"STREAM_MONITOR_CHECKPOINT_INTERVAL": "5", "STREAM_MONITOR_FLUSH_INTERVAL": "1"}


def cases(only: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what is said of it, how it differs from 1,000 series, 4 partitions and records of 200 to 300 bytes)."""
    every = {
        "series": [(f"{n:,} series", {"series": n}) for n in (10, 100, 1000, 10_000, 100_000)],
        "partitions": [(f"{n} partitions", {"partitions": n}) for n in (1, 4, 16, 64)],
        "size": [(f"records of {n:,} B more", {"padding": n}) for n in (0, 1000, 5000)],
        "workers": [(f"{n} worker{'s' * (n > 1)}", {"workers": n}) for n in (1, 2)],
    }
    for name in only:
        yield from every[name]


def make_topics(settings: Settings, partitions: int) -> None:
    """The declared topics, the source topics with so many partitions."""
    declared = [replace(topic, partitions=partitions) if topic.may_grow else topic for topic in topics.declared()]
    topics.apply(settings, declared, replication_factor=1)


def run(
    address: str, prefix: str, records: int, *, series: int = 1000, partitions: int = 4, padding: int = 0,
    workers: int = 1,
) -> dict[str, float]:  # fmt: skip
    """One case: CPU-seconds of all workers for a million records, seconds to the last commit, the largest peak."""
    settings = Settings(broker=address, prefix=prefix)
    make_topics(settings, partitions)
    fill(settings, records, series, 600, padding=padding)
    with tempfile.TemporaryDirectory() as folder:
        fleet = [
            WorkerProcess(
                settings.model_copy(update={"http_port": free_port()}), Path(folder) / str(number),
                **FLAGS, STREAM_MONITOR_MAX_SERIES="200000",
            )
            for number in range(workers)
        ]  # fmt: skip
        try:
            inside = [psutil.Process(worker.process.pid) for worker in fleet]
            for process in inside:
                process.cpu_affinity(list(WORK))
                for thread in process.threads():
                    os.sched_setaffinity(thread.id, WORK)
            for worker in fleet:
                wait_for(lambda worker=worker: "ready" in worker.log.read_text(), 60, worker)
            began, started = time.monotonic(), [used(process) for process in inside]
            for names in (offsets.SOURCES, ("partials",)):
                upto = offsets.ends(settings, names)
                wait_for(lambda upto=upto: not offsets.behind(settings, upto), 600, fleet[0])
            seconds = time.monotonic() - began
            cpu = sum(used(process) for process in inside) - sum(started)
            peak = max(peak_mb(process.pid) for process in inside)
            return {"cpu": cpu / records * 1e6, "seconds": seconds, "peak_mb": peak}
        finally:
            for worker in fleet:
                worker.stop()


def main() -> None:
    """A row for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--only", default="series,partitions,size,workers")
    options = parser.parse_args()
    os.sched_setaffinity(0, REST)
    print(
        f"{date.today()}, {options.records:,} records, 1,000 series and 4 partitions where nothing else is said\n"
    )
    print("| case | CPU-seconds a million records | seconds | peak MB |\n|---|---|---|---|")
    with brokers.kafka() as address:
        for number, (words, flags) in enumerate(cases(options.only.split(","))):
            found = run(address, f"scale{number}", options.records, **flags)
            numbers = f"{found['cpu']:.2f} | {found['seconds']:.0f} | {found['peak_mb']:.0f}"
            print(f"| {words} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
