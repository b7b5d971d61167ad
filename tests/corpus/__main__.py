"""Look for inputs that come out in a way of their own, and keep the shortest of each.

python -m tests.corpus [--inputs 200000] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from stream_monitor import wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.kinds import KINDS
from tests.chaos.fuzz import STRANGE, fuzzed
from tests.corpus import KAFKA_MS, keep, kept, way_of_log, way_of_partial, way_of_topic

PACK = msgspec.msgpack.encode


class Shortest(dict[str, dict[str, Any]]):
    """By the way it comes out: the shortest input, the first of equals by its bytes."""

    def offer(self, way: str, row: dict[str, Any]) -> None:
        """Keep it if it is shorter than what there is."""
        have = self.get(way)
        if have is None or _size(row) < _size(have):
            self[way] = row


def _size(row: dict[str, Any]) -> tuple[int, bytes]:
    value = row["value"]
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value or b""
    return len(raw), raw


def logs(chance: random.Random, inputs: int, found: Shortest) -> None:
    """Values of the log topics."""
    names = list(KINDS)
    for number in range(inputs):
        kind = names[number % len(names)]
        value = fuzzed(chance, kind, KAFKA_MS + chance.randrange(60_000))
        found.offer(f"{kind} {way_of_log(KINDS[kind], value)}", {"kind": kind, "value": value})


def partials(chance: random.Random, inputs: int, found: Shortest) -> None:
    """Values of the partials topic: good ones with something wrong."""
    packed = wire.aggregate_out(Aggregate.empty(KINDS["ml"]))
    good = [
        wire.partial_out(wire.Partial("ml", b'["ml",["s","v"]]', KAFKA_MS, 0, 5, 1, packed)),
        wire.tick_out(wire.Tick("ml", 0, 4, 9, KAFKA_MS, 0, False, KAFKA_MS)),
    ]
    for _ in range(inputs):
        value = bytearray(chance.choice(good))
        luck = chance.random()
        if luck < 0.4:
            for _ in range(chance.randrange(1, 3)):
                value[chance.randrange(len(value))] = chance.randrange(256)
        elif luck < 0.6:
            del value[chance.randrange(len(value)) :]
        elif luck < 0.9:
            fields = msgspec.msgpack.decode(bytes(value))
            strange = [s for s in STRANGE if not (isinstance(s, int) and s >= 2**64) and s != "\ud800"]
            fields[chance.randrange(len(fields))] = chance.choice(strange)
            value = bytearray(PACK(fields))
        found.offer(way_of_partial(bytes(value)), {"value": bytes(value)})


def topic_files(chance: random.Random, inputs: int, found: Shortest) -> None:
    """Texts of a topic's YAML."""
    names = ("name", "partitions", "partitions_of", "key", "schema", "config", "other")
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(inputs):
            plain = {"name": "x", "partitions": 4, "config": {"cleanup.policy": "compact"}}
            for _ in range(chance.randrange(3)):
                plain[chance.choice(names)] = chance.choice([s for s in STRANGE if s != "\ud800"])
            if chance.random() < 0.3:
                del plain[chance.choice(list(plain))]
            text = yaml.safe_dump(plain)
            if chance.random() < 0.5:
                place = chance.randrange(len(text))
                text = text[:place] + chance.choice("\t:[]{}&*!|>'\"%@`\x00-\n ") + text[place + 1 :]
            found.offer(way_of_topic(text, Path(folder)), {"value": text})


def way_again(name: str, row: dict[str, Any]) -> str:
    """The way of a row that was kept."""
    if name == "logs":
        return f"{row['kind']} {way_of_log(KINDS[row['kind']], row['value'])}"
    if name == "partials":
        return way_of_partial(row["value"])
    with tempfile.TemporaryDirectory() as folder:
        return way_of_topic(row["value"], Path(folder))


def main() -> None:
    """Add to the three files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    searches: dict[str, tuple[Callable[[random.Random, int, Shortest], None], int]] = {
        "logs": (logs, options.inputs),
        "partials": (partials, options.inputs // 10),
        "topics": (topic_files, options.inputs // 40),
    }
    for name, (search, inputs) in searches.items():
        found = Shortest()
        for row in kept(name):
            found.offer(way_again(name, row), {k: v for k, v in row.items() if k != "way"})
        before = len(found)
        search(random.Random(options.seed), inputs, found)
        keep(name, [{"way": way, **row} for way, row in found.items()])
        print(f"{name}: {inputs:,} inputs, {len(found)} ways, {len(found) - before} of them new")


if __name__ == "__main__":
    main()
