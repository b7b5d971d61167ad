"""The live feed through brokers: the report's numbers, what comes, the past, raw records, a lost broker."""

from __future__ import annotations

import time

import msgspec
import pytest
from confluent_kafka import KafkaException

from stream_monitor import clients, topics, wire
from stream_monitor.broker import EmbeddedBroker, free_port
from stream_monitor.core.aggregate import merged
from stream_monitor.core.metric import Metric
from stream_monitor.core.snapshot import Range
from stream_monitor.core.status import status_of
from stream_monitor.core.view import Query
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, window_start
from stream_monitor.feed import FixedFeed, LiveFeed, read_history
from stream_monitor.feed.state import skew
from stream_monitor.feed.store import Store
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.simulate import SimulatedPipeline
from tests.tui.data import ALERTS, folded, values_of
from tests.workers import wait_for


@pytest.fixture(params=["embedded", "kafka"])
def broker(request):
    return request.getfixturevalue(request.param)


def now_ms():
    return time.time_ns() // 1_000_000


def pipeline_until(now, hours=1.0, rate=4.0):
    """Windows of the last hours: minutes, of a simulated pipeline."""
    pipeline = SimulatedPipeline(3, (rate, rate * 5, rate * 4))
    first = window_start(now - round(hours * HOUR_MS))
    records = [record for start in range(first, now, MINUTE_MS) for record in pipeline.minute(start)]
    return folded([record for record in records if record.timestamp_ms <= now], {})


def publish(settings, values, topic="metrics.1m"):
    """Send metrics as the worker does: keyed, placed by their series, stamped with their window's start."""
    producer = clients.producer(settings)
    for value in values:
        metric = wire.metric_from(value, KINDS)
        series = wire.series_key(*metric.series)
        producer.produce(
            settings.topic(topic), value, wire.metric_key(series, metric.start_ms), wire.partition_for(series, 4),
            timestamp=metric.start_ms,
        )  # fmt: skip
    producer.flush()


def live(feed):
    wait_for(lambda: feed.state().phase == "live", 30)


def answer(feed, query):
    """The view, when it is complete."""
    wait_for(lambda: feed.view(query).complete, 30)
    return feed.view(query)


def numbers(view):
    return {series: (line.sums, line.whole.slowest, line.whole.measures) for series, line in view.series.items()}


def test_history_then_what_comes_then_the_past(broker, make_settings):
    settings, now = make_settings(broker), now_ms()
    windows = pipeline_until(now, 2.0)
    values = values_of(windows, now_ms=now)
    opens_ms = now - 20 * MINUTE_MS
    publish(settings, values_of({place: w for place, w in windows.items() if place[2] < opens_ms}, now_ms=now))
    still_open = {place: w for place, w in windows.items() if place[2] >= opens_ms}
    publish(settings, values_of(still_open, now_ms=now), "metrics.live")
    producer = clients.producer(settings)
    for alert in ALERTS:
        producer.produce(settings.topic("alerts"), alert, b"k", timestamp=now)
    producer.produce(settings.topic("alerts"), b"{}", b"k")
    producer.flush()
    fixed = FixedFeed(values, clock=lambda: now)
    with LiveFeed(settings) as feed:
        live(feed)
        query = Query(Range(window_start(now - HOUR_MS), now), MINUTE_MS)
        view = answer(feed, query)
        assert numbers(view) == numbers(fixed.view(query))
        history = read_history(settings, query.range)
        assert {s: one.whole.records for s, one in history.series.items()} == {
            s: line.sums.records for s, line in view.series.items()
        }
        assert {s: one.whole.measures for s, one in history.series.items()} == {
            s: line.whole.measures for s, line in view.series.items()
        }
        assert [alert.rule for alert in feed.alerts()] == ["consumer-lag", "error-rate"]

        longer = Query(Range(window_start(now - 2 * HOUR_MS), now), 5 * MINUTE_MS)
        assert numbers(answer(feed, longer)) == numbers(fixed.view(longer))

        past = Query(Range(window_start(now - 2 * HOUR_MS), now - HOUR_MS), MINUTE_MS, live=False)
        assert numbers(answer(feed, past)) == numbers(fixed.view(past))

        newer = pipeline_until(now, 0.02)
        before, version = feed.state().records, feed.version()
        renamed = {(kind, ("new", *labels[1:]), start): whole for (kind, labels, start), whole in newer.items()}
        publish(settings, values_of(renamed, now_ms=now), "metrics.live")
        wait_for(lambda: feed.version() > version and feed.state().records > before, 10)
        wait_for(lambda: any(labels[0] == "new" for _, labels in feed.view(query).series), 10)


