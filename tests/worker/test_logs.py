"""What the worker's log shows, and what it leaves out."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from mode import Service

from stream_monitor.worker import outage
from stream_monitor.worker.logs import Libraries
from stream_monitor.worker.outage import Outage


@pytest.fixture
def shown(caplog):
    """A handler's texts, by the filter that it has."""

    def start(**options):
        options = {"verbose": False, "is_away": lambda: False, **options}
        caplog.handler.addFilter(libraries := Libraries(**options))
        added.append(libraries)
        caplog.set_level(logging.INFO)
        return caplog

    added: list[Libraries] = []
    yield start
    for libraries in added:
        caplog.handler.removeFilter(libraries)


class Ours(Service):
    """Mode gives its logger the name of this module, and says itself that it starts."""

    logger = logging.getLogger("stream_monitor.worker.app")


def said(level, text, *args, name="aiokafka.conn", exc_info=None):
    """A library's line."""
    record = logging.LogRecord(name, level, "/lib/aiokafka/conn.py", 1, text, args, exc_info)
    logging.getLogger(name).handle(record)


def test_what_mode_says_in_our_name_is_not_ours(shown):
    log = shown()
    Ours().log.info("Starting...")
    assert log.messages == []


def test_verbose_shows_it(shown):
    log = shown(verbose=True, is_away=lambda: True)
    Ours().log.info("Starting...")
    said(logging.ERROR, "closed")
    assert [message.split(": ")[-1] for message in log.messages] == ["Starting...", "closed"]


def test_a_flood_is_one_line(shown):
    log = shown()
    for node in range(50):
        said(logging.ERROR, "no node %d", node)
    assert log.messages == ["no node 0"]


def test_complaints_are_left_out_while_the_broker_is_away_but_a_bug_is_not(shown):
    log = shown(is_away=lambda: True)
    said(logging.ERROR, "closed")
    said(logging.ERROR, "a bug", exc_info=(ValueError, ValueError("no"), None))
    said(logging.ERROR, "faust's", name="faust.app")
    assert log.messages == ["a bug", "faust's"]


def test_the_first_group_of_a_cluster_is_nothing_to_worry_about(shown):
    log = shown()
    said(logging.ERROR, "Group Coordinator Request failed: %s", "[Error 15] GroupCoordinatorNotAvailableError")
    assert log.messages == []


class TestOutage:
    @pytest.fixture
    def broker(self, monkeypatch):
        """A clock in seconds, and whether each of the client's connections is open."""
        state = SimpleNamespace(now_s=100.0, connections=[])
        monkeypatch.setattr(outage, "time", SimpleNamespace(monotonic=lambda: state.now_s))
        monkeypatch.setattr(
            outage, "_connections",
            lambda app: [SimpleNamespace(connected=lambda up=up: up) for up in state.connections],
        )  # fmt: skip
        return state

    def look(self, seen, broker, connections, seconds):
        """So long, five times a second."""
        broker.connections = connections
        for _ in range(round(seconds * 5)):
            broker.now_s += 0.2
            seen.look()

    def test_it_is_told_once_and_its_end_once(self, broker, caplog):
        caplog.set_level(logging.INFO)
        seen = Outage("kafka:9092")
        seen.watch(object())
        self.look(seen, broker, [], 20)
        assert not seen.is_on()  # it has not begun
        self.look(seen, broker, [True, True], 10)
        self.look(seen, broker, [False, True], 10)
        assert not seen.is_on()
        self.look(seen, broker, [False, False], 1)
        assert seen.is_on()
        self.look(seen, broker, [], 40)
        self.look(seen, broker, [True], 10)
        assert seen.is_on()  # the client is still finding its coordinator
        self.look(seen, broker, [True], 30)
        assert not seen.is_on()
        assert [message.partition(";")[0] for message in caplog.messages] == [
            "the broker at kafka:9092 is away", "the broker at kafka:9092 is back after 41 s",
        ]  # fmt: skip

    def test_a_flicker_is_none(self, broker, caplog):
        seen = Outage("kafka:9092")
        seen.watch(object())
        for _ in range(3):
            self.look(seen, broker, [True], 5)
            self.look(seen, broker, [], 1.5)
        assert caplog.messages == []
