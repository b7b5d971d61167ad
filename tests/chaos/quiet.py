"""Quiet days: what the rules that ship say of a simulated day without an incident (nothing). `make incidents`."""

from __future__ import annotations

import pytest

from fixtures.make_fixtures import DAY
from stream_monitor import rules, wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.judge import Judge
from stream_monitor.core.metric import Metric
from stream_monitor.core.window import MINUTE_MS
from stream_monitor.kinds import KINDS
from stream_monitor.simulate import SimulatedPipeline
from tests.test_fixtures import fold_batch


def quiet_day(seed: int) -> list[tuple[str, str]]:
    """(rule, entity) of every transition of the day."""
    pipeline = SimulatedPipeline(seed=seed, per_minute=(5.0, 9.0, 9.0))
    by_kind: dict[str, list] = {name: [] for name in KINDS}
    for start_ms in range(DAY, DAY + 1440 * MINUTE_MS, MINUTE_MS):
        for record in pipeline.minute(start_ms):
            by_kind[record.topic.removeprefix("logs.")].append(record)
    minutes: dict[tuple[str, tuple[str, ...], int], Aggregate] = {}
    for records in by_kind.values():
        for first in range(0, len(records), 2000):
            fold_batch(minutes, records[first : first + 2000], first)
    judge, found = Judge(rules.load(None).rules, KINDS), []
    for (name, labels, start_ms), whole in sorted(minutes.items(), key=lambda item: (item[0][2], item[0][:2])):
        metric = Metric(KINDS[name], labels, start_ms, MINUTE_MS, True, whole)
        minute = wire.observed(wire.metric_value(metric, "logs"))
        found += judge.take(wire.series_key(name, labels), labels, minute)
    return [(transition.rule.name, "/".join(transition.labels)) for transition in found]


@pytest.mark.parametrize("seed", range(10))
def test_a_quiet_day_raises_nothing(seed):
    assert quiet_day(seed) == []
