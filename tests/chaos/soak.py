"""A soak: a fixed rate for twenty minutes; memory, open files and RocksDB's size must be flat after the warm-up.

python -m tests.chaos.soak [--minutes 20] [--rate 500] [--speed 6]

Event time runs `speed` times as fast as the clock and lateness is ten minutes, so that windows retire all along.
"""

from __future__ import annotations

import argparse
import sys
import time

import orjson

from bench.load import record
from stream_monitor.recording import Recorded
from stream_monitor.replay import Sender
from tests.chaos.lab import cost, lab, memory, now_ms, rng
from tests.chaos.load import KINDS
from tests.chaos.verdict import settle


def main() -> int:
    """1 where the last quarter is more than a tenth (and a little) above the second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--speed", type=float, default=6)
    options = parser.parse_args()
    if options.minutes < 4:
        parser.error("--minutes: at least 4, of which quarters are compared")
    chance, rows = rng(1), []
    with lab("soak") as (settings, fleet):
        worker = fleet.start("w", STREAM_MONITOR_LATENESS="600")
        sender, began = Sender(settings), time.monotonic()
        start_ms, sent, sampled = now_ms() - 86_400_000, 0, 0
        print("| minute | records | resident MB | own MB | RocksDB MB | open files | datadir MB |")
        print("|---|---|---|---|---|---|---|", flush=True)
        while (passed := time.monotonic() - began) < options.minutes * 60:
            while sent < passed * options.rate:
                at_ms = start_ms + int(sent / options.rate * 1000 * options.speed)
                kind = chance.choices(KINDS, (1, 5, 4))[0]
                key, log = record(chance, kind, chance.randrange(100), at_ms)
                sender.send(Recorded(f"logs.{kind}", at_ms, orjson.dumps(log), key))
                sent += 1
            sender.poll()
            time.sleep(0.05)
            if passed >= (sampled + 1) * 60:
                sampled += 1
                rows.append(cost(worker))
                resident, files, disk = rows[-1]
                own, held = memory(worker)
                print(
                    f"| {sampled} | {sent:,} | {resident:.0f} | {own:.0f} | {held:.1f} | {files} | {disk:.1f} |",
                    flush=True,
                )
        sender.close()
        settle(settings, fleet, 60)
        ended = fleet.ended_by_themselves
    quarter = max(1, len(rows) // 4)
    flat = not ended
    for index, (name, slack) in enumerate((("resident MB", 10), ("open files", 20), ("datadir MB", 20))):
        early = max(row[index] for row in rows[quarter : 2 * quarter])
        late = max(row[index] for row in rows[-quarter:])
        verdict = "flat" if late <= early * 1.1 + slack else "GROWS"
        flat &= verdict == "flat"
        print(f"{name}: at most {early:.0f} in the second quarter, {late:.0f} in the last: {verdict}")
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
