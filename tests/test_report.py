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
from confluent_kafka import KafkaError, KafkaException

from stream_monitor import clients, wire
from stream_monitor import report as room
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.metric import Metric
from stream_monitor.core.snapshot import HourLine, Range, SeriesSnapshot, Snapshot
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, window_start
from stream_monitor.data import data_dir
from stream_monitor.errors import MonitorError, UsageError
from stream_monitor.feed import read_history
from stream_monitor.kinds import KINDS
from stream_monitor.report import report_range
from stream_monitor.report.build import build
from stream_monitor.report.numbers import duration, number, span
from stream_monitor.report.render_csv import render_csv, safe_cell
from stream_monitor.report.render_json import render_json
from stream_monitor.report.render_text import plain, render_text
from stream_monitor.report.spark import spark
from tests.lines import decode, fold_one
from tests.workers import wait_for

SCHEMA = json.loads((data_dir("docs") / "reference" / "report.schema.json").read_text())
NOW = 1_705_314_600_000


def prediction(at_ms, latency, labels=("s", "v"), error=False):
    level = b'"ERROR"' if error else b'"INFO"'
    line = b'{"timestamp":%d,"level":%b,"service":"%b","model_version":"%b","latency_ms":%d,"confidence":0.5}'
    return decode(KINDS["ml"], line % (at_ms, level, labels[0].encode(), labels[1].encode(), latency))


def snapshot(*records):
    """A snapshot of predictions, all within the hour before NOW."""
    found = Snapshot(Range(NOW - HOUR_MS, NOW))
    for record in records:
        labels, at_ms = tuple(column[0] for column in record.labels), int(record.timestamp_ms[0])
        one = found.series.setdefault(
            ("ml", labels), SeriesSnapshot(KINDS["ml"], labels, Aggregate.empty(KINDS["ml"]))
        )
        fold_one(one.whole, KINDS["ml"], record, 0, 0)
        hour = one.hours.setdefault(window_start(at_ms, HOUR_MS), HourLine())
        hour.volume, hour.of = hour.volume + 1, hour.of + 1
        one.last_ms = max(one.last_ms or 0, window_start(at_ms))
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
        "per_hour": [
            {"hour": "2024-01-15T09:00:00Z", "volume": None},
            {"hour": "2024-01-15T10:00:00Z", "volume": 4.0},
        ],
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


def test_every_hour_is_listed_and_an_outage_shows():
    """Predictions in two of five hours: three hours are null, and "an hour" is a fifth."""
    found = snapshot(prediction(NOW - 4 * HOUR_MS, 1), prediction(NOW - 60_000, 1))
    found.range = Range(NOW - 5 * HOUR_MS, NOW)
    report = build(found, KINDS, (), 5)
    jsonschema.validate(report, SCHEMA)
    ml = report["components"]["ml"]
    volumes = [None, 1.0, None, None, None, 1.0]
    assert [hour["volume"] for hour in ml["volume"]["per_hour"]] == volumes
    assert [hour["volume"] for hour in ml["series"][0]["per_hour"]] == volumes
    assert ml["series"][0]["per_hour"][0]["error_rate"] is None
    text = render_text(report)
    assert "  volume      2 predictions, 0.4 an hour\n" in text
    assert "  per hour     █   █\n" in text
    assert " · 5 h\n" in text
    assert render_csv(report).count("ml,s/v") == 7


def test_a_line_of_bars():
    assert spark([None, 0, 1, 7]) == " .▂█"
    assert spark([0, 0]) == ".."
    assert spark([]) == "–"
    assert len(spark([1.0] * 721)) <= 60
    assert spark([4.0, None, 4.0, 4.0], 2) == "▅█"


