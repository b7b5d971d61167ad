"""The example day on Apache Kafka, the worker killed in the middle of each incident: `make incidents`."""

from __future__ import annotations

import json
import signal
import time

import jsonschema

from stream_monitor import offsets, recording, rules, wire
from stream_monitor.core.judge import Judge
from stream_monitor.core.window import DAY_MS, HOUR_MS
from stream_monitor.data import data_dir
from stream_monitor.kinds import KINDS
from tests.alerts import day, winning
from tests.expected import FIXTURES
from tests.test_worker import DAY, TOTAL, send
from tests.workers import WorkerProcess, everything, wait_for, wait_settled

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((data_dir("topics") / "alerts.schema.json").read_text()), format_checker=jsonschema.FormatChecker()
)


def judged(settings):
    """What the alerts topic comes to, when the workers have judged every closed minute; by key."""
    records = everything(settings, "alerts")
    for _, value in records:
        SCHEMA.validate(json.loads(value))
    return winning(records)


def incidents(settings):
    """The same without silences: the day has ended, and the wall clock goes on."""
    return {key: alert for key, alert in judged(settings).items() if not alert.rule.endswith("Silent")}


def wait_judged(settings, worker):
    wait_settled(settings, 90, worker)
    time.sleep(2)  # what closes now is published at the next tick
    upto = offsets.ends(settings, ("metrics.1m",))
    wait_for(lambda: offsets.behind(settings, upto) == 0, 60, worker)


def ends_now_ms():
    """By how much the day is moved to end within the last hour: whole hours, so that hours stay hours."""
    return (time.time_ns() // 1_000_000 - DAY - DAY_MS) // HOUR_MS * HOUR_MS


def undisturbed(shift_ms):
    """What the engine says of the day's minutes, without a broker; by key."""
    judge, found = Judge(rules.load(None).rules, KINDS), []
    for value in day():
        minute = wire.observed(value)
        found += judge.take(wire.series_key(minute.kind, minute.label_values), minute.label_values, minute)
    moved = [t._replace(since_ms=t.since_ms + shift_ms, at_ms=t.at_ms + shift_ms) for t in found]
    records = [wire.alert_record(transition, KINDS[transition.kind]) for transition in moved]
    return winning((record.key, wire.alert_out(record)) for record in records)


def test_a_worker_killed_in_the_middle_of_each_incident_changes_nothing(kafka, make_settings):
    """A day in twenty seconds, as a live one would come; killed at 09:20, 14:20 and 19:30 of it."""
    settings, shift_ms = make_settings(kafka), ends_now_ms()
    records = [record for path in FIXTURES for record in recording.read(path)]
    records.sort(key=lambda record: record.timestamp_ms)
    assert len(records) == TOTAL
    kills = [(DAY + minutes * 60_000) for minutes in (560, 860, 1170)]
    worker = WorkerProcess(settings, STREAM_MONITOR_IDLE_AFTER="5")
    try:
        for part in range(0, TOTAL, TOTAL // 100):
            send(settings, records[part : part + TOTAL // 100], shift_ms)
            time.sleep(0.1)
            if kills and records[part].timestamp_ms > kills[0]:
                kills.pop(0)
                worker.stop(signal.SIGKILL)
                worker = WorkerProcess(settings, STREAM_MONITOR_IDLE_AFTER="5")
        wait_judged(settings, worker)
        wait_for(lambda: all(alert.state == "resolved" for alert in incidents(settings).values()), 60, worker)
    finally:
        worker.stop(signal.SIGKILL)
    assert not kills
    found = incidents(settings)
    assert found == undisturbed(shift_ms)
    assert sorted((alert.rule, alert.entity, alert.state) for alert in found.values()) == [
        ("ConsumerFallingBehind", "event-processor/events", "resolved"),
        ("ModelUnsure", "ml.predictor/v1.3.0", "resolved"),
        ("TaskFailing", "etl_orders/transform", "resolved"),
        ("TaskSlow", "etl_orders/transform", "resolved"),
    ]
