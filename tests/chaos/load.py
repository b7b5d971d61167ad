"""The seeded load of a chaos run: three kinds, some late, some far too late, some corrupt, some without a key."""

from __future__ import annotations

import random
from collections.abc import Iterator

import orjson

from bench.load import record
from stream_monitor.recording import Recorded

KINDS = ("airflow", "kafka", "ml")
CORRUPT = (None, b"", b"\xff\xfe", b"{", b"[]", b"42", b'{"timestamp":"yesterday"}', b'{"level":40}', b"{}")


def load(seed: int, records: int, start_ms: int, span_ms: int, series: int = 20) -> Iterator[Recorded]:
    """`records` over `span_ms` of event time, in the order in which they are sent."""
    rng = random.Random(seed)
    for number in range(records):
        now_ms = start_ms + number * span_ms // records
        kind = rng.choices(KINDS, (1, 5, 4))[0]
        luck = rng.random()
        at_ms = now_ms - rng.randrange(2000)
        if luck < 0.03:  # late, and still in time
            at_ms = now_ms - rng.randrange(60_000, 20 * 60_000)
        elif luck < 0.04:  # its window has retired
            at_ms = now_ms - rng.randrange(2 * 3_600_000, 4 * 3_600_000)
        key, log = record(rng, kind, rng.randrange(series), at_ms)
        value = orjson.dumps(log)
        if luck > 0.99:
            value = rng.choice(CORRUPT)
        yield Recorded(f"logs.{kind}", now_ms, value, key if rng.random() < 0.9 else None)