def test_numbers_for_a_person():
    assert [number(value) for value in (None, 0, 0.004, 0.5, 1234, 999_999_999_999, 1.234e12, 1e15)] == [
        "–", "0", "<0.1", "0.5", "1,234", "999,999,999,999", "1.23e12", "1.00e15",
    ]  # fmt: skip
    assert [duration(ms) for ms in (None, 0, 840, 999.7, 29_200, 59_970, 201_000, 3_599_900, 7_500_000)] == [
        "–", "0 ms", "840 ms", "1.0 s", "29.2 s", "1 min 0 s", "3 min 21 s", "1 h", "2 h 5 min",
    ]  # fmt: skip
    assert [span(seconds) for seconds in (60, 3600, 87_360, 1e18)] == ["1 min", "1 h", "24 h 16 min", "2.78e14 h"]


def of(line, kind="airflow"):
    """A report of one log."""
    record = decode(KINDS[kind], line, NOW - 60_000)
    labels = tuple(column[0] for column in record.labels)
    found = Snapshot(Range(NOW - HOUR_MS, NOW))
    one = SeriesSnapshot(KINDS[kind], labels, Aggregate.empty(KINDS[kind]), last_ms=NOW - 60_000)
    fold_one(one.whole, KINDS[kind], record, 0, 0)
    one.hours[window_start(NOW - 60_000, HOUR_MS)] = HourLine(0.0, 0, 1)
    found.series[kind, labels] = one
    return build(found, KINDS, (), 1)


def test_a_volume_that_nothing_reported_is_a_dash():
    text = render_text(of(b'{"dag_id":"d","duration":201}'))
    assert "  volume      –\n" in text
    assert "0.00 % (0 of 1 runs)" in text
    assert "  duration    mean 3 min 21 s · " in text
    assert text.splitlines()[12].split() == [
        "d",
        "–",
        "0.00",
        "%",
        "3",
        "min",
        "21",
        "s",
        "3",
        "min",
        "21",
        "s",
        "1",
    ]
    text = render_text(of(b'{"consumer_group":"g","topic":"t","latency_ms":3}', "kafka"))
    assert "  volume      –\n" in text
    assert "(0 of 1 reports)" in text
    none = of(b'{"consumer_group":"g","topic":"t","latency_ms":3}', "kafka")["components"]["kafka"]
    assert (none["volume"]["total"], none["series"][0]["volume"]) == (None, None)
    none = of(b'{"dag_id":"d","duration":201}')["components"]["airflow"]
    assert (none["volume"]["total"], none["series"][0]["volume"]) == (None, None)
    assert {hour["volume"] for hour in (*none["volume"]["per_hour"], *none["series"][0]["per_hour"])} == {None}
    assert next(csv.DictReader(io.StringIO(render_csv(of(b'{"dag_id":"d","duration":201}')))))["volume"] == ""
    line = b'{"consumer_group":"g","topic":"t","partition":0,"messages_per_second":0}'
    assert of(line, "kafka")["components"]["kafka"]["volume"]["total"] == 0.0
    assert "  volume      0 messages reported, 0 an hour\n" in render_text(of(line, "kafka"))


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_text_fits_and_its_rules_are_as_wide(width):
    labels = [(f"{'service' * 12}{n}", "v") for n in range(3)]
    report = build(snapshot(*(prediction(NOW - 60_000, 1e9, which) for which in labels)), KINDS, (), 1)
    report["components"]["ml"]["exceptions"] = {"x" * 60 + str(n): 123_456_789 for n in range(9)}
    report["components"]["ml"]["series"][0]["volume"] = 999_999_999_999
    lines = render_text(report, width).splitlines()
    assert max(map(len, lines)) <= width
    rules = {len(line) for line in lines if line.startswith("──")}
    assert rules == {max(len(line) for line in lines[3:])}
    assert any("999,999,999,999" in line for line in lines)


