"""The API over fixed data: its numbers are the view's, its errors are problems, its limits hold."""

from __future__ import annotations

import csv
import io
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import orjson
import pytest

from stream_monitor.board.cards import items_of
from stream_monitor.board.name import name_of
from stream_monitor.board.when import When
from stream_monitor.feed import FeedState, FixedFeed
from stream_monitor.web import files, shape
from stream_monitor.web.api import MOST_ROWS
from stream_monitor.web.hub import Hub
from tests.tui import data
from tests.web.serving import client, half_read, served

API = "/api/v1"


@pytest.fixture(scope="module")
def ask():
    with client() as made:

        def get(path, **parameters):
            answer = made.get(f"{API}{path}", params=parameters)
            assert answer.status_code == 200, answer.text
            return answer.json()

        get.raw = made
        yield get


@pytest.fixture(scope="module")
def items():
    return items_of(data.feed().view(When(3_600_000).query(data.NOW)))


def test_the_snapshot_has_the_numbers_of_the_view(ask, items):
    found = ask("/snapshot")
    shape.Snapshot.model_validate(found)
    rows = {row["name"]: row for row in found["series"]}
    assert len(rows) == len(items) == found["components"]
    for item in items:
        row = rows[name_of(*item.key)]
        assert (row["records"], row["errors"], row["of"]) == (
            item.line.sums.records,
            item.line.sums.errors,
            item.line.sums.of,
        )
        assert (row["p50_ms"], row["p95_ms"], row["p99_ms"]) == (item.times or (None, None, None))
        assert row["lag"] == item.lag
    assert [card["title"] for card in found["cards"]][:3] == ["log records", "average latency", "p99 latency"]
    assert found["range"]["resolution"] == "1m"
    assert [alert["rule"] for alert in found["alerts"]] == ["consumer-lag", "error-rate"]


def test_picked_components_are_all_that_counts(ask, items):
    chosen = [item for item in items if item.kind == "ml"][:2]
    found = ask("/snapshot", c=[name_of(*item.key) for item in chosen])
    assert {row["name"] for row in found["series"]} == {name_of(*item.key) for item in chosen}
    assert sum(total["records"] for total in found["totals"]) == sum(item.line.sums.records for item in chosen)
    assert found["components"] == len(items)
    assert len(ask("/components", q="kafka:")["components"]) == sum(item.kind == "kafka" for item in items)


@pytest.mark.parametrize("sort", ["-p99_ms", "p99_ms", "entity", "-status", "lag", "-confidence_mean"])
def test_rows_are_ordered_and_missing_values_come_last(ask, sort):
    column = sort.removeprefix("-")
    page = ask("/series", sort=sort)
    shape.SeriesPage.model_validate(page)
    values = [row[column] for row in page["series"]]
    there = [value for value in values if value is not None]
    assert values == there + [None] * (len(values) - len(there))
    if column != "status":
        assert there == sorted(there, reverse=sort.startswith("-"))
    both = ask("/series", sort=sort, limit=2)["series"] + ask("/series", sort=sort, limit=2, offset=2)["series"]
    assert both == page["series"][:4]


def test_windows_add_up_to_the_series(ask, items):
    found = ask("/windows", kind="ml", limit=10_000)
    shape.Windows.model_validate(found)
    assert found["total"] == len(found["windows"])
    for item in (item for item in items if item.kind == "ml"):
        mine = [window for window in found["windows"] if window["name"] == name_of(*item.key)]
        assert sum(window["records"] for window in mine) == item.line.sums.records
    five = ask("/windows", kind="ml", resolution="5m", limit=10_000)
    assert {window["size_s"] for window in five["windows"]} == {300}
    some = ask("/windows", entity=items[0].entity, limit=3)
    assert len(some["windows"]) == 3 < some["total"]


