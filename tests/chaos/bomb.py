"""A million series: the worker stays small, and the honest series are right.

python -m tests.chaos.bomb [--series 1000000]
"""

from __future__ import annotations

import argparse
import sys
import time

import orjson

from bench.load import record
from stream_monitor.recording import Recorded
from stream_monitor.replay import Sender
from tests.chaos.lab import lab, now_ms, peak_mb, rng
from tests.chaos.oracle import expected
from tests.chaos.verdict import settle
from tests.expected import differences
from tests.workers import metrics

MINUTES, HONEST = 10, 10
LIMIT_MB = 600


def load(series: int, start_ms: int):
    """Ten honest services a minute before and all along; and names that never come again."""
    chance = rng(1)
    for number in range(series):
        at_ms = start_ms + number * MINUTES * 60_000 // series
        if number % 20 == 0:
            key, log = record(chance, "ml", number // 20 % HONEST, at_ms)
            yield Recorded("logs.ml", at_ms, orjson.dumps(log), key)
        _, log = record(chance, "ml", 0, at_ms)
        yield Recorded("logs.ml", at_ms, orjson.dumps({**log, "service": f"bomb-{number}"}), None)


def main() -> int:
    """1 where an honest window is wrong, a record is lost, or the worker grew too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=1_000_000)
    options = parser.parse_args()
    with lab("bomb") as (settings, fleet):
        worker = fleet.start("w")
        start_ms = (now_ms() - 3_600_000) // 60_000 * 60_000
        sender = Sender(settings)
        for number in range(HONEST * 50):
            key, log = record(rng(number), "ml", number % HONEST, start_ms - 60_000)
            sender.send(Recorded("logs.ml", start_ms, orjson.dumps(log), key))
        sender.close()
        settle(settings, fleet, 60)
        sender, began = Sender(settings), time.monotonic()
        for item in load(options.series, start_ms):
            sender.send(item)
        sender.close()
        settle(settings, fleet, 900)
        seconds = time.monotonic() - began
        time.sleep(15)
        windows, rejected, read = expected(settings)
        honest = {k: w for k, w in windows.items() if k[1][0].startswith("ml.predictor-") and k[2] == 60}
        found = metrics(settings)
        wrong = differences({k: m for k, m in found.items() if k in honest}, honest)
        total = sum(metric.revision for key, metric in found.items() if key[2] == 60)
        live = sum(read.values()) - len(rejected)
        peak, over = peak_mb(worker), sum(c for (_, _, o), c in fleet.counters()[0].items() if o == "over_cap")
        print(
            f"{options.series:,} series in {seconds:.0f} s: peak {peak:.0f} MB, {over:,} records counted as "
            f"__other__; {len(honest)} honest windows, {len(wrong)} wrong; {total:,} of {live:,} published",
            *wrong[:5], sep="\n  ",
        )  # fmt: skip
        return 1 if wrong or total != live or peak > LIMIT_MB or fleet.ended_by_themselves else 0


if __name__ == "__main__":
    sys.exit(main())
