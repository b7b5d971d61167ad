"""Following topics: all that comes, in order, once; and rest where the broker has nothing."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import NewTopic

from stream_monitor import clients
from stream_monitor.feed.reader import Reader
from stream_monitor.feed.spin import Spin
from tests.workers import wait_for


class Followed:
    """What a reader has followed, by place; and a producer to the same topics."""

    def __init__(self, settings, topics):
        self.reader = Reader(settings, topics, lambda: False)
        wait_for(self._begins, 30)
        self.got = {}
        self._settings, self._producer = settings, clients.producer(settings, **{"linger.ms": 0})

    def _begins(self):
        """Kafka answers that a topic is made before its metadata and its partitions' leader know of it."""
        with contextlib.suppress(KafkaException):
            self.reader.begin()
            return True
        return False

    def send(self, topic, partition, *values):
        for value in values:
            self._producer.produce(self._settings.topic(topic), b"%d" % value, partition=partition)
        self._producer.flush()

    def look(self):
        for place, value in self.reader.follow(0.1):
            self.got.setdefault(place, []).append(int(value))

    def has(self, *values, at):
        self.look()
        return self.got.get(at) == list(values)


def topics_of(settings, **counts):
    admin = clients.admin(settings)
    for made in admin.create_topics([NewTopic(settings.topic(n), c, 1) for n, c in counts.items()]).values():
        made.result()


@pytest.mark.parametrize(
    "broker", [pytest.param("embedded", marks=pytest.mark.broker), pytest.param("kafka", marks=pytest.mark.kafka)]
)
def test_all_that_comes_before_it_rests_and_after(broker, request, make_settings):
    settings = make_settings(request.getfixturevalue(broker))
    topics_of(settings, a=2, b=1)
    followed = Followed(settings, {"a": 2, "b": 1})
    try:
        followed.send("a", 1, 1, 2, 3)
        wait_for(lambda: followed.has(1, 2, 3, at=("a", 1)), 30)
        if broker == "embedded":
            wait_for(lambda: followed.look() or followed.reader.rests, 30)
        else:
            for _ in range(30):
                followed.look()
            assert not followed.reader.rests, "Kafka holds an idle fetch back"
        many = range(4, 5_000)
        followed.send("a", 1, *many)
        followed.send("b", 0, 1)
        wait_for(lambda: followed.has(1, 2, 3, *many, at=("a", 1)), 30)
        wait_for(lambda: followed.has(1, at=("b", 0)), 30)
        list(followed.reader.before("a", [0, 0]))
        followed.send("a", 0, 7)
        wait_for(lambda: followed.has(7, at=("a", 0)), 30)
        followed.look()
        assert followed.got == {("a", 0): [7], ("a", 1): [1, 2, 3, *many], ("b", 0): [1]}
    finally:
        followed.reader.close()


@pytest.mark.broker
def test_who_takes_long_over_a_batch_is_not_the_broker(embedded, make_settings, monkeypatch):
    monkeypatch.setattr("stream_monitor.feed.reader._PATIENCE_S", 1.0)
    monkeypatch.setattr("stream_monitor.feed.reader._BATCH", 100)
    settings = make_settings(embedded)
    topics_of(settings, a=1)
    followed = Followed(settings, {"a": 1})
    followed.send("a", 0, *range(250))
    followed.reader.begin()
    read = []
    for _, values in followed.reader.before("a", [0]):
        read += [int(value) for value in values]
        time.sleep(1.2)
    followed.reader.close()
    assert read == list(range(250))


def said(ts, fetches, records):
    brokers = {"one:9092/1": {"req": {"Fetch": fetches}}, "GroupCoordinator": {"req": {}}, "odd": {}}
    return json.dumps({"ts": ts * 1_000_000, "rxmsgs": records, "brokers": brokers})


@pytest.mark.parametrize(
    ("fetches", "records", "spins"),
    [(10, 0, False), (5_000, 5_000, False), (15_000, 20, True), (5_000, 200_000, False)],
)
def test_a_broker_that_answers_idle_fetches_at_once_is_told_from_a_busy_one(fetches, records, spins):
    spin = Spin()
    for second in range(3):
        spin.take(said(second, 100_000 + fetches * second, records * second))
    assert spin.found == spins


def test_what_was_found_stays():
    spin = Spin()
    for second, fetches in enumerate((0, 50_000, 50_000, 50_000)):
        spin.take(said(second, fetches, 0))
    assert spin.found