def test_a_volume_that_nobody_reported_is_missing_and_not_zero(ask):
    rows = {row["name"]: row for row in ask("/snapshot")["series"]}
    assert rows["airflow:etl_orders/"]["volume"] is None
    assert rows["airflow:etl_orders/extract"]["volume"] > 0
    windows = ask("/windows", entity="etl_orders")["windows"]
    assert windows
    assert {window["volume"] for window in windows} == {None}
    alone = ask("/snapshot", c=["airflow:etl_orders/"])
    assert [total["volume"] for total in alone["totals"]] == [None]
    shape.Snapshot.model_validate(alone)
    (volume,) = [
        chart for chart in ask("/charts", c=["airflow:etl_orders/"])["charts"] if chart["name"] == "volume"
    ]
    assert volume["empty"] == "No component has reported a volume."
    for sort in ("volume", "-volume"):
        assert len(ask("/series", sort=sort)["series"]) == len(rows)


def test_a_range_in_the_past(ask):
    found = ask("/snapshot", **{"from": "2024-01-15T09:40:00Z", "to": "2024-01-15T10:00:00Z"})
    assert found["range"]["from"] == "2024-01-15T09:40:00Z"
    assert not found["range"]["live"]
    assert sum(row["records"] for row in found["series"]) > 0
    hours = ask("/snapshot", **{"from": "now-24h"})["range"]
    assert (hours["resolution"], hours["to"]) == ("15m", "2024-01-15T10:30:42Z")


def test_charts_alerts_and_logs(ask):
    found = ask("/charts", theme="dark")
    shape.Charts.model_validate(found)
    assert [chart["name"] for chart in found["charts"]][:4] == ["volume", "latency", "errors", "share"]
    shape.Alerts.model_validate(ask("/alerts"))
    assert [alert["rule"] for alert in ask("/alerts", state="firing")["alerts"]] == ["consumer-lag"]
    logs = ask("/logs")
    shape.Logs.model_validate(logs)
    first = logs["logs"][0]
    excerpt = ask(f"/logs/{first['kind']}/{first['partition']}/{first['offset']}")
    shape.Excerpt.model_validate(excerpt)
    assert first["offset"] in [record["offset"] for record in excerpt["records"]]
    at = found["charts"][0]["figure"]["data"][0]["x"][10]
    step = ask("/logs", at=at)
    assert step["logs"]
    assert all(at <= one["timestamp_ms"] < at + 60_000 for one in step["logs"])
    assert ask("/logs", at=0) == {"total": 0, "logs": []}


def many(count):
    """A window of so many components."""
    record = orjson.loads(next(value for value in data.hour()[0] if b'"kind":"ml"' in value.replace(b": ", b":")))
    for n in range(count):
        yield orjson.dumps(record | {"labels": {**record["labels"], "service": f"service-{n:05}"}})


def test_an_export_is_complete_however_many_rows_there_are(monkeypatch):
    """It comes in pieces: nothing is left out between two, and nothing is there twice."""
    monkeypatch.setattr("stream_monitor.web.api.CSV_ROWS", 7)
    feed = FixedFeed(many(52), clock=lambda: data.NOW)
    with client(feed) as made:
        found = made.get(f"{API}/export.csv", params={"sort": "entity"})
        rows = list(csv.DictReader(io.StringIO(found.text)))
        few = made.get(f"{API}/export.csv", params={"sort": "entity", "limit": "9"}).text
    assert "content-length" not in found.headers
    assert [row["entity"].partition("/")[0] for row in rows] == [f"service-{n:05}" for n in range(52)]
    assert found.text.startswith(few)
    assert few.count("\r\n") == 10


@pytest.mark.slow
def test_an_export_has_more_rows_than_a_page_of_the_api():
    with client(FixedFeed(many(MOST_ROWS + 1), clock=lambda: data.NOW)) as made:
        assert made.get(f"{API}/export.csv").text.count("\r\n") == MOST_ROWS + 2


