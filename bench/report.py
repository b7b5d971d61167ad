"""How long `report --hours 720` takes over thirty days of 100 series, as its user waits for it: the whole process.

python -m bench.report
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from datetime import date

from stream_monitor import clients, topics, wire
from stream_monitor.core.aggregate import Aggregate, merged
from stream_monitor.core.metric import Metric
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, window_start
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.testing import brokers
from tests.lines import decode, fold_one

SERIES = [("airflow", (f"dag{n}", "t")) for n in range(20)]
SERIES += [("kafka", (f"group{n}", "events")) for n in range(40)]
SERIES += [("ml", (f"service{n}", "v1")) for n in range(40)]
LOG = {
    "airflow": b'{"timestamp":%d,"dag_id":"d","duration":%.1f,"records_processed":500}',
    "kafka": b'{"timestamp":%d,"consumer_group":"g","topic":"t","partition":0,"consumer_lag":5,"latency_ms":%.1f,'
    b'"messages_per_second":100}',
    "ml": b'{"timestamp":%d,"service":"s","model_version":"v","confidence":0.9,"prediction":"a",'
    b'"latency_ms":%.1f}',
}
WINDOWS = ((DAY_MS, "metrics.1d", 30), (HOUR_MS, "metrics.1h", 30 * 24), (MINUTE_MS, "metrics.1m", 3 * 1440))


def hour(kind: str, at_ms: int, rng: random.Random) -> Aggregate:
    """An hour of one record a minute."""
    whole = Aggregate.empty(KINDS[kind])
    for minute in range(60):
        line = LOG[kind] % (at_ms + minute * MINUTE_MS, rng.lognormvariate(3, 0.6))
        fold_one(whole, KINDS[kind], decode(KINDS[kind], line), 0, minute)
    whole.settle()
    return whole


def fill(settings: Settings) -> int:
    """Thirty days of day and hour rows, three of minutes; every row of a size has the same numbers."""
    topics.apply(settings, replication_factor=1)
    rng, now = random.Random(1), time.time_ns() // 1_000_000
    producer = clients.producer(settings, **{"linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    sent = 0
    made = []
    for kind, labels in SERIES:
        one = hour(kind, 1_705_314_600_000, rng)
        sizes = {MINUTE_MS: one, HOUR_MS: one, DAY_MS: merged(KINDS[kind], [one] * 24)}
        made.append((KINDS[kind], labels, wire.series_key(kind, labels), sizes))
    for size_ms, name, count in WINDOWS:
        end = window_start(now, size_ms)
        for start in range(end - count * size_ms, end, size_ms):
            for kind, labels, series, sizes in made:
                value = wire.metric_value(Metric(kind, labels, start, size_ms, True, sizes[size_ms]), "t")
                key, place = wire.metric_key(series, start), wire.partition_for(series, 4)
                producer.produce(settings.topic(name), value, key, place, timestamp=start)
                sent += 1
            producer.poll(0.001)
    producer.flush()
    return sent


def main() -> None:
    with brokers.kafka() as address:
        settings = Settings(broker=address, prefix="reportbench")
        print(f"{fill(settings):,} results of {len(SERIES)} series in Kafka")
        command = [
            sys.executable,
            "-m",
            "stream_monitor",
            "report",
            "--broker",
            address,
            "--prefix",
            "reportbench",
        ]
        for hours in ("24", "720"):
            seconds = []
            for _ in range(5):
                begun = time.monotonic()
                done = subprocess.run([*command, "--hours", hours], check=True, capture_output=True, text=True)
                seconds.append(time.monotonic() - begun)
            print(f"{date.today()} report --hours {hours}: median {statistics.median(seconds):.2f} s of "
                  f"{', '.join(f'{s:.2f}' for s in seconds)}; {done.stdout.splitlines()[2]}")  # fmt: skip


if __name__ == "__main__":
    main()
