"""The alert agent in a worker: an alert is published once, a restart neither forgets it nor fires it again."""

from __future__ import annotations

import json
import signal
import time
import urllib.request

import jsonschema

from stream_monitor.broker import free_port
from stream_monitor.data import data_dir
from stream_monitor.recording import Recorded
from tests.alerts import winning
from tests.test_worker import send
from tests.workers import WorkerProcess, everything, wait_for

SCHEMA = json.loads((data_dir("topics") / "alerts.schema.json").read_text())


def unsure(at_ms, confidence):
    value = b'{"timestamp":%d,"service":"s","model_version":"v","latency_ms":5,"confidence":%g}' % (
        at_ms,
        confidence,
    )
    return [Recorded("logs.ml", at_ms, value, None, partition) for partition in range(4)] * 5


def test_it_fires_once_and_ends_once_also_over_a_restart(embedded, make_settings):
    settings = make_settings(embedded, http_port=free_port())
    start = time.time_ns() // 60_000_000_000 * 60_000 - 3_600_000
    with WorkerProcess(settings) as worker:
        send(settings, unsure(start, 0.3))
        wait_for(lambda: len(everything(settings, "alerts")) == 1, 60, worker)
        (alert,) = winning(everything(settings, "alerts")).values()
        assert (alert.rule, alert.entity, alert.state) == ("ModelUnsure", "s/v", "firing")
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.http_port}/metrics", timeout=5) as page:
            text = page.read().decode()
        assert 'stream_monitor_alerts{entity="s/v",kind="ml",rule="ModelUnsure",severity="warning"} 1.0' in text
        assert 'stream_monitor_ml_records_total{model_version="v",service="s"} 20.0' in text
        time.sleep(2)  # a checkpoint, so that the restart finds it
        assert worker.stop(signal.SIGTERM) == 0
    with WorkerProcess(settings) as worker:
        send(settings, unsure(start + 20 * 60_000, 0.95))
        wait_for(lambda: len(everything(settings, "alerts")) == 2, 60, worker)
    records = everything(settings, "alerts")
    for _, value in records:
        jsonschema.validate(json.loads(value), SCHEMA)
    (alert,) = winning(records).values()
    assert alert.state == "resolved"  # by the new data, or for want of data: the wall clock may have come first
