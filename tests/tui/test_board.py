"""A view as cards, rows and lists: the numbers are the windows' own; who lags, fails or is silent is seen."""

from __future__ import annotations

import pytest

from stream_monitor import wire
from stream_monitor.board.cards import alerts_of, cards_of, items_of
from stream_monitor.board.places import logs_of
from stream_monitor.board.steps import latency_lines, latency_steps, merged_steps
from stream_monitor.board.when import When
from stream_monitor.core.aggregate import merged
from stream_monitor.core.snapshot import Range
from stream_monitor.core.view import Query, words_of
from stream_monitor.core.window import HOUR_MS, MINUTE_MS, window_start
from stream_monitor.feed.store import warm
from stream_monitor.kinds import KINDS
from stream_monitor.tui.compute import Wish, compute
from stream_monitor.tui.order import Orders
from tests.tui.data import NOW, feed, hour

QUERY = Query(Range(window_start(NOW - HOUR_MS), NOW), MINUTE_MS)
LAGS = ("kafka", ("event-processor", "events"))


def metrics(kind):
    return [found for value in hour()[0] if (found := wire.metric_from(value, KINDS)).kind.name == kind]


def test_totals_are_the_merge_of_all_windows():
    view = feed().view(QUERY)
    for kind in ("airflow", "kafka", "ml"):
        assert view.totals[kind].whole == merged(KINDS[kind], [metric.aggregate for metric in metrics(kind)])


def test_latency_is_that_of_streams_and_models():
    view = feed().view(QUERY)
    for _ in warm(list(view.totals.values())):
        pass
    steps = merged_steps(latency_steps(latency_lines(view)))
    by_hand = merged(KINDS["ml"], [m.aggregate for m in metrics("ml")]).measures[0]
    by_hand.merge(merged(KINDS["kafka"], [m.aggregate for m in metrics("kafka")]).measures[0])
    assert steps == by_hand
    cards = {card.title: card for card in cards_of(view, items_of(view), [], ())}
    assert cards["p99 latency"].said == f"p50 {by_hand.quantile(0.5):.0f}ms"
    assert cards["log records"].value == "6.9k"


def test_known_components_that_are_silent_are_counted():
    view = feed().view(QUERY)
    known = ("ml:ml.fraud/v2.0.1", "ml:never/seen")
    active = next(card for card in cards_of(view, items_of(view), [], known) if card.title == "active")
    assert (active.value, active.said, active.level) == ("1/2", "1 silent", "warning")


def test_who_lags_is_seen_while_it_lags_and_not_after():
    then = feed().view(Query(Range(window_start(NOW - HOUR_MS), NOW - 15 * MINUTE_MS), MINUTE_MS, live=False))
    now = feed().view(QUERY)
    status = {
        (when, item.key): item.status.level for when, v in (("then", then), ("now", now)) for item in items_of(v)
    }
    assert status["then", LAGS] == "lagging"
    assert status["now", LAGS] == "ok"
    item = next(item for item in items_of(now) if item.key == LAGS)
    gauge = item.line.whole.gauges[0]
    assert item.lag == sum(value[1] for value in gauge.values()), "all partitions have reported lately"
    assert item.peak("consumer_lag") == sum(value[2] for value in gauge.values()) > 100_000
    assert max(value for value in item.lags if value is not None) > 50_000


def test_alerts_are_those_of_the_time_that_is_shown():
    alerts = feed().alerts()
    assert [(a.rule, a.state) for a in alerts_of(alerts, QUERY)] == [
        ("consumer-lag", "firing"), ("error-rate", "resolved"),
    ]  # fmt: skip
    at_half_past_eight = Query(Range(NOW - 3 * HOUR_MS, NOW - 2 * HOUR_MS), MINUTE_MS, live=False)
    assert [(a.rule, a.state) for a in alerts_of(alerts, at_half_past_eight)] == [("error-rate", "firing")]
    filtered = Query(QUERY.range, MINUTE_MS, words=words_of("kafka:"))
    assert [a.rule for a in alerts_of(alerts, filtered)] == ["consumer-lag"]


def test_logs_are_errors_and_the_slowest_each_once_the_latest_first():
    places = logs_of(items_of(feed().view(QUERY)))
    assert len({place[:3] for place in places}) == len(places)
    assert [place.timestamp_ms for place in places] == sorted((p.timestamp_ms for p in places), reverse=True)
    raw = hour()[1]
    for place in places:
        record = raw[place.kind, place.partition][place.offset]
        assert (b'"ERROR"' in record.value) >= (place.why == "error")


@pytest.mark.parametrize("tab", ["overview", "airflow", "kafka", "ml", "alerts", "logs"])
def test_a_filter_and_picks_hold_for_every_tab(tab):
    wish = Wish(When(), tab, ("", False), words_of("kafka:, fraud"), frozenset({LAGS}))
    board = compute(wish, feed(), Orders())
    assert {item.kind for item in board.items} == {"kafka", "ml"}
    assert set(board.view.totals) == {"kafka"}
    assert board.view.totals["kafka"].sums == board.view.series[LAGS].sums
    assert board.is_warm


def test_a_model_whose_classes_are_as_before_has_not_drifted():
    """Chance alone moves some share of them; that is no drift."""
    models = [item for item in items_of(feed().view(QUERY)) if item.kind == "ml"]
    assert {item.drift for item in models if item.line.whole.records > 500} == {0.0}
    assert {item.drift for item in items_of(feed().view(QUERY)) if item.kind != "ml"} == {None}