def test_an_export_of_what_has_not_been_read_is_refused(monkeypatch):
    monkeypatch.setattr(Hub.settled, "__defaults__", (0.0,))
    with client(half_read()) as made:
        answer = made.get(f"{API}/export.csv")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "has not been read to its end" in answer.json()["detail"]


def test_the_csv_is_what_is_shown_and_no_formula(items):
    first = next(item for item in items if item.kind == "ml")
    values = [
        orjson.dumps(record | {"labels": {**record["labels"], "service": "=cmd|' /C calc'!A0"}})
        for record in map(orjson.loads, data.hour()[0])
        if record["kind"] == "ml"
    ]
    with client(FixedFeed(values, clock=lambda: data.NOW)) as made:
        answer = made.get(f"{API}/export.csv", params={"sort": "-records"})
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        shown = made.get(f"{API}/snapshot").json()["series"]
    assert "attachment" in answer.headers["content-disposition"]
    assert [int(row["records"]) for row in rows] == [row["records"] for row in shown]
    assert all(row["entity"].startswith("'=cmd") for row in rows)
    assert first.line.sums.records > 0


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        ({"from": "yesterday-ish"}, "is no time"),
        ({"to": "2031-01-01"}, "is before 1970 or more than a year ahead"),
        ({"from": "now", "to": "now"}, "at least 5 minutes"),
        ({"from": "now-401d"}, "at most 400 days"),
        ({"from": "now-400d", "resolution": "1m"}, "more than 5000 such steps"),
        ({"from": "1000000-01-01"}, "is no time"),
        ({"c": "nosuch:a/b"}, "is not kind:label/label"),
        ({"sort": "name; drop"}, "query.sort"),
        ({"limit": "0"}, "query.limit"),
        ({"q": "x" * 301}, "query.q"),
        ({"c": ["ml:a/b"] * 41}, "query.c"),
        ({"resolution": "2m"}, "query.resolution"),
        ({"form": "now-6h"}, "query.form: there is no such parameter; did you mean from?"),
        ({"From": "now-6h"}, "did you mean from?"),
        ({"zzz": "1"}, "there are sort, limit, from, to, q, c, resolution"),
        ({"<b>" * 200: "1"}, "there is no such parameter"),
        ({"from": ["now-6h", "now-7d"]}, "query.from: it is given more than once"),
    ],
)
def test_what_is_wrong_is_said_as_a_problem(ask, parameters, part):
    answer = ask.raw.get(f"{API}/snapshot", params=parameters)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    shape.Problem.model_validate(found)
    assert part in found["detail"]


def test_every_route_knows_its_parameters(ask):
    for path in ("series", "components", "windows", "alerts", "charts", "board", "export.csv", "logs", "stream"):
        answer = ask.raw.get(f"{API}/{path}", params={"limitt": "3"})
        assert answer.status_code == 422, path
        assert answer.json()["detail"].startswith("query.limitt: there is no such parameter"), path
        assert answer.json()["errors"][0]["where"] == "query.limitt"
    first = ask("/logs")["logs"][0]
    place = f"{API}/logs/{first['kind']}/{first['partition']}/{first['offset']}"
    assert ask.raw.get(place).status_code == 200
    assert "there are none" in ask.raw.get(place, params={"x": "1"}).json()["detail"]


def test_no_error_tells_of_the_server(ask, monkeypatch):
    for path in ("/nothing", "/static/../guard.py", "/static/%2e%2e%2fguard.py", "/static/index.html"):
        answer = ask.raw.get(path)
        assert answer.status_code == 404
        assert answer.json()["status"] == 404
    assert ask.raw.post(f"{API}/snapshot").status_code == 405
    gone = ask.raw.get(f"{API}/logs/ml/77/1")
    assert (gone.status_code, gone.headers["content-type"]) == (404, "application/problem+json")
    monkeypatch.setattr("stream_monitor.web.answer.snapshot", lambda *_: 1 / 0)
    answer = ask.raw.get(f"{API}/snapshot")
    assert answer.status_code == 500
    assert "division" not in answer.text
    assert "/" not in answer.json()["detail"]


