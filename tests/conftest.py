"""Brokers for tests. A test that takes `kafka` needs Apache Kafka; one that takes `embedded` the stand-in.

Where no Apache Kafka can be had its tests are skipped by name; with STREAM_MONITOR_REQUIRE_KAFKA=1 that is
a failure.
"""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

from stream_monitor import topics
from stream_monitor.broker import EmbeddedBroker
from stream_monitor.settings import Settings
from stream_monitor.testing import brokers

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60)
hypothesis.settings.load_profile("ci")


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> None:
    for name in list(os.environ):
        if name.startswith("STREAM_MONITOR_") and "TEST" not in name and "REQUIRE" not in name:
            del os.environ[name]
    os.environ["STREAM_MONITOR_CONFIG"] = ""  # and no file


def pytest_collection_finish() -> None:
    """What is imported and collected stays: the garbage collector need not look at it again and again."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The fixtures a test takes say which marker it has."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        names = {*getattr(item, "fixturenames", ()), parameters.get("broker")}
        if names & {"kafka", "own_kafka"}:
            item.add_marker(pytest.mark.kafka)
        if "embedded" in names:
            item.add_marker(pytest.mark.broker)


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The address of an Apache Kafka 4.x."""
    try:
        with brokers.kafka() as address:
            yield address
    except brokers.NoKafkaError as error:
        _without_kafka(error)


@pytest.fixture
def own_kafka() -> Iterator[brokers.JarsKafka]:
    """An Apache Kafka of the test's own, from its jars, which may be stopped and started."""
    try:
        node = brokers.JarsKafka()
        node.start()
    except brokers.NoKafkaError as error:
        _without_kafka(error)
    yield node
    node.close()


def _without_kafka(error: brokers.NoKafkaError) -> NoReturn:
    if os.environ.get("STREAM_MONITOR_REQUIRE_KAFKA"):
        pytest.fail(f"needs Apache Kafka: {error}")
    pytest.skip(f"needs Apache Kafka: {error}")


@pytest.fixture(scope="session")
def embedded() -> Iterator[str]:
    """The address of the embedded broker."""
    with EmbeddedBroker() as broker:
        yield broker.address


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings for a broker, with a prefix and a datadir of the test's own and its topics made."""

    def make(broker: str, *, apply: bool = True, **flags: object) -> Settings:
        prefix = f"t{uuid.uuid4().hex[:8]}"
        settings = Settings.load(
            **{"broker": broker, "prefix": prefix, "datadir": tmp_path / "data", "http_port": 0, **flags}
        )
        if apply:
            topics.apply(settings, replication_factor=1)
        return settings

    return make


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests went without a real Kafka."""
    skipped = [r for r in terminalreporter.stats.get("skipped", ()) if "needs Apache Kafka" in str(r.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests skipped for want of an Apache Kafka")
