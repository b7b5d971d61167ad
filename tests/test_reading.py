"""The public API and the HTML report through a broker: their numbers, and what a hostile name becomes."""

from __future__ import annotations

import sys

import orjson
import pytest

import stream_monitor
from stream_monitor import report
from stream_monitor.cli import run
from stream_monitor.core.window import MINUTE_MS
from stream_monitor.errors import BrokerUnavailableError, UsageError
from stream_monitor.reading import look, read
from stream_monitor.settings import Settings
from tests.test_feed import now_ms, pipeline_until, publish
from tests.tui.data import values_of

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture
def settings(embedded, make_settings):
    made, now = make_settings(embedded), now_ms()
    windows = pipeline_until(now, 0.9)
    renamed = {
        (kind, (HOSTILE, *labels[1:]) if labels[0] == "daily_report" else labels, start): whole
        for (kind, labels, start), whole in windows.items()
    }
    publish(made, values_of(renamed, now_ms=now))
    return made, windows


def test_a_row_for_each_window(settings, monkeypatch):
    made, windows = settings
    monkeypatch.setitem(sys.modules, "pandas", None)
    rows = stream_monitor.read(hours=1, settings=made)
    assert len(rows) == len(windows)
    assert sum(row["records"] for row in rows) == sum(whole.records for whole in windows.values())
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    ml = read(hours=1, component="ml", settings=made)
    assert {row["kind"] for row in ml} == {"ml"}
    assert all(row["time"].timestamp() * 1000 % MINUTE_MS == 0 for row in ml)
    one = look(1, settings=made, names=[ml[0]["name"]])
    assert [row["name"] for row in one.rows()] == [ml[0]["name"]]
    assert one.view.totals["ml"].sums.records == sum(r["records"] for r in ml if r["name"] == ml[0]["name"])


def test_the_html_report_is_one_file_in_which_a_log_is_text(settings, capsys):
    made, windows = settings
    report.run(made, hours=1, output="html")
    text = capsys.readouterr().out
    assert text.startswith("<!doctype html>")
    assert HOSTILE not in text
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text
    assert "src=" not in text.split("<script>", 1)[0].replace("img src=x", "")
    charts = text.partition('id="charts">')[2].partition("</script>")[0]
    drawn = {chart["name"]: chart["figure"] for chart in orjson.loads(charts)}
    assert {"volume", "latency", "errors", "share", "lag", "confidence"} <= drawn.keys()
    assert sum(drawn["share"]["data"][0]["values"]) == sum(whole.records for whole in windows.values())
    assert "plotly.js v" in text


def test_wrong_use():
    for wrong in ({"hours": 0}, {"hours": 1e9}, {"component": "nosuch"}, {"names": ["nonsense"]}):
        with pytest.raises(UsageError):
            look(**wrong)
    away = Settings(broker="127.0.0.1:1", connect_timeout=0.2)
    with pytest.raises(BrokerUnavailableError):
        look(settings=away)
    assert run(["report", "--output", "html", "--server"]) == 2