def test_what_is_known_is_not_sent_again(ask):
    for path in (f"{API}/alerts", f"{API}/snapshot", "/", "/static/style.css"):
        first = ask.raw.get(path)
        again = ask.raw.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert ask.raw.get(path, headers={"If-None-Match": '"other"'}).content == first.content


def test_a_head_is_an_answer_without_its_body():
    with served() as (address, _):
        for path in ("/", "/healthz", f"{API}/snapshot", f"{API}/export.csv", "/static/style.css"):
            with urlopen(Request(address + path, method="HEAD"), timeout=60) as answer:
                assert (answer.status, answer.read()) == (200, b"")
        with pytest.raises(HTTPError, match="405"):
            urlopen(Request(f"{address}{API}/stream", method="HEAD"), timeout=60)


def test_a_name_that_is_made_up_costs_nothing(ask):
    before = files._static.cache_info().currsize
    for name in ("a" * 300 + ".js", "nothing.js", ".%00", "x.css"):
        assert ask.raw.get(f"/static/{name}").status_code == 404
    assert files._static.cache_info().currsize == before


@pytest.mark.parametrize(
    ("accepts", "encoding"),
    [("gzip, br", "gzip"), ("br, GZIP;q=0.5", "gzip"), ("gzip;q=0", None), ("gzip; q=0.0, br", None), ("", None)],
)
def test_only_who_takes_gzip_gets_it(ask, accepts, encoding):
    answer = ask.raw.get("/static/style.css", headers={"Accept-Encoding": accepts})
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"


def test_plotly_is_kept_for_a_year_under_its_content(ask):
    page = ask.raw.get("/").text
    path = page.partition('src="/static/plotly')[2].partition('"')[0]
    answer = ask.raw.get(f"/static/plotly{path}")
    assert "immutable" in answer.headers["cache-control"]
    assert b"plotly.js v" in answer.content[:200]
    assert ask.raw.get("/static/plotly-0.js").status_code == 404
    assert "{{" not in page


def test_plotly_is_read_once_by_a_browser():
    """The one big function is in brackets; what is not as we know it stays as it is."""
    assert b'(function() {\n"use strict"' in files.plotly().body[:700]
    assert files.plotly().body.endswith(b"})));")
    assert files.eager(b"something else") == b"something else"


def test_health_readiness_and_metrics(ask):
    assert ask.raw.get("/healthz").json() == {"status": "ok"}
    assert ask.raw.get("/readyz").status_code == 200
    text = ask.raw.get("/metrics").text
    assert "stream_monitor_web_feed_live 1.0" in text
    assert "stream_monitor_web_boards_total" in text
    feed = data.feed()
    feed.now = FeedState("lost", data.NOW, "no Kafka broker answers")
    with client(feed) as made:
        assert made.get("/readyz").status_code == 503
        assert "stream_monitor_web_feed_live 0.0" in made.get("/metrics").text
        assert made.get(f"{API}/snapshot").json()["state"]["phase"] == "lost"


def test_openapi_has_examples_and_every_route(ask):
    found = ask.raw.get(f"{API}/openapi.json").json()
    paths = {
        f"{API}/{name}" for name in ("snapshot", "series", "windows", "alerts", "logs", "stream", "export.csv")
    }
    assert paths | {"/healthz", "/readyz", "/metrics"} <= found["paths"].keys()
    assert found["components"]["schemas"]["Series"]["example"]["kind"] == "ml"
    named = {each["name"]: each for each in found["paths"][f"{API}/windows"]["get"]["parameters"]}
    assert named.keys() >= {"from", "to", "kind", "entity", "resolution"}
    assert named["from"]["schema"]["examples"]
