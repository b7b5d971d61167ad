"""How long a killed worker takes until it processes again: on the same disk, and on an empty one.

python -m tests.chaos.recovery [--series 1000] [--minutes 60] [--updates 4]

The worker holds `series` × `minutes` windows in both stages, each written `updates` times; then it is killed. Its
session is static, so that the group does not wait for a time-out; what is timed is start to the next commit.
"""

from __future__ import annotations

import argparse
import re
import sys
import time

import orjson

from stream_monitor import offsets
from stream_monitor.recording import Recorded
from stream_monitor.replay import Sender
from stream_monitor.settings import Settings
from tests.chaos.fleet import Fleet
from tests.chaos.lab import lab, now_ms
from tests.chaos.verdict import settle

STATIC = {"STREAM_MONITOR_GROUP_INSTANCE_ID": "w"}
LIMITS_S = {"the same disk": 15, "an empty disk": 60}


def line(series: int, at_ms: int, latency: float) -> bytes:
    """One prediction."""
    return orjson.dumps({"timestamp": at_ms, "service": f"s{series}", "model_version": "v", "latency_ms": latency})


def hold(settings: Settings, fleet: Fleet, options: argparse.Namespace) -> int:
    """Fill the windows; returns the latest event time."""
    start_ms = (now_ms() - options.minutes * 60_000) // 60_000 * 60_000
    at_ms = start_ms
    for update in range(options.updates):
        sender = Sender(settings)
        for minute in range(options.minutes):
            for series in range(options.series):
                at_ms = start_ms + minute * 60_000 + update * 1000
                sender.send(Recorded("logs.ml", at_ms, line(series, at_ms, 1 + series % 500), f"s{series}"))
        sender.close()
        settle(settings, fleet, 300)
    return at_ms


def until_it_commits(settings: Settings, fleet: Fleet, at_ms: int) -> float:
    """Seconds from the start of a worker until new records are committed."""
    sender = Sender(settings)
    for series in range(200):
        sender.send(Recorded("logs.ml", at_ms, line(series, at_ms, 5), f"s{series}"))
    sender.close()
    upto, began = offsets.ends(settings, ("logs.ml",)), time.monotonic()
    fleet.start("w", **STATIC)
    while offsets.behind(settings, upto):
        time.sleep(0.2)
    return time.monotonic() - began


def main() -> int:
    """1 where it takes longer than it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--updates", type=int, default=4)
    options = parser.parse_args()
    slow = False
    with lab("recovery") as (settings, fleet):
        fleet.start("w", **STATIC)
        at_ms = hold(settings, fleet, options)
        changelogs = ("state.airflow", "state.kafka", "state.ml", "state.merge")
        for where, limit in LIMITS_S.items():
            fleet.kill("w")
            if where == "an empty disk":
                fleet.forget_disk("w")
            records = sum(offsets.ends(settings, changelogs).values())
            seconds = until_it_commits(settings, fleet, at_ms)
            settle(settings, fleet, 60)
            log = fleet.workers["w"].log.read_text()
            restored = re.findall(r"restored ([\d,]+) changelog records in ([\d.]+) s", log)
            print(
                f"{options.series:,} series × {options.minutes} minutes, {records:,} records in the changelogs; "
                f"{where}: {seconds:.1f} s until it commits again (limit {limit}); "
                + (f"restored {restored[-1][0]} in {restored[-1][1]} s" if restored else "nothing to restore"),
                flush=True,
            )
            slow |= seconds > limit
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
