"""Every fail-point, on Apache Kafka: the worker dies there, is started again, and all is as the oracle says.

python -m tests.chaos.failpoints [POINT …]

Each point twice: started again on the same datadir, and on an empty one. The worker has checkpoints behind it when
it is told to die, and windows to retire before it. And once more: it is paused there until a successor has its
partitions and has done its work, and goes on, with what it had not sent yet.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import psutil

from stream_monitor import replay, topics
from stream_monitor.recording import Recorded
from stream_monitor.settings import Settings
from stream_monitor.testing.brokers import JarsKafka
from stream_monitor.worker.failpoint import POINTS
from tests.chaos.__main__ import DAY_MS, SPAN_MS
from tests.chaos.fleet import Fleet, last_line
from tests.chaos.load import load
from tests.chaos.verdict import problems, settle
from tests.workers import WorkerProcess, wait_for

RECORDS, TIMES, ZOMBIE_TIMES = 20_000, 2, 5


def stage(kafka: JarsKafka, prefix: str) -> tuple[Settings, list[Recorded], Fleet]:
    """Topics of its own, the load, and no worker yet."""
    settings = Settings(broker=kafka.address, prefix=prefix)
    topics.apply(settings, replication_factor=1)
    start_ms = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS - DAY_MS - SPAN_MS // 2
    records = list(load(7, RECORDS, start_ms, SPAN_MS, series=8))
    return settings, records, Fleet(settings, Path(tempfile.mkdtemp(prefix="stream-monitor-failpoint-")), [])


def visit(kafka: JarsKafka, point: str, *, forget: bool) -> list[str]:
    """Die at the point, start again; returns what is not as it should be."""
    settings, records, fleet = stage(kafka, f"{point}-{'empty' if forget else 'same'}")
    static = {"STREAM_MONITOR_GROUP_INSTANCE_ID": "w"}
    try:
        fleet.start("w", **static)
        send(settings, records[: RECORDS // 2])
        settle(settings, fleet, 60)
        fleet.kill("w")
        if point == "restore":
            fleet.forget_disk("w")
        armed = fleet.start("w", STREAM_MONITOR_FAILPOINT=f"{point}:{TIMES}", **static)
        send(settings, records[RECORDS // 2 :])
        if not died(armed):
            return [f"{point} was not reached: {last_line(armed)}"]
        fleet.kill("w")
        if forget:
            fleet.forget_disk("w")
        fleet.start("w", **static)
        settle(settings, fleet, 60)
        return problems(settings, fleet)
    except AssertionError as error:
        return [str(error)]
    finally:
        fleet.close()


def haunt(kafka: JarsKafka, point: str) -> list[str]:
    """Pause at the point until a successor has done the work, go on; returns what is not as it should be."""
    settings, records, fleet = stage(kafka, f"{point}-zombie")
    try:
        zombie = fleet.start("zombie", STREAM_MONITOR_FAILPOINT=f"{point}:{ZOMBIE_TIMES}:pause")
        send(settings, records)
        wait_for(lambda: is_stopped(zombie), 60, zombie)
        del fleet.workers["zombie"]
        fleet.start("successor")
        settle(settings, fleet, 90)
        zombie.process.send_signal(signal.SIGCONT)
        time.sleep(5)
        fleet.workers["zombie"] = zombie
        settle(settings, fleet, 60)
        return problems(settings, fleet)
    except AssertionError as error:
        return [str(error)]
    finally:
        fleet.close()


def is_stopped(worker: WorkerProcess) -> bool:
    """The process has stopped itself."""
    return psutil.Process(worker.process.pid).status() == psutil.STATUS_STOPPED


def send(settings: Settings, records: Sequence[Recorded]) -> None:
    """All of them, as fast as possible."""
    sender = replay.Sender(settings)
    for record in records:
        sender.send(record)
    sender.close()


def died(worker: WorkerProcess) -> bool:
    """By SIGKILL, within a minute."""
    deadline = time.monotonic() + 60
    while worker.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return worker.process.poll() == -signal.SIGKILL


CASES = {
    "same": ("started again on the same datadir", partial(visit, forget=False)),
    "empty": ("started again on an empty datadir", partial(visit, forget=True)),
    "zombie": ("paused beside a successor", haunt),
}


def main() -> int:
    """Visit the points; 1 if one of them went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("points", nargs="*", choices=[*POINTS, []])
    parser.add_argument("--cases", default=",".join(CASES))
    options = parser.parse_args()
    points, cases = options.points or [*POINTS], options.cases.split(",")
    failed = 0
    kafka = JarsKafka()
    kafka.start()
    try:
        for point in points:
            for case in cases:
                if (point, case) == ("restore", "zombie"):
                    continue  # it owns nothing yet
                began = time.monotonic()
                words, act = CASES[case]
                wrong = act(kafka, point)
                failed += bool(wrong)
                verdict = "FAILED" if wrong else "equal"
                print(f"{point}, {words}: {verdict}, {time.monotonic() - began:.0f} s", *wrong[:8], sep="\n  ")
                sys.stdout.flush()
    finally:
        kafka.close()
    print(f"{failed} failed" if failed else "all equal to the oracle")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
