"""A million fuzzed records through a worker on Apache Kafka: no crash, no hang, nothing lost.

python -m tests.chaos.fuzz [--records 1000000] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter

import orjson

from bench.load import record
from stream_monitor.recording import Recorded
from stream_monitor.replay import Sender
from tests.chaos.lab import lab, now_ms, peak_mb, rng
from tests.chaos.load import CORRUPT, KINDS
from tests.chaos.verdict import settle
from tests.workers import everything

STRANGE = (
    None, True, "", "\x00", "NaN", -1, 0, 2**63, 2**64, 1e308, -1e-300, 1e15, [], [[]], {}, {"a": 1}, "é" * 300,
    "\ud800", "2024-02-30T00:00:00Z", "1970-01-01T00:00:00Z", "2300-01-01T00:00:00.000Z", 1e18, "ERROR", "error ",
)  # fmt: skip


def fuzzed(chance: random.Random, kind: str, at_ms: int) -> bytes | None:
    """A valid line, with one to three things wrong with it; or bytes that are none."""
    luck = chance.random()
    if luck < 0.02:
        return chance.choice(CORRUPT)
    _, log = record(chance, kind, chance.randrange(50), at_ms)
    for _ in range(chance.randrange(3)):
        name = chance.choice([*log, "task_id", "exc_text", "error", "state", "asctime", "unheard_of"])
        log[name] = chance.choice(STRANGE)
    try:
        value = bytearray(orjson.dumps(log))
    except TypeError:  # orjson writes no lone surrogate and no integer over 64 bits
        value = bytearray(str(log).replace("'", '"').encode("utf-8", "surrogatepass"))
    if luck < 0.3:
        for _ in range(chance.randrange(1, 4)):
            value[chance.randrange(len(value))] = chance.randrange(256)
    elif luck < 0.4:
        del value[chance.randrange(len(value)) :]
    return bytes(value)


def main() -> int:
    """1 where a record is neither folded nor a dead letter, or the worker ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = rng(options.seed)
    with lab("fuzz") as (settings, fleet):
        worker = fleet.start("w")
        sender, began, start_ms = Sender(settings), time.monotonic(), now_ms() - 600_000
        for number in range(options.records):
            kind = chance.choice(KINDS)
            at_ms = start_ms + number * 600_000 // options.records
            sender.send(Recorded(f"logs.{kind}", at_ms, fuzzed(chance, kind, at_ms)))
        sender.close()
        settle(settings, fleet, 900)
        records, merged = fleet.counters()
        totals: Counter[str] = Counter()
        for (topic, _, outcome), times in records.items():
            if ".logs." in topic:
                totals[outcome] += times
        rejected = sum(n for outcome, n in totals.items() if outcome not in ("read", "folded", "over_cap"))
        letters = len({key for key, _ in everything(settings, "dlq")})
        out = sum(merged.values())
        print(
            f"{options.records:,} records, seed {options.seed}, {time.monotonic() - began:.0f} s: {dict(totals)}; "
            f"{letters:,} dead letters; {out:,} published or late; peak {peak_mb(worker):.0f} MB; "
            f"{fleet.ended_by_themselves} workers ended by themselves"
        )
        held = totals["read"] == options.records == totals["folded"] + rejected
        right = held and letters == rejected and out == totals["folded"] and not fleet.ended_by_themselves
        print("conservation holds" if right else "FAILED")
        return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