def test_two_ranges_are_looked_at_at_once(embedded, make_settings, monkeypatch):
    """Minutes and hours, each asked for again and again while what nobody asks for is forgotten."""
    settings, now = make_settings(embedded), now_ms()
    values = values_of(pipeline_until(now, 8.0, 1.0), now_ms=now)
    publish(settings, values)
    fixed = FixedFeed(values, clock=lambda: now)
    monkeypatch.setattr("stream_monitor.feed.live._TIDY_S", 0.1)
    queries = (
        Query(Range(window_start(now - HOUR_MS), now), MINUTE_MS),
        Query(Range(window_start(now - 7 * HOUR_MS, HOUR_MS), now), HOUR_MS),
    )
    with LiveFeed(settings) as feed:
        live(feed)
        for query in queries * 2:
            assert numbers(answer(feed, query)) == numbers(fixed.view(query))
        for _ in range(20):
            time.sleep(0.05)
            assert all(feed.view(query).complete for query in queries)


def test_days_hours_and_minutes_make_one_range(embedded, make_settings):
    """Thirty hours: a day's row, hours' rows, the minutes since; the same numbers as all minutes."""
    settings, now = make_settings(embedded), now_ms()
    windows = pipeline_until(now, 30.0, 0.4)
    values = values_of(windows, now_ms=now)
    recent = window_start(now, HOUR_MS)
    publish(settings, [value for value in values if wire.metric_from(value, KINDS).start_ms >= recent])
    for size, topic in ((HOUR_MS, "metrics.1h"), (DAY_MS, "metrics.1d")):
        publish(settings, rows_of(windows, size, recent), topic)
    fixed = FixedFeed(values, clock=lambda: now)
    with LiveFeed(settings) as feed:
        live(feed)
        for length in (26, 29):
            query = Query(Range(window_start(now - length * HOUR_MS, HOUR_MS), now), HOUR_MS)
            assert numbers(answer(feed, query)) == numbers(fixed.view(query))


def rows_of(windows, size, until):
    """The longer rows of the windows whose end is past."""
    parts = {}
    for (kind, labels, start), whole in windows.items():
        settled = merged(KINDS[kind], [whole])
        settled.settle()
        parts.setdefault((kind, labels, window_start(start, size)), []).append(settled)
    return [
        wire.metric_value(
            Metric(KINDS[kind], labels, start, size, True, merged(KINDS[kind], some)), f"logs.{kind}"
        )
        for (kind, labels, start), some in parts.items()
        if start + size <= until
    ]


def test_the_record_behind_an_exemplar(broker, make_settings):
    settings = make_settings(broker)
    producer = clients.producer(settings)
    for n in range(100):
        producer.produce(
            settings.topic("logs.ml"), b"value %d" % n, b"key", 2, headers=[("n", b"%d" % n), ("none", None)]
        )
    producer.flush()
    feed = LiveFeed(settings)
    found = feed.excerpt("ml", 2, 50)
    assert [record.offset for record in found.records] == list(range(30, 71))
    record = found.records[20]
    assert (record.key, record.value, record.headers) == (b"key", b"value 50", (("n", b"50"), ("none", None)))
    assert not found.is_gone
    assert [r.offset for r in feed.excerpt("ml", 2, 0).records] == list(range(21))
    assert [r.offset for r in feed.excerpt("ml", 2, 99).records] == list(range(79, 100))
    gone = feed.excerpt("ml", 2, 500)
    assert gone.is_gone
    assert (gone.low, gone.high) == (0, 100)
    with pytest.raises(KafkaException):
        feed.excerpt("ml", 77, 0)


@pytest.mark.broker
def test_a_broker_that_is_away_and_comes_back(make_settings):
    """Connecting, lost with a reason, live; and again without the topics, until they are there."""
    port = free_port()
    settings = make_settings(f"127.0.0.1:{port}", apply=False, connect_timeout=1.0, request_timeout=2.0)
    with LiveFeed(settings) as feed:
        assert feed.state().phase in ("connecting", "lost")
        wait_for(lambda: feed.state().phase == "lost", 20)
        assert "no Kafka broker answers" in feed.state().why
        with EmbeddedBroker(port):
            wait_for(lambda: "topics apply" in feed.state().why, 20)
            topics.apply(settings, replication_factor=1)
            live(feed)
            now = now_ms()
            publish(settings, values_of(pipeline_until(now, 0.1), now_ms=now), "metrics.live")
            query = Query(Range(window_start(now - HOUR_MS), now), MINUTE_MS)
            wait_for(lambda: feed.view(query).series, 20)
        wait_for(lambda: feed.state().phase == "lost", 30)
        assert feed.view(query).series, "what was read stays to be seen"


