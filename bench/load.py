"""The seeded load: a mixed backlog of 10 % airflow, 50 % kafka, 40 % ml, lz4, in series of its own number."""

from __future__ import annotations

import random
import time

import orjson

from stream_monitor import clients, topics, wire
from stream_monitor.settings import Settings

PADDING = "".join(random.Random(2).choices("abcdefghijklmnopqrstuvwxyz -_=/:.0123456789", k=8000))
MIX = (("airflow", 0.1), ("kafka", 0.5), ("ml", 0.4))


def record(rng: random.Random, kind: str, series: int, at_ms: int) -> tuple[str, dict]:
    """(key, log) of one record, as the three systems write them (200 to 300 bytes)."""
    stamp = wire.iso(at_ms)
    latency = round(rng.lognormvariate(3.2, 0.5), 1)
    if kind == "airflow":
        dag = f"pipeline_{series}"
        message = f"DAG completed - records_processed={rng.randrange(20000)} duration={latency}"
        return dag, {"timestamp": stamp, "logger": "airflow.processor", "level": "INFO", "message": message,
                     "dag_id": dag, "task_id": "process_data", "run_id": "scheduled__2024-01-15T10:00:00+00:00",
                     "execution_date": "2024-01-15T10:00:00+00:00"}  # fmt: skip
    if kind == "kafka":
        group = f"group-{series}"
        return group, {"timestamp": stamp, "level": "INFO", "name": "kafka.consumer",
                       "consumer_lag": rng.randrange(500), "topic": "events", "partition": rng.randrange(3),
                       "consumer_group": group, "latency_ms": latency, "messages_per_second": 1250}  # fmt: skip
    service = f"ml.predictor-{series}"
    return service, {"timestamp": stamp, "service": service, "level": "ERROR" if rng.random() < 0.01 else "INFO",
                     "model_version": "v1.2.3", "prediction_id": f"pred-{rng.getrandbits(24):06x}",
                     "input_shape": "(1, 224, 224, 3)", "prediction": rng.choice("abc"),
                     "confidence": round(rng.betavariate(12, 2), 3), "latency_ms": latency,
                     "features_hash": "hash123"}  # fmt: skip


def fill(settings: Settings, records: int, series: int, span_s: int, seed: int = 1, *, padding: int = 0) -> None:
    """Make the topics, where they are not, and send the backlog: `records` over the last `span_s` seconds, evenly.

    `padding` is how many bytes of a field that nobody reads each of them carries.
    """
    if not topics.partition_counts(settings):
        topics.apply(settings, replication_factor=1)
    rng = random.Random(seed)
    shares = [(kind, max(1, round(series * share))) for kind, share in MIX]
    kinds = rng.choices(range(3), weights=[share for _, share in MIX], k=records)
    start = time.time_ns() // 1_000_000 - span_s * 1000
    producer = clients.producer(settings, **{"linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    for number, index in enumerate(kinds):
        kind, count = shares[index]
        key, log = record(rng, kind, rng.randrange(count), start + number * span_s * 1000 // records)
        if padding:
            log["context"] = PADDING[number % 997 : number % 997 + padding]
        while True:
            try:
                producer.produce(settings.topic(f"logs.{kind}"), orjson.dumps(log), key)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 10_000 == 0:
            producer.poll(0)
    producer.flush()
