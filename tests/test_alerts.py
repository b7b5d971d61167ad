"""The alert agent on Apache Kafka: the example day's incidents, with and without a worker killed in the middle."""

from __future__ import annotations

import json
import signal
import time

import jsonschema

from stream_monitor import offsets, recording
from stream_monitor.data import data_dir
from tests.alerts import winning
from tests.expected import FIXTURES
from tests.test_worker import TOTAL, send, yesterday_ms
from tests.workers import WorkerProcess, committed, everything, wait_for, wait_settled

EXPECTED = [
    ("ConsumerFallingBehind", "event-processor/events"),
    ("ModelUnsure", "ml.predictor/v1.3.0"),
    ("TaskFailing", "etl_orders/transform"),
    ("TaskSlow", "etl_orders/transform"),
]
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((data_dir("topics") / "alerts.schema.json").read_text()), format_checker=jsonschema.FormatChecker()
)


def judged(settings):
    """What the alerts topic comes to, when the workers have judged every closed minute; by key."""
    records = everything(settings, "alerts")
    for _, value in records:
        SCHEMA.validate(json.loads(value))
    return winning(records)


def wait_judged(settings, worker):
    wait_settled(settings, 90, worker)
    time.sleep(2)  # what closes now is published at the next tick
    upto = offsets.ends(settings, ("metrics.1m",))
    wait_for(lambda: offsets.behind(settings, upto) == 0, 60, worker)


def day(shift_ms):
    records = [record for path in FIXTURES for record in recording.read(path)]
    records.sort(key=lambda record: record.timestamp_ms)
    assert len(records) == TOTAL
    return records, shift_ms


def test_a_worker_killed_in_the_middle_of_the_incidents_changes_nothing(kafka, make_settings, tmp_path):
    records, shift_ms = day(yesterday_ms())
    found = {}
    for kills in (False, True):
        settings = make_settings(kafka)
        worker = WorkerProcess(settings, tmp_path / f"kills-{kills}")
        try:
            for hour in range(0, 24, 3):
                until = (hour + 3) * 3_600_000 + 1_705_276_800_000
                part = [r for r in records if until - 3 * 3_600_000 <= r.timestamp_ms < until]
                send(settings, part, shift_ms)
                if kills and hour in (6, 12, 18):  # the quarter with an incident: it is firing, and not over
                    before = committed(settings, "metrics.1m")
                    wait_for(lambda: committed(settings, "metrics.1m") > before, 60, worker)  # noqa: B023
                    worker.stop(signal.SIGKILL)
                    worker = WorkerProcess(settings, tmp_path / f"kills-{kills}")
            send(settings, [r for r in records if r.timestamp_ms >= 24 * 3_600_000 + 1_705_276_800_000], shift_ms)
            wait_judged(settings, worker)
            assert worker.stop() == 0
        finally:
            worker.stop(signal.SIGKILL)
        found[kills] = judged(settings)
    assert found[True] == found[False]
    assert sorted((alert.rule, alert.entity) for alert in found[True].values()) == EXPECTED
    assert {alert.state for alert in found[True].values()} == {"resolved"}