def test_a_range_that_moves_is_one_question(monkeypatch):
    """Else a live view's questions of a minute would push out those of one that asks each five minutes."""
    feed = LiveFeed(Settings(), clock=lambda: 0)
    monkeypatch.setattr(feed, "_store", Store(KINDS))
    for second in range(120):
        now = 1_800_000_000_000 + second * 1000
        feed.view(Query(Range(now - HOUR_MS - now % MINUTE_MS, now), MINUTE_MS))
    assert len(feed._asked) <= 3


def test_a_range_that_nobody_looks_at_is_let_go():
    now = 1_800_000_000_000
    values = values_of(pipeline_until(now, 1.0), now_ms=now)
    store = Store(KINDS)
    store.take(values)
    for step in (MINUTE_MS, 5 * MINUTE_MS):
        view = store.view(Query(Range(now - HOUR_MS, now), step))
        for line in view.series.values():
            status_of(view, line)
    steps = {place[1] for place in store._memo if isinstance(place, tuple)}
    assert steps == {MINUTE_MS, 5 * MINUTE_MS}
    store.trim({MINUTE_MS: now - HOUR_MS})
    assert {place[1] for place in store._memo if isinstance(place, tuple)} == {MINUTE_MS}
    store.drop_before(now, now, now)
    store.trim({MINUTE_MS: now - HOUR_MS})
    assert not [place for place in store._memo if isinstance(place, tuple)], "its series have left"


def test_a_past_that_nobody_looks_at_is_let_go(embedded, make_settings, monkeypatch):
    settings, now = make_settings(embedded), now_ms()
    publish(settings, values_of(pipeline_until(now, 2.0), now_ms=now))
    past = Query(Range(window_start(now - 2 * HOUR_MS), now - HOUR_MS), MINUTE_MS, live=False)
    monkeypatch.setattr("stream_monitor.feed.live._TIDY_S", 0.0)
    with LiveFeed(settings) as feed:
        live(feed)
        assert answer(feed, past).series
        assert feed._past_store.rows
        monkeypatch.setattr("stream_monitor.feed.live.ASKED_S", 0.0)
        feed.view(Query(Range(window_start(now - HOUR_MS), now), MINUTE_MS))
        wait_for(lambda: not feed._past_store.rows, 30)
        monkeypatch.setattr("stream_monitor.feed.live.ASKED_S", 330.0)
        assert answer(feed, past).series, "it is read again when it is asked for again"


def test_topics_that_are_not_there_are_missing_and_not_lost(broker, make_settings):
    settings = make_settings(broker, apply=False)
    with LiveFeed(settings) as feed:
        wait_for(lambda: feed.state().phase == "missing", 60)
        assert f"stream-monitor topics apply --prefix {settings.prefix}" in feed.state().why
        topics.apply(settings, replication_factor=1)
        wait_for(lambda: feed.state().phase == "live", 60)
        assert feed.state().why == ""


def test_skew():
    assert skew(1_000_000, 1_030_000) is None
    assert skew(1_000_000, 995_000) is None
    assert skew(1_100_000, 1_000_000) == 100_000
    assert skew(1_000_000, 1_600_000) == -600_000


def test_an_alert_that_is_over_stays_over_whatever_is_written_behind_it():
    fires = wire.AlertRecord(
        rule="r", kind="ml", labels={"service": "s", "model_version": "v"}, entity="s/v", state="firing",
        severity="warning", since="2024-01-15T10:30:00Z", at="2024-01-15T10:40:00Z", value=1.0, summary="",
    )  # fmt: skip
    over = msgspec.structs.replace(fires, state="resolved", at="2024-01-15T10:35:00Z")
    for order in ([fires, over], [over, fires]):
        feed = FixedFeed([], alerts=[wire.alert_out(alert) for alert in order], clock=lambda: 0)
        assert feed.alerts() == [over]


def test_topics_that_are_made_anew_under_it(broker, make_settings):
    """Nothing of the old ones is left in the numbers, however soon the new ones are there."""
    settings, now = make_settings(broker), now_ms()
    values = values_of(pipeline_until(now, 0.3), now_ms=now)
    publish(settings, values)
    query = Query(Range(window_start(now - HOUR_MS), now + HOUR_MS), MINUTE_MS)
    with LiveFeed(settings) as feed:
        live(feed)
        wait_for(
            lambda: numbers(feed.view(query)) == numbers(FixedFeed(values, clock=lambda: now).view(query)), 30
        )
        admin = clients.admin(settings)
        names = [settings.topic(name) for name in ("metrics.1m", "metrics.1h", "metrics.1d", "metrics.live")]
        for done in admin.delete_topics(names).values():
            done.result()
        wait_for(lambda: topics.apply(settings, replication_factor=1) is not None, 30)
        wait_for(lambda: not feed.view(query).series, 30)
        publish(settings, values[:50])
        wait_for(
            lambda: numbers(feed.view(query)) == numbers(FixedFeed(values[:50], clock=lambda: now).view(query)), 30
        )
