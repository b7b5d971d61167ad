"""Chaos on Apache Kafka: a seeded load while workers are killed, paused, added, removed and the broker restarts.

python -m tests.chaos [--seeds 1-20] [--records 300000] [--rate 8000]

At the end of every run all windows, dead letters and counters are compared with an independent oracle. A failure
prints the seed and the event log; the same seed makes the same load and the same faults again.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from stream_monitor import replay, topics
from stream_monitor.settings import Settings
from stream_monitor.testing.brokers import JarsKafka
from tests.chaos.fleet import Fleet
from tests.chaos.load import load
from tests.chaos.verdict import problems, settle

SPAN_MS, DAY_MS = 3 * 3_600_000, 86_400_000
FAULTS = ("kill", "kill", "kill_and_forget", "pause", "pause", "add", "remove", "broker")
MAX_WORKERS, PAUSE_S = 3, 9.0


class Run:
    """One run: a load, a schedule of faults, a verdict."""

    def __init__(self, kafka: JarsKafka, seed: int, records: int, rate: float, folder: Path) -> None:
        self.kafka = kafka
        self.seed = seed
        self.rng = random.Random(f"faults {seed}")
        self.records, self.rate = records, rate
        self.settings = Settings(broker=kafka.address, prefix=f"chaos{seed}")
        self.log: list[str] = []
        self.fleet = Fleet(self.settings, folder, self.log)
        self.faults = 0
        self.names = iter(f"w{number}" for number in range(1000))

    def go(self) -> list[str]:
        """Run it; returns what is not as it should be."""
        topics.apply(self.settings, replication_factor=1)
        for _ in range(2):
            self.fleet.start(next(self.names))
        try:
            self._load()
            self.fleet.note("all sent")
            self.fleet.tend(all_paused=True)
            settle(self.settings, self.fleet, 180)
            self.fleet.note("settled")
            return problems(self.settings, self.fleet)
        except AssertionError as error:
            return [str(error)]
        finally:
            self.fleet.close()

    def _load(self) -> None:
        """Send the load at its pace; a fault every few seconds, every kind of them at least once."""
        sender = replay.Sender(self.settings)
        schedule = self._schedule()
        began = time.monotonic()
        today_ms = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS
        start_ms = today_ms - DAY_MS - SPAN_MS // 2  # over a midnight, in days that are over
        for number, record in enumerate(load(self.seed, self.records, start_ms, SPAN_MS)):
            sender.send(record)
            if number % 500 == 0:
                self.fleet.tend()
                while time.monotonic() - began < number / self.rate:
                    time.sleep(0.01)
                if number / self.records >= schedule[0][0]:
                    self._fault(schedule.pop(0)[1])
        sender.close()

    def _schedule(self) -> list[tuple[float, str]]:
        """(share of the load that is sent, fault); ends with one that never comes."""
        faults = list(FAULTS) + self.rng.choices(FAULTS[:-1], k=2)
        self.rng.shuffle(faults)
        steps = [(0.08 + 0.86 * (n + self.rng.random() * 0.7) / len(faults), f) for n, f in enumerate(faults)]
        return [*steps, (2.0, "none")]

    def _fault(self, fault: str) -> None:
        running = self.fleet.running()
        victim = self.rng.choice(running) if running else None
        self.faults += 1
        self.fleet.note(f"{fault} {victim if fault not in ('add', 'broker') else ''}")
        if fault == "broker":
            self.kafka.stop(self.rng.choice((signal.SIGTERM, signal.SIGKILL)))
            time.sleep(self.rng.uniform(0, 2))
            self.kafka.start()
        elif fault == "add" or victim is None:
            self.fleet.start(next(self.names))
        elif fault == "pause":
            self.fleet.pause(victim, PAUSE_S)
        elif fault == "remove" and len(running) > 1:
            code = self.fleet.remove(victim)
            self.fleet.note(f"removed {victim}: exit {code}")
        else:
            self.fleet.kill(victim)
            if fault == "kill_and_forget":
                self.fleet.forget_disk(victim)
            self.fleet.start(victim)


def seeds(text: str) -> Iterator[int]:
    """`1-3,7` → 1, 2, 3, 7."""
    for part in text.split(","):
        low, _, high = part.partition("-")
        yield from range(int(low), int(high or low) + 1)


def main() -> int:
    """Run every seed; 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1-20")
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--rate", type=float, default=8000)
    parser.add_argument("--keep", action="store_true", help="keep the workers' folders and logs of failed runs")
    options = parser.parse_args()
    failed = []
    kafka = JarsKafka()
    kafka.start()
    try:
        for seed in seeds(options.seeds):
            folder = Path(tempfile.mkdtemp(prefix=f"stream-monitor-chaos-{seed}-"))
            began = time.monotonic()
            run = Run(kafka, seed, options.records, options.rate, folder)
            wrong = run.go()
            print(
                f"seed {seed}: {'FAILED' if wrong else 'equal'}, {options.records:,} records, "
                f"{run.faults} faults, {run.fleet.ended_by_themselves} workers ended by themselves, "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
            if wrong:
                failed.append(seed)
                print(*run.log, f"{len(wrong)} differences, the first of them:", *wrong[:12], sep="\n  ")
                print(f"  workers' logs: {folder}", flush=True)
    finally:
        kafka.close()
    print(f"{len(failed)} of the seeds failed: {failed}" if failed else "all equal to the oracle")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
