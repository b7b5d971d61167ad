"""What the fuzzers have kept (tests/corpus): logs as the independent oracle says, all as it came out before."""

from __future__ import annotations

import numpy as np
import pytest

from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.fold import fold
from stream_monitor.core.metric import Metric
from stream_monitor.core.record import bounded_label
from stream_monitor.core.window import MINUTE_MS, window_start
from stream_monitor.kinds import KINDS
from tests.corpus import KAFKA_MS, kept, way_of_log, way_of_partial, way_of_topic
from tests.expected import differences, expect

LOGS = list(kept("logs"))


@pytest.mark.parametrize("name", ["airflow", "kafka", "ml"])
def test_logs_are_as_the_oracle_says(name):
    kind = KINDS[name]
    values = [row["value"] for row in LOGS if row["kind"] == name]
    assert len(values) > 40
    lines, rows, rejected = kind.decode(values, np.full(len(values), KAFKA_MS))
    whys = dict(rejected)
    for row, value in enumerate(values):
        windows, reasons = expect.windows([(name, KAFKA_MS, value)])
        wanted = {key: window for key, window in windows.items() if key[2] == 60}
        if row in whys:
            assert sum(reasons.values()) == 1, value  # of several faults either may name another first
            continue
        (line,) = np.flatnonzero(rows == row)
        assert differences(folded(kind, lines.take(np.array([line]))), wanted) == [], value


def folded(kind, line):
    """One line's window, by its key."""
    whole = Aggregate.empty(kind)
    fold(kind, [whole], np.zeros(1, np.int64), line, 0, np.zeros(1, np.int64))
    labels = tuple(bounded_label(column[0]) for column in line.labels)
    start_ms = window_start(int(line.timestamp_ms[0]))
    return {(kind.name, labels, 60, start_ms): Metric(kind, labels, start_ms, MINUTE_MS, True, whole)}


def test_nothing_comes_out_in_another_way_than_when_it_was_kept(tmp_path):
    for row in LOGS:
        assert f"{row['kind']} {way_of_log(KINDS[row['kind']], row['value'])}" == row["way"]
    for row in kept("partials"):
        assert way_of_partial(row["value"]) == row["way"]
    for row in kept("topics"):
        assert way_of_topic(row["value"], tmp_path) == row["way"]
