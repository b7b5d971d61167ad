"""The example topics: made by their generator, expected by an oracle, folded by the core without a broker."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import numpy as np
import orjson
import pytest

from stream_monitor import recording, wire
from stream_monitor.core import fold as core
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.metric import Metric
from stream_monitor.core.record import Rejected
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS, window_start
from stream_monitor.data import data_dir
from stream_monitor.kinds import KINDS
from tests.expected import FIXTURES, differences, expect, fixture_windows
from tests.lines import decode


def fold_batch(minutes, records, first):
    """Records of one kind into their minutes."""
    kind = KINDS[records[0].topic.removeprefix("logs.")]
    values, times = [r.value for r in records], [r.timestamp_ms for r in records]
    lines, rows, rejected = kind.decode(values, np.array(times))
    assert not rejected
    starts = [window_start(at) for at in lines.timestamp_ms.tolist()]
    keys = [(kind.name, tuple(labels), start) for *labels, start in zip(*lines.labels, starts, strict=True)]
    places = {key: slot for slot, key in enumerate(dict.fromkeys(keys))}
    windows = [minutes.setdefault(key, Aggregate.empty(kind)) for key in places]
    core.fold(kind, windows, np.array([places[key] for key in keys]), lines, 0, rows + first)


def fold(paths):
    """The fixtures' results by nothing but kinds and core, records in random order."""
    minutes = {}
    for path in paths:
        records = list(recording.read(path))
        rng = random.Random(7)
        rng.shuffle(records)
        offset = 0
        while offset < len(records):
            batch = records[offset : offset + rng.choice((1, 7, 300, 2000))]
            fold_batch(minutes, batch, offset)
            offset += len(batch)
    results = {}
    for (name, labels, start), minute in minutes.items():
        minute.settle()
        for size_ms in (MINUTE_MS, HOUR_MS, DAY_MS):
            key = (name, labels, size_ms // 1000, window_start(start, size_ms))
            if key not in results:
                results[key] = Metric(KINDS[name], labels, key[3], size_ms, True, Aggregate.empty(KINDS[name]))
            results[key].aggregate.merge(minute)
    return results


@pytest.mark.slow
def test_core_and_oracle_agree_on_every_window_of_the_fixtures():
    wanted = fixture_windows()
    assert len(wanted) > 10_000
    assert differences(fold(FIXTURES), wanted) == []


@pytest.mark.slow
def test_the_committed_fixtures_are_what_the_generator_and_the_oracle_write(tmp_path):
    fixtures = data_dir("fixtures")
    for script in ("make_fixtures.py", "expect.py"):
        subprocess.run(
            [sys.executable, "-m", f"fixtures.{script[:-3]}", str(tmp_path)],
            check=True, capture_output=True, cwd=fixtures.parent,
        )  # fmt: skip
    written = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.jsonl")}
    assert len(written) == 7
    assert written == {name: (fixtures / name).read_bytes() for name in written}


def test_what_kinds_have_in_folders_of_their_own_becomes_what_they_expect():
    for path in sorted(data_dir("fixtures").glob("*/logs.jsonl")):
        found = {key: metric for key, metric in fold([path]).items() if metric.size_ms == MINUTE_MS}
        expected = [json.loads(line) for line in path.with_name("expected.jsonl").read_text().splitlines()]
        wanted = {}
        for row in expected:
            labels, start_ms = tuple(row["labels"].values()), wire.from_iso(row["window"]["start"])
            wanted[path.parent.name, labels, MINUTE_MS // 1000, start_ms] = row
        assert found.keys() == wanted.keys()
        for key, row in wanted.items():
            record = orjson.loads(wire.metric_value(found[key], "logs"))
            assert list(unlike(record, row, str(key))) == []


def unlike(record, part, where):
    """Where a part of a record is not as in the record."""
    for name, value in part.items():
        if isinstance(value, dict) and name in record:
            yield from unlike(record[name], value, f"{where} {name}")
        elif record.get(name) != value:
            yield f"{where} {name}: {record.get(name)!r}, expected {value!r}"


BAD = [json.loads(line) for line in (data_dir("fixtures") / "bad_records.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_decoder_and_oracle_know_every_hostile_record(number):
    record = list(recording.read(data_dir("fixtures") / "bad_records.jsonl"))[number]
    wanted = BAD[number]["expect"]
    line = decode(KINDS[record.topic.removeprefix("logs.")], record.value, record.timestamp_ms)
    found = line.reason if isinstance(line, Rejected) else "folded"
    by_context = ("late", "too_far_ahead")
    assert found == ("folded" if wanted in by_context else wanted)
    _, rejected = expect.windows([(record.topic.removeprefix("logs."), record.timestamp_ms, record.value)])
    assert dict(rejected) == ({} if wanted in ("folded", *by_context) else {wanted: 1})


def test_the_oracle_knows_nothing_of_the_project():
    assert "stream_monitor" not in (data_dir("fixtures") / "expect.py").read_text()


def test_each_fixture_has_its_incident():
    wanted = fixture_windows()

    def hour(kind, labels, of_day):
        return wanted[kind, labels, 3600, 1_705_276_800_000 + of_day * HOUR_MS]

    failing, calm = (hour("airflow", ("etl_orders", "transform"), h) for h in (9, 12))
    assert failing["errors"] >= 5 * max(1, calm["errors"])
    lagging, calm = (
        max(
            gauge["max"]
            for gauge in hour("kafka", ("event-processor", "events"), h)["gauges"]["consumer_lag"].values()
        )
        for h in (14, 12)
    )
    assert lagging > 50 * calm
    assert ("ml", ("ml.predictor", "v1.3.0"), 3600, 1_705_276_800_000 + 19 * HOUR_MS) in wanted
