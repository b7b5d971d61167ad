"""10,000 series and 50 rules: what a tick costs the rule engine, by how many series have changed.

    python -m bench.alerts

A tick is a closed minute of each series that has changed: a metrics record in, decoded, judged.
"""

from __future__ import annotations

import time

import numpy as np

from stream_monitor import wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.distribution import Histogram, Linear
from stream_monitor.core.judge import Judge
from stream_monitor.core.metric import Metric
from stream_monitor.core.rule import Absent, BurnRate, Rule, Threshold, Tier
from stream_monitor.core.window import HOUR_MS, MINUTE_MS
from stream_monitor.kinds import KINDS

SERIES, RULES = 10_000, 50
STATS = ("p50", "p95", "p99", "max")
START = 1_705_276_800_000


def rules() -> list[Rule]:
    """Fifty, all about every series: of every sort of condition some."""
    tiers = (
        Tier(HOUR_MS, 5 * MINUTE_MS, 14.4, "critical"),
        Tier(6 * HOUR_MS, 30 * MINUTE_MS, 6, "critical"),
        Tier(72 * HOUR_MS, 6 * HOUR_MS, 1, "warning"),
    )
    conditions = [
        *(
            Threshold(f"latency_ms.{stat}", above=1000 + n)
            for n in range(6)
            for stat in ("p50", "p95", "p99", "max")
        ),
        *(Threshold("error_rate", above=0.5, over_ms=n * MINUTE_MS) for n in range(1, 9)),
        *(Threshold("latency_ms.mean", above=900, over_ms=n * MINUTE_MS) for n in range(1, 7)),
        *(Threshold("latency_ms.mean", above=3, usual_ms=n * HOUR_MS) for n in (6, 12, 24)),
        *(Threshold("confidence.mean", below=0.2, over_ms=n * MINUTE_MS) for n in range(1, 4)),
        *(BurnRate(objective, tiers, least_errors=5) for objective in (0.9, 0.99)),
        Threshold("classes.drift", above=0.1),
        Threshold("confidence.drift", above=0.1),
        Absent(None),
        Absent(HOUR_MS),
    ]
    assert len(conditions) == RULES
    return [Rule(f"R{n}", condition, kind="ml") for n, condition in enumerate(conditions)]


def record(series: int, minute: int, rng: np.random.Generator) -> tuple[bytes, bytes]:
    """(series key, value) of a minute with 20 predictions."""
    whole = Aggregate.empty(KINDS["ml"])
    whole.records = whole.of = 20
    values = rng.lognormal(3, 0.4, 20), rng.beta(14, 1.4, 20)
    for measure, family, column in zip(whole.measures, (Histogram, Linear), values, strict=True):
        buckets, times = np.unique(family.buckets(column), return_counts=True)
        measure.take(
            buckets.tolist(), times.tolist(), round(column.sum() * 1e6), float(column.min()), float(column.max())
        )
    whole.classes = {"a": 10, "b": 10}
    labels = (f"service-{series}", "v1")
    metric = Metric(KINDS["ml"], labels, START + minute * MINUTE_MS, MINUTE_MS, True, whole)
    return wire.series_key("ml", labels), wire.metric_value(metric, "logs.ml")


def tick(judge: Judge, records: list[tuple[bytes, bytes]]) -> float:
    """Seconds for a tick of these records."""
    began = time.perf_counter()
    for key, value in records:
        minute = wire.observed(value)
        judge.take(key, minute.label_values, minute)
    return time.perf_counter() - began


def main() -> None:
    """Fill some history, then measure."""
    rng, judge = np.random.default_rng(1), Judge(rules(), KINDS)
    one = [record(series, 0, rng) for series in range(SERIES)]
    for minute in range(12):
        start = wire.iso_second(START + minute * MINUTE_MS).encode()
        judged = [(key, value.replace(wire.iso_second(START).encode(), start)) for key, value in one]
        tick(judge, judged)
    print(f"{SERIES:,} series, {RULES} rules about each, twelve minutes of history")
    minute = 12
    for changed in (SERIES, SERIES // 2, SERIES // 10, SERIES // 100, 1):
        times = []
        for _ in range(5):
            start = wire.iso_second(START + minute * MINUTE_MS).encode()
            judged = [(k, v.replace(wire.iso_second(START).encode(), start)) for k, v in one[:changed]]
            times.append(tick(judge, judged))
            minute += 1
        taken_s = sorted(times)[2]
        print(
            f"{changed:>7,} changed: {taken_s * 1000:8.1f} ms, {taken_s / changed * 1e6:6.1f} µs each", flush=True
        )


if __name__ == "__main__":
    main()
