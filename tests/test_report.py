"""The report: its numbers against the oracle through a broker, its three forms, its honesty where nothing is."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import jsonschema
import pytest

from stream_monitor import clients, wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.metric import Metric
from stream_monitor.core.snapshot import HourLine, Range, SeriesSnapshot, Snapshot
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, window_start
from stream_monitor.data import data_dir
from stream_monitor.feed import read_history
from stream_monitor.kinds import KINDS
from stream_monitor.report import report_range
from stream_monitor.report.build import build
from stream_monitor.report.render_csv import render_csv, safe_cell
from stream_monitor.report.render_json import render_json
from stream_monitor.report.render_text import plain, render_text
from tests.workers import wait_for

SCHEMA = json.loads((data_dir("docs") / "reference" / "report.schema.json").read_text())
NOW = 1_705_314_600_000


def prediction(at_ms, latency, labels=("s", "v"), error=False):
    level = b'"ERROR"' if error else b'"INFO"'
    line = b'{"timestamp":%d,"level":%b,"service":"%b","model_version":"%b","latency_ms":%d,"confidence":0.5}'
    return KINDS["ml"].decode(line % (at_ms, level, labels[0].encode(), labels[1].encode(), latency), 0)


def snapshot(*records):
    """A snapshot of predictions, all within the hour before NOW."""
    found = Snapshot(Range(NOW - HOUR_MS, NOW))
    for record in records:
        one = found.series.setdefault(
            ("ml", record.labels), SeriesSnapshot(KINDS["ml"], record.labels, Aggregate.empty(KINDS["ml"]))
        )
        one.whole.fold(KINDS["ml"], record, 0, 0)
        hour = one.hours.setdefault(window_start(record.timestamp_ms, HOUR_MS), HourLine())
        hour.volume, hour.of = hour.volume + 1, hour.of + 1
        one.last_ms = max(one.last_ms or 0, window_start(record.timestamp_ms))
    return found


def test_numbers_by_hand():
    """Latencies 10, 20, 30 and 40 ms, one of them an error: mean 25, error rate 1/4."""
    found = snapshot(*(prediction(NOW - 60_000 * n, 10 * n, error=n == 3) for n in (1, 2, 3, 4)))
    report = build(found, KINDS, (), 1)
    jsonschema.validate(report, SCHEMA)
    ml = report["components"]["ml"]
    assert report["records"] == 4
    assert (ml["errors"], ml["of"], ml["error_rate"]) == (1, 4, 0.25)
    assert ml["measures"]["latency_ms"]["mean"] == 25.0
    assert ml["measures"]["latency_ms"]["max"] == 40.0
    assert ml["volume"] == {
        "unit": "predictions",
        "total": 4.0,
        "per_hour": [{"hour": "2024-01-15T10:00:00Z", "volume": 4.0}],
    }
    assert (ml["active_components"], ml["known_components"]) == (1, 1)
    assert report["components"]["airflow"]["volume"]["total"] is None
    assert report["components"]["kafka"]["error_rate"] is None


def test_an_empty_range_has_no_numbers():
    report = build(Snapshot(Range(0, HOUR_MS)), KINDS, (), 1)
    jsonschema.validate(report, SCHEMA)
    assert report["empty"]
    assert report["records"] is None
    assert all(not section["measures"] and not section["series"] for section in report["components"].values())
    assert "There is no data in this range" in render_text(report)
    assert len(render_csv(report).splitlines()) == 1


def test_a_known_component_that_is_silent_is_named():
    report = build(snapshot(prediction(NOW - 60_000, 1)), KINDS, ("ml:s/v", "ml:other/v1", "airflow:dag"), 1)
    assert report["components"]["ml"]["silent_components"] == ["other/v1"]
    assert report["components"]["airflow"]["silent_components"] == ["dag"]
    assert (report["active_components"], report["known_components"]) == (1, 3)
    assert "other/v1" in render_text(report)


def test_a_component_is_active_for_five_minutes():
    assert build(snapshot(prediction(NOW - 5 * 60_000, 1)), KINDS, (), 1)["active_components"] == 1
    assert build(snapshot(prediction(NOW - 7 * 60_000, 1)), KINDS, (), 1)["active_components"] == 0


@pytest.mark.parametrize("name", ["=cmd()", "a\x1b[31mred\n", "<b>[/]", "🚀" * 50, "\u202eltr", "x" * 10_000])
def test_any_name_is_text_and_fits(name):
    found = snapshot(prediction(NOW - 60_000, 1))
    found.series["ml", ("s", "v")].labels = (name, "v")
    report = build(found, KINDS, (), 1)
    text = render_text(report)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert json.loads(render_json(report)) == report
    rows = list(csv.DictReader(io.StringIO(render_csv(report), newline="")))
    assert rows[0]["entity"] == safe_cell(f"{name}/v")
    assert not rows[0]["entity"].startswith("=")


def test_a_name_is_cut_with_a_mark():
    assert plain("abcdef", 4) == "abc…"
    assert plain("a\tb", 4) == "a�b"


def publish(settings, metrics):
    """Write results as the worker does."""
    producer = clients.producer(settings, **{"linger.ms": 20})
    names = {MINUTE_MS: "metrics.1m", HOUR_MS: "metrics.1h", DAY_MS: "metrics.1d"}
    for metric in metrics:
        series = wire.series_key(metric.kind.name, metric.labels)
        producer.produce(
            settings.topic(names[metric.size_ms]), wire.metric_value(metric, "t"),
            wire.metric_key(series, metric.start_ms), wire.partition_for(series, 4), timestamp=metric.start_ms,
        )  # fmt: skip
    producer.flush()


def test_history_is_read_without_overlap_and_the_newest_revision_wins(embedded, make_settings):
    """Two days by day rows, hours and minutes around them: each prediction counts once."""
    settings = make_settings(embedded)
    now = time.time_ns() // 1_000_000
    today = window_start(now, DAY_MS)
    times = [today - 2 * DAY_MS + n * 7 * MINUTE_MS for n in range((now - today + 2 * DAY_MS) // (7 * MINUTE_MS))]
    windows = {}
    for at in times:
        for size in (MINUTE_MS, HOUR_MS, DAY_MS):
            start = window_start(at, size)
            if start + size <= now:
                whole = windows.setdefault((size, start), Aggregate.empty(KINDS["ml"]))
                whole.fold(KINDS["ml"], prediction(at, 5), 0, 0)
    results = [
        Metric(KINDS["ml"], ("s", "v"), start, size, True, whole) for (size, start), whole in windows.items()
    ]
    stale = [
        Metric(KINDS["ml"], ("s", "v"), start, size, False, Aggregate.empty(KINDS["ml"]))
        for size, start in windows
    ]
    for metric in stale:
        metric.aggregate.fold(KINDS["ml"], prediction(metric.start_ms, 5), 0, 0)
    publish(settings, results + stale)
    for hours in (1, 24, 26, 48):
        within = report_range(now, hours)
        found = read_history(settings, within)
        wanted = sum(within.from_ms <= at < within.to_ms and window_start(at) + MINUTE_MS <= now for at in times)
        (one,) = found.series.values()
        assert one.whole.records == wanted
        assert sum(hour.volume for hour in one.hours.values()) == wanted


def test_unreadable_records_are_counted_and_left_out(embedded, make_settings):
    settings = make_settings(embedded)
    producer = clients.producer(settings)
    for value in (b"", b"{}", b"\xff", b'{"kind":"ml"}'):
        producer.produce(settings.topic("metrics.1m"), value, b"k", 0)
    producer.flush()
    now = time.time_ns() // 1_000_000
    publish(settings, [])
    assert read_history(settings, report_range(now, 1)).unreadable == 4


def test_the_server_repeats_until_it_is_stopped(embedded, make_settings):
    settings = make_settings(embedded)
    command = ["report", "--server", "--interval", "1", "--output", "json", "--hours", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_monitor", *command, "--broker", embedded, "--prefix", settings.prefix],
        stdout=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        assert all(json.loads(line)["empty"] for line in lines)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.stdout.close()


def test_the_server_survives_a_broker_that_goes_away(make_settings, tmp_path):
    from stream_monitor.broker import EmbeddedBroker

    with EmbeddedBroker() as broker:
        settings = make_settings(broker.address)
        place = ["--broker", broker.address, "--prefix", settings.prefix]
        command = ["report", "--server", "--interval", "1", "--output", "json", *place]
        errors = tmp_path / "errors"
        with errors.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "stream_monitor", *command],
                stdout=subprocess.PIPE, stderr=stderr, text=True,
                env={**os.environ, "STREAM_MONITOR_CONNECT_TIMEOUT": "1"},
            )  # fmt: skip
        try:
            assert json.loads(process.stdout.readline())["empty"]
            broker.stop()
            wait_for(lambda: "no Kafka broker answers" in errors.read_text(), 30)
            assert process.poll() is None
        finally:
            process.terminate()
            process.wait(10)
            process.stdout.close()