@pytest.mark.parametrize(("height", "rows"), [(100, 20), (30, 10), (24, 4), (21, 1)])
def test_live_it_shows_as_many_rows_as_fit(height, rows):
    labels = [(f"service{n:02}", "v") for n in range(20)]
    three = {kind: KINDS[kind] for kind in ("airflow", "kafka", "ml")}
    report = build(snapshot(*(prediction(NOW - 60_000, 1, which) for which in labels)), three, (), 1)
    text = render_text(report, 80, height)
    assert text.count("\n") == height if rows < 20 else text.count("\n") < height
    assert text.count("  service") == rows
    assert (f"… and {20 - rows} more" in text) == (rows < 20)
    assert render_text(report, 80, 8).count("\n") == 8
    assert "more lines" in render_text(report, 80, 8)


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_the_hint_is_the_last_line_of_every_round(make_settings, monkeypatch):
    """Also of a round that fails, whatever fails; a second signal is not needed."""
    report = build(snapshot(prediction(NOW - 60_000, 1)), KINDS, (), 1)
    rounds = [MonitorError("a"), KafkaException(KafkaError(KafkaError._TRANSPORT)), report]
    screen, errors = Screen(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setenv("LINES", "20")
    monkeypatch.setenv("COLUMNS", "80")

    def read(*_):
        now = rounds.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    monkeypatch.setattr(room, "_read", read)
    settings = make_settings("127.0.0.1:1", apply=False)
    assert room.serve(settings, lambda: not rounds, interval_s=0, hint="Ctrl-C ends it") == 0
    assert len(errors.getvalue().splitlines()) == 2
    shown = screen.getvalue().split("\x1b[2J\x1b[H")
    assert shown[0] == "Ctrl-C ends it\n" * 2
    assert shown[1].splitlines()[-1] == "Ctrl-C ends it"
    assert shown[1].count("\n") < 20
    with pytest.raises(UsageError):
        room.serve(make_settings("nowhere", apply=False), lambda: False)


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
                fold_one(whole, KINDS["ml"], prediction(at, 5), 0, 0)
    results = [
        Metric(KINDS["ml"], ("s", "v"), start, size, True, whole) for (size, start), whole in windows.items()
    ]
    stale = [
        Metric(KINDS["ml"], ("s", "v"), start, size, False, Aggregate.empty(KINDS["ml"]))
        for size, start in windows
    ]
    for metric in stale:
        fold_one(metric.aggregate, KINDS["ml"], prediction(metric.start_ms, 5), 0, 0)
    publish(settings, results + stale)
    for hours in (1, 24, 26, 48):
        within = report_range(now, hours)
        found = read_history(settings, within)
        wanted = sum(within.from_ms <= at < within.to_ms and window_start(at) + MINUTE_MS <= now for at in times)
        (one,) = found.series.values()
        assert one.whole.records == wanted
        assert sum(hour.volume for hour in one.hours.values()) == wanted


def test_a_partition_whose_hours_lag_behind_gives_its_minutes(embedded, make_settings):
    settings = make_settings(embedded)
    now = time.time_ns() // 1_000_000
    hour = window_start(now, HOUR_MS)
    series = [f"s{n}" for n in range(20)]
    ahead = {s for s in series if wire.partition_for(wire.series_key("ml", (s, "v")), 4) != 0}
    assert 0 < len(ahead) < 20
    results = []
    for name in series:
        for back in range(1, 6):
            start = hour - back * HOUR_MS
            whole = Aggregate.empty(KINDS["ml"])
            fold_one(whole, KINDS["ml"], prediction(start, 5, (name, "v")), 0, 0)
            sizes = (MINUTE_MS, HOUR_MS) if name in ahead or back > 3 else (MINUTE_MS,)
            results += [Metric(KINDS["ml"], (name, "v"), start, size, True, whole) for size in sizes]
    publish(settings, results)
    found = read_history(settings, Range(hour - 5 * HOUR_MS, now))
    assert {one.labels[0]: one.whole.records for one in found.series.values()} == dict.fromkeys(series, 5)


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


@pytest.mark.broker
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
