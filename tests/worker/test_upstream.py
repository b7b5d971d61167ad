"""What is looked at before the closed minutes, and over which connection."""

from __future__ import annotations

import asyncio

import pytest

from stream_monitor import clients, offsets, topics
from stream_monitor.broker import EmbeddedBroker, free_port
from stream_monitor.worker.upstream import Upstream
from tests.workers import wait_for

STAGES = 3
"""Looks until it is known that all has been judged: the logs, the partials, the closed minutes."""


@pytest.fixture
def made(monkeypatch):
    """The consumers that are made."""
    consumers, real = [], clients.consumer

    def consumer(*arguments, **extra):
        consumers.append(real(*arguments, **extra))
        return consumers[-1]

    monkeypatch.setattr(clients, "consumer", consumer)
    return consumers


def look(upstream, times):
    for _ in range(times):
        asyncio.run(upstream.look())


@pytest.mark.slow
def test_one_client_for_its_life_also_when_the_broker_was_away(made, make_settings, monkeypatch):
    port = free_port()
    with EmbeddedBroker(port) as broker:
        settings = make_settings(broker.address)
        upstream = Upstream(settings)
        look(upstream, STAGES - 1)
        assert upstream.quiet_ms(0, 0) is None
        look(upstream, 1)
        first_ms = upstream.quiet_ms(0, 0)
        assert first_ms is not None
    with monkeypatch.context() as patched:
        patched.setattr(offsets, "_ANSWER_S", 1)
        look(upstream, 1)
    assert upstream.quiet_ms(0, 0) == first_ms
    with EmbeddedBroker(port):
        look(upstream, 1)  # the topics are not there yet: no error, and nothing is known
        assert upstream.quiet_ms(0, 0) == first_ms
        topics.apply(settings, replication_factor=1)
        look(upstream, STAGES)
        assert upstream.quiet_ms(0, 0) > first_ms
        upstream.close()
    assert len(made) == 1


def test_a_kafka_that_was_away_is_asked_again_by_the_same_client(made, own_kafka, make_settings, monkeypatch):
    upstream = Upstream(make_settings(own_kafka.address))
    wait_for(lambda: look(upstream, 1) or upstream.quiet_ms(0, 0) is not None, 60)
    first_ms = upstream.quiet_ms(0, 0)
    own_kafka.stop()
    with monkeypatch.context() as patched:
        patched.setattr(offsets, "_ANSWER_S", 1)
        look(upstream, 2)
    assert upstream.quiet_ms(0, 0) == first_ms
    own_kafka.start()
    wait_for(lambda: look(upstream, 1) or upstream.quiet_ms(0, 0) > first_ms, 60)
    upstream.close()
    assert len(made) == 1


def test_a_closed_one_looks_no_more(made, embedded, make_settings):
    upstream = Upstream(make_settings(embedded))
    look(upstream, 1)
    upstream.close()
    upstream.close()
    with pytest.raises(RuntimeError, match="closed"):
        made[0].list_topics(timeout=30)
    look(upstream, STAGES)
    assert upstream.quiet_ms(0, 0) is None
    assert len(made) == 1


def test_closing_waits_for_the_look_under_way(made, embedded, make_settings):
    upstream = Upstream(make_settings(embedded))

    async def both():
        looking = asyncio.create_task(upstream.look())
        await asyncio.sleep(0)
        await asyncio.to_thread(upstream.close)
        await looking

    asyncio.run(both())
    look(upstream, STAGES)
    assert len(made) <= 1
    assert upstream.quiet_ms(0, 0) is None
