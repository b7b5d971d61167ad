"""Lag as of now, from the broker: what a dead consumer cannot say, and what the rules make of it."""

from __future__ import annotations

import json
import logging
import threading

import pytest
from confluent_kafka import TopicPartition

from stream_monitor import clients, lag
from stream_monitor.broker import EmbeddedBroker
from stream_monitor.errors import TopicMissingError
from stream_monitor.lag import Place, Seen
from stream_monitor.testing.driver import Driver
from tests.workers import everything, wait_for


def fields(records):
    return [json.loads(record.value) for record in records]


class TestReports:
    PLACE = Place("orders", "events", 3)

    def test_lag_and_progress(self):
        before, now = {self.PLACE: Seen(100, 180, 1000)}, {self.PLACE: Seen(150, 400, 11_000)}
        (first,), (second,) = fields(lag.reports(before, {})), fields(lag.reports(now, before))
        assert (first["consumer_lag"], first.get("messages_per_second")) == (80, None)
        assert (second["consumer_lag"], second["messages_per_second"]) == (250, 5.0)
        assert second["timestamp"] == "1970-01-01T00:00:11.000Z"
        (record,) = lag.reports(now, before)
        assert (record.topic, record.key) == ("logs.kafka", "orders/events")

    def test_a_group_that_went_back_or_a_clock_that_did_says_no_rate(self):
        before = {self.PLACE: Seen(100, 180, 1000)}
        for now in (Seen(50, 180, 2000), Seen(110, 180, 1000)):
            (found,) = fields(lag.reports({self.PLACE: now}, before))
            assert "messages_per_second" not in found

    def test_a_topic_that_was_cut_is_no_negative_lag(self):
        (found,) = fields(lag.reports({self.PLACE: Seen(100, 20, 1000)}, {}))
        assert found["consumer_lag"] == 0


def driven(looks):
    """A minute for each (committed, end): what the reports become, by the worker's own code."""
    driver, before = Driver(kinds=("kafka",)), {}
    place = Place("orders", "events", 0)
    for committed, end in looks:
        now = {place: Seen(committed, end, driver.now_ms)}
        driver.log("kafka", *(record.value for record in lag.reports(now, before)))
        before = now
        driver.advance(minutes=1)
    driver.advance(minutes=2)
    return driver


def test_a_consumer_that_died_while_producers_go_on_is_an_alert():
    """It had caught up when it died: its own last report says no lag, and for ever."""
    reading = [(1000 * n, 1000 * n) for n in range(5)]
    dead = [(4000, 4000 + 2000 * n) for n in range(1, 15)]
    driver = driven([*reading, *dead])
    (fired,) = [alert for alert in driver.alerts() if alert["state"] == "firing"]
    assert (fired["rule"], fired["entity"]) == ("ConsumerStopped", "orders/events")
    newest = max(driver.metrics(), key=lambda metric: metric["window"]["start"])
    assert newest["gauges"]["consumer_lag"]["0"]["last"] == 2000 * 14


def test_a_slow_consumer_that_moves_is_none():
    driver = driven([(1000 * n, 3000 * n) for n in range(15)])
    assert [alert["rule"] for alert in driver.alerts() if alert["rule"] == "ConsumerStopped"] == []


@pytest.fixture(params=["embedded", "kafka"])
def broker(request):
    return request.getfixturevalue(request.param)


def commit(settings, group, places):
    consumer = clients.consumer(settings, **{"group.id": group})
    try:
        consumer.commit(offsets=[TopicPartition(*place) for place in places], asynchronous=False)
    finally:
        consumer.close()


def produce(settings, topic, count):
    producer = clients.producer(settings)
    for _ in range(count):
        producer.produce(topic, b"x", partition=1)
    assert producer.flush(30) == 0


def test_on_a_broker_the_lag_is_against_the_end_of_now(broker, make_settings):
    settings, patterns = make_settings(broker), ("orders-*",)
    topic, group = settings.topic("logs.ml"), f"orders-{settings.prefix}"
    produce(settings, topic, 10)
    commit(settings, group, [(topic, 1, 4), (topic, 0, 0)])
    commit(settings, settings.group_id, [(topic, 1, 1)])
    admin = clients.admin(settings)
    first = {place: seen for place, seen in lag.look(admin, settings, patterns).items() if place.group == group}
    assert {place.partition: (seen.committed, seen.end) for place, seen in first.items()} == {
        1: (4, 10),
        0: (0, 0),
    }
    produce(settings, topic, 5)
    second = lag.look(admin, settings, (group,))
    (report,) = [each for each in fields(lag.reports(second, first)) if each["partition"] == 1]
    assert (report["consumer_lag"], report["messages_per_second"]) == (11, 0.0)
    groups = {place.group for place in lag.look(admin, settings, ("*",))}
    assert group in groups
    assert settings.group_id not in groups
    assert {place.group for place in lag.look(admin, settings, (settings.group_id,))} == {settings.group_id}


@pytest.mark.broker
def test_a_broker_that_goes_away_is_waited_for(make_settings, monkeypatch, caplog):
    monkeypatch.setattr(lag, "_ANSWER_S", 1)
    caplog.set_level(logging.INFO)
    stopped = threading.Event()
    with EmbeddedBroker() as broker:
        settings = make_settings(broker.address)
        thread = threading.Thread(target=lag.run, args=(settings, ("*",), 0.2, stopped.is_set))
        thread.start()
        wait_for(lambda: "0 groups with committed offsets" in caplog.text, 60)
    try:
        wait_for(lambda: caplog.text.count("the broker does not answer") >= 2, 60)
        assert thread.is_alive()
    finally:
        stopped.set()
        thread.join(60)
    assert not thread.is_alive()


def test_the_command_reports_until_it_is_stopped(embedded, make_settings, caplog):
    settings, stopped = make_settings(embedded), threading.Event()
    topic, group = settings.topic("logs.ml"), f"orders-{settings.prefix}"
    produce(settings, topic, 3)
    commit(settings, group, [(topic, 1, 1)])
    caplog.set_level(logging.INFO)
    thread = threading.Thread(target=lag.run, args=(settings, (group,), 0.5, stopped.is_set))
    thread.start()
    try:
        wait_for(lambda: len(everything(settings, "logs.kafka")) >= 2, 30)
    finally:
        stopped.set()
        thread.join(30)
    assert not thread.is_alive()
    found = [json.loads(value) for _, value in everything(settings, "logs.kafka")]
    assert {(each["consumer_group"], each["partition"], each["consumer_lag"]) for each in found} == {(group, 1, 2)}
    assert "1 group with committed offsets" in caplog.text


def test_a_topic_that_is_missing_is_one_line(embedded, make_settings):
    with pytest.raises(TopicMissingError):
        lag.run(make_settings(embedded, apply=False), ("*",), 1, lambda: False)


def test_a_warning_is_said_once_in_ten_minutes(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(lag.time, "monotonic", lambda: clock[0])
    repeats, heard = lag.Repeats(), []
    for clock[0], said in (
        (1.0, "a"),
        (2.0, "a"),
        (3.0, "b"),
        (500.0, "a"),
        (602.0, "a"),
        (603.0, "b"),
        (604.0, "a"),
    ):
        if repeats.filter(logging.LogRecord("x", logging.WARNING, "", 0, "%s", (said,), None)):
            heard.append((clock[0], said))
    assert heard == [(1.0, "a"), (3.0, "b"), (602.0, "a"), (603.0, "b")]
