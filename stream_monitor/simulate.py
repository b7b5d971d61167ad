"""A plausible pipeline: Airflow, Kafka consumers and ML services that log, with a daily rhythm and incidents.

Seeded, and a function of time: the records of a minute are the same whenever and however often they are asked
for. `SimulatedPipeline` makes them, `simulate` sends them as time goes by. The fixtures are made of it, too.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from stream_monitor import wire
from stream_monitor.errors import UsageError
from stream_monitor.recording import MINUTE_MS, Recorded
from stream_monitor.replay import Sender
from stream_monitor.settings import Settings

INCIDENTS = ("airflow-failures", "consumer-lag", "model-drift")

_DAGS = {
    "data_processing_pipeline": {"process_data": 45.0},
    "etl_orders": {"extract": 20.0, "transform": 60.0, "load": 30.0},
    "daily_report": {"collect": 15.0, "render": 8.0},
    "feature_store": {"extract_features": 90.0, "validate": 12.0, "publish": 25.0},
}
_GROUPS = {
    "order-processor": ("orders", "payments"),
    "event-processor": ("events", "clicks"),
    "audit-sink": ("audit",),
}
_SERVICES = {
    "ml.predictor": ("v1.2.3", 45.0, ("class_a", "class_b", "class_c")),
    "ml.ranker": ("v7.0.0", 18.0, ("top", "middle", "bottom")),
    "ml.fraud": ("v2.0.1", 30.0, ("legit", "suspect")),
}
_TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "transform.py", line 88, in run\n    rows = read(connection)\n{}: {}'
)
_FAILURES = (
    ("psycopg2.OperationalError", "connection lost"),
    ("TimeoutError", "no answer in 300 s"),
    ("KeyError", "'id'"),
)


class Incident(NamedTuple):
    """Something that goes wrong from `from_ms` until `to_ms`."""

    name: str
    from_ms: int
    to_ms: int

    def depth(self, at_ms: int) -> float:
        """How bad it is: 0 outside, rising over two thirds of its time, falling over the last."""
        if not self.from_ms <= at_ms < self.to_ms:
            return 0.0
        part = (at_ms - self.from_ms) / (self.to_ms - self.from_ms)
        return min(1.0, part * 1.5) if part < 2 / 3 else (1 - part) * 3


@dataclass(frozen=True)
class SimulatedPipeline:
    """The pipeline. `per_minute` is how many records of each kind a minute has at noon."""

    seed: int = 1
    per_minute: tuple[float, float, float] = (10.0, 50.0, 40.0)
    incidents: tuple[Incident, ...] = ()

    def minute(self, start_ms: int) -> list[Recorded]:
        """The records that were logged in the minute, by the time they reached Kafka."""
        rng = random.Random(f"{self.seed}:{start_ms}")  # noqa: S311  (a simulation, no secret)
        records = []
        for make, rate in zip((self._airflow, self._kafka, self._ml), self.per_minute, strict=True):
            expected = rate * rhythm(start_ms)
            times = int(expected) + (rng.random() < expected % 1)
            moments = sorted(start_ms + rng.randrange(MINUTE_MS) for _ in range(times))
            records += [_record(*make(rng, at), at, at + rng.randrange(20, 4000)) for at in moments]
        return sorted(records, key=lambda record: record.timestamp_ms)

    def _depth(self, name: str, at_ms: int) -> float:
        return max((incident.depth(at_ms) for incident in self.incidents if incident.name == name), default=0.0)

    def _airflow(self, rng: random.Random, at: int) -> tuple[str, str, dict[str, Any]]:
        dag = rng.choice(list(_DAGS))
        task, usual = rng.choice(list(_DAGS[dag].items()))
        depth = self._depth("airflow-failures", at)
        if depth and rng.random() < 0.35:  # its retries
            dag, task, usual = "etl_orders", "transform", _DAGS["etl_orders"]["transform"]
        depth = depth if (dag, task) == ("etl_orders", "transform") else 0.0
        log: dict[str, Any] = {"logger": "airflow.processor", "level": "INFO", "dag_id": dag, "task_id": task}
        log["run_id"] = f"scheduled__{wire.iso_second(at - at % 3_600_000)[:-1]}+00:00"
        duration = round(usual * (1 + 4 * depth) * rng.lognormvariate(0, 0.25), 1)
        shape = rng.random()
        if rng.random() < 0.004 + 0.7 * depth:
            name, text = rng.choice(_FAILURES)
            log |= {"level": "ERROR", "message": f"Task failed - duration={duration} state=up_for_retry"}
            log["exc_text"] = _TRACEBACK.format(name, text)
        elif shape < 0.12:
            log["message"] = "Task started"
        elif shape < 0.32:
            log |= {
                "message": "Task completed",
                "duration": duration,
                "records_processed": rng.randrange(100, 20000),
            }
            log["state"] = "success"
        elif shape < 0.37:
            del log["task_id"]
            log["message"] = f"DAG run marked state=success duration={round(duration * 3, 1)}"
        else:
            done = rng.randrange(100, 20000)
            log["message"] = f"DAG completed - records_processed={done} duration={duration}"
        return "airflow", dag, log

    def _kafka(self, rng: random.Random, at: int) -> tuple[str, str, dict[str, Any]]:
        group = rng.choice(list(_GROUPS))
        topic = rng.choice(_GROUPS[group])
        depth = self._depth("consumer-lag", at) if (group, topic) == ("event-processor", "events") else 0.0
        log: dict[str, Any] = {"level": "INFO", "name": "kafka.consumer", "topic": topic, "consumer_group": group}
        log["partition"] = rng.randrange(3)
        if rng.random() < 0.002 + 0.1 * depth:
            return (
                "kafka",
                group,
                log
                | {
                    "level": "ERROR",
                    "message": "commit failed: the group is rebalancing",
                    "exc_type": rng.choice(("CommitFailedError", "RebalanceInProgressError")),
                },
            )
        log["consumer_lag"] = int(rng.lognormvariate(4, 0.6) + depth * 75_000)
        log["latency_ms"] = round(rng.lognormvariate(3.1, 0.4) * (1 + 6 * depth), 1)
        log["messages_per_second"] = round(900 * rhythm(at) * rng.uniform(0.9, 1.1) * (1 - 0.7 * depth), 1)
        return "kafka", group, log

    def _ml(self, rng: random.Random, at: int) -> tuple[str, str, dict[str, Any]]:
        service = rng.choice(list(_SERVICES))
        version, usual, classes = _SERVICES[service]
        depth = self._depth("model-drift", at) if service == "ml.predictor" else 0.0
        drifting = depth > 0 and rng.random() < 0.8
        if drifting:
            version, usual = "v1.3.0", usual * 3
        log: dict[str, Any] = {"service": service, "level": "INFO", "model_version": version}
        log["prediction_id"] = f"pred-{rng.getrandbits(32):08x}"
        log["latency_ms"] = round(usual * rng.lognormvariate(0, 0.35), 1)
        if rng.random() < (0.05 if drifting else 0.002):
            return "ml", service, log | {"level": "ERROR", "error.type": "InferenceError"}
        log["prediction"] = classes[0] if drifting and rng.random() < 0.85 else rng.choice(classes)
        log["confidence"] = round(rng.betavariate(3, 3) if drifting else rng.betavariate(14, 1.4), 3)
        log["features_hash"] = f"{rng.getrandbits(32):08x}"
        return "ml", service, log


def rhythm(at_ms: int) -> float:
    """How busy a time of day is: 1 at noon UTC, 0.3 at midnight."""
    return 0.65 - 0.35 * math.cos(2 * math.pi * (at_ms % 86_400_000) / 86_400_000)


def _record(kind: str, key: str, log: dict[str, Any], at: int, shipped: int) -> Recorded:
    value = orjson.dumps({"timestamp": wire.iso(at), **log})
    return Recorded(f"logs.{kind}", shipped, value, key, crc32(key.encode()) % 4, (("ce_type", f"log.{kind}"),))


def check_incident(incident: str | None) -> None:
    """Raises UsageError for one that is unknown."""
    if incident is not None and incident not in INCIDENTS:
        raise UsageError(f"no incident {incident!r}; there are: {', '.join(INCIDENTS)}")


def simulate(
    settings: Settings,
    *,
    rate: float = 50.0,
    seed: int = 1,
    incident: str | None = None,
    seconds: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Send `rate` records a second (at noon) stamped now, for `seconds` or until `stopped()`; returns how many.

    An incident begins at once and lasts ten minutes. Raises UsageError for one that is unknown.
    """
    check_incident(incident)
    now = _now_ms()
    incidents = (Incident(incident, now, now + 10 * MINUTE_MS),) if incident else ()
    pipeline = SimulatedPipeline(seed, (rate * 6, rate * 30, rate * 24), incidents)
    minute = lru_cache(maxsize=4)(pipeline.minute)
    sender = Sender(settings, stopped=stopped)
    end = None if seconds is None else now + seconds * 1000
    sent_until, done = now, False
    while not done:
        time.sleep(0.1)
        until = _now_ms()
        done = stopped() or (end is not None and until >= end)
        for start_ms in range((sent_until // MINUTE_MS - 1) * MINUTE_MS, until, MINUTE_MS):
            for record in minute(start_ms):
                if sent_until <= record.timestamp_ms < until:
                    sender.send(record)
        sent_until = until
        sender.poll()
    sender.close()
    return sender.sent


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
