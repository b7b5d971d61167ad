"""The pytest plugin.

pytest imports it at every start, wherever stream-monitor is installed: it imports the rest of us when a test asks
for a fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stream_monitor.testing.driver import Driver
    from stream_monitor.testing.running import Monitor


@pytest.fixture(scope="session")
def stream_monitor_broker() -> Iterator[str]:
    """A broker's address: STREAM_MONITOR_TEST_BROKER, one in Docker, one from Kafka's jars, else the stand-in."""
    from stream_monitor.testing import brokers

    with brokers.any_broker() as address:
        yield address


@pytest.fixture
def stream_monitor(stream_monitor_broker: str, tmp_path: Path) -> Iterator[Monitor]:
    """A worker on that broker, with a prefix and topics of its own: `replay_topic`, `log`, `expect_metrics`."""
    from stream_monitor.testing.running import Monitor

    with Monitor(stream_monitor_broker, tmp_path / "stream-monitor") as monitor:
        yield monitor


@pytest.fixture
def replay_topic(stream_monitor: Monitor) -> Callable[..., int]:
    """`replay_topic(path)`: a recorded topic through a worker."""
    return stream_monitor.replay_topic


@pytest.fixture
def expect_metrics(stream_monitor: Monitor) -> Callable[..., None]:
    """`expect_metrics({…}, …)`: wait for metrics with these fields, or fail with what differs."""
    return stream_monitor.expect_metrics


@pytest.fixture
def stream_monitor_driver() -> Callable[..., Driver]:
    """`stream_monitor_driver(kinds=("ml",), …)`: the pipeline without a broker, in milliseconds."""

    def make(*arguments: Any, **settings: Any) -> Driver:
        from stream_monitor.testing.driver import Driver

        return Driver(*arguments, **settings)

    return make
