"""Whatever stands in a record: a Record, or Rejected with a known reason and one short line; no exception."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream_monitor import recording
from stream_monitor.core.record import LABEL_MAX, Reason, Rejected, bounded_label
from stream_monitor.data import data_dir
from stream_monitor.kinds import KINDS
from stream_monitor.kinds.line import is_error_level
from stream_monitor.kinds.timestamp import parse_timestamp, parse_timestamps
from tests.lines import decode

NAMES = [
    "timestamp", "asctime", "level", "message", "dag_id", "task_id", "duration", "records_processed", "state",
    "consumer_group", "topic", "partition", "consumer_lag", "latency_ms", "messages_per_second", "service",
    "model_version", "confidence", "prediction", "prediction_id", "error", "error.type", "exc_type", "exc_info",
]  # fmt: skip
leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
logs = st.dictionaries(st.sampled_from(NAMES), anything, max_size=10)


def check(value):
    for kind in KINDS.values():
        found = decode(kind, value)
        if isinstance(found, Rejected):
            assert found.reason in get_args(Reason)
            assert "\n" not in found.detail
        else:
            assert len(found) == 1
            assert len(found.values) == len(kind.measures)
            assert all(np.isnan(v[0]) or 0 <= v[0] <= 1e18 for v in (*found.values, *found.gauges))


@given(st.none() | st.binary(max_size=200))
def test_any_bytes(value):
    check(value)


@given(logs)
def test_any_object_of_the_right_names(log):
    check(json.dumps(log).encode("utf-8", "surrogatepass"))


@given(logs, st.data())
def test_any_truncation_or_flipped_byte(log, data):
    value = bytearray(json.dumps(log | {"dag_id": "d", "service": "s", "model_version": "v"}).encode())
    place = data.draw(st.integers(0, len(value) - 1))
    check(bytes(value[:place]))
    value[place] ^= data.draw(st.integers(1, 255))
    check(bytes(value))


HOSTILE = [record.value for record in recording.read(data_dir("fixtures") / "bad_records.jsonl")]
GOOD = [
    b'{"timestamp":"2024-01-15T10:30:00.000Z","dag_id":"d","message":"duration=4 records_processed=7"}',
    b'{"timestamp":"2024-01-15T10:30:59.999Z","consumer_group":"g","topic":"t","partition":3,"consumer_lag":5}',
    b'{"timestamp":"2024-01-15T10:31:00.000Z","service":"s","model_version":"v","confidence":0.5,"level":"ERROR"}',
    b'{"timestamp":1705314600,"service":"s","model_version":"v","prediction":"caf\xc3\xa9","exc_type":"E"}',
    b'{"dag_id":"d","state":"failed"}',
]


@given(st.lists(st.sampled_from(HOSTILE + GOOD) | st.binary(max_size=20) | logs.map(json.dumps).map(str.encode)))
def test_a_batch_is_its_values_one_by_one(values):
    for kind in KINDS.values():
        lines, rows, rejected = kind.decode(values, 1_705_314_600_000 + np.arange(len(values)))
        whys = dict(rejected)
        assert sorted([*rows.tolist(), *whys]) == list(range(len(values)))
        assert rows.tolist() == sorted(rows.tolist())
        for row, value in enumerate(values):
            alone = decode(kind, value, 1_705_314_600_000 + row)
            if row in whys:
                assert alone == whys[row]
            else:
                same(alone, lines.take(np.flatnonzero(rows == row)))


def same(one, two):
    """Two Lines are equal, column by column."""
    for name in one.__slots__:
        mine, theirs = getattr(one, name), getattr(two, name)
        if name in ("values", "gauges"):
            assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(mine, theirs, strict=True))
        else:
            assert np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else mine == theirs


def test_deep_nesting_and_two_megabytes():
    check(b'{"x":' + b"[" * 100_000)
    check(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert decode(KINDS["ml"], b" " * (2 << 20)).reason == "too_large"


instants = st.datetimes(datetime(2000, 1, 2), datetime(9999, 12, 30)).map(
    lambda d: d.replace(microsecond=d.microsecond // 1000 * 1000, tzinfo=UTC)
)


@given(instants, st.integers(-14 * 60, 14 * 60))
def test_one_instant_in_every_notation(moment, minutes):
    wanted = round(moment.timestamp() * 1000)
    millis = f"{moment.microsecond // 1000:03}"
    plain = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    local = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert parse_timestamp(f"{plain}.{millis}Z") == wanted
    assert parse_timestamp(f"{plain}.{millis}Z") == wanted  # by the dictionaries, the second time
    assert parse_timestamp(f"{plain}.{millis}999z") == wanted
    assert parse_timestamp(f"{plain.replace('T', ' ')},{millis}") == wanted
    assert parse_timestamp(f"{plain}.{millis}") == wanted
    assert parse_timestamp(local.isoformat(timespec="milliseconds")) == wanted
    assert parse_timestamp(local.isoformat(timespec="milliseconds")[:-3] + f"{abs(minutes) % 60:02}") == wanted
    if wanted >= 10**11:
        assert parse_timestamp(wanted) == wanted
    if wanted < 10**14:
        assert parse_timestamp(wanted / 1000) == wanted


STAMPS = [
    "2024-01-15T10:30:00.000Z", "2024-01-15T10:30:59.999Z", "2024-01-15 10:30:00,000", "9999-12-31T23:59:59.999Z",
    "2024-01-15T10:30:00.000ZZ", "024-01-15T10:30:00.000Z", "2024-01-15T10:30:60.000Z", "2024-02-30T10:30:00.000Z",
    "2024-01-15T10:30:0:.000Z", "2024-01-15T10:30:00.00/Z", "２024-01-15T10:30:00.00Z",
    "1999-12-31T23:59:59.999Z",
    1_705_314_600, 1_705_314_600_000.5, -1, None, "", "x", "2024-01-15T10:30:00.000",
]  # fmt: skip
plain = instants.map(lambda d: f"{d:%Y-%m-%dT%H:%M:%S}.{d.microsecond // 1000:03}Z".rjust(24, "0"))


@given(st.lists(plain) | st.lists(plain | st.sampled_from(STAMPS)) | st.lists(st.sampled_from(STAMPS)))
@example(["2024-01-15T10:30:00.000Z2", "024-01-15T10:30:00.000Z"])  # end to end, two plain ones
def test_a_column_of_timestamps_is_its_values_one_by_one(column):
    each = [None if value is None else parse_timestamp(value) for value in column]
    assert parse_timestamps(column).tolist() == [-1 if millis is None else millis for millis in each]


@pytest.mark.parametrize(
    "stamp",
    ["", "x", "2024-13-01T00:00:00Z", "2024-01-15", "2024-01-15T10:30", "2024-01-15T10:30:60.000Z",
     "1999-12-31T00:00:00Z",     "２０２４-01-15T10:30:00.000Z", 0, -1, 1e300, 946_684_799],
)  # fmt: skip
def test_a_timestamp_that_cannot_be_read(stamp):
    assert parse_timestamp(stamp) is None


def test_no_timestamp_is_the_kafka_records():
    assert decode(KINDS["airflow"], b'{"dag_id":"d"}', 1_705_314_600_123).timestamp_ms == [1_705_314_600_123]
    assert decode(KINDS["airflow"], b'{"dag_id":"d"}', -1).reason == "bad_timestamp"  # it has none either


@pytest.mark.parametrize("level", ["ERROR", "error", "Error", " CRITICAL ", "fatal"])
def test_error_levels(level):
    assert is_error_level(level)


@pytest.mark.parametrize("level", ["", "WARN", "ERRORS", "SUCCESS", "INFO"])
def test_other_levels(level):
    assert not is_error_level(level)


@given(st.text())
def test_a_label_is_bounded_and_short_ones_stay(text):
    bounded = bounded_label(text)
    assert len(bounded) <= LABEL_MAX
    assert bounded == text or len(text) > LABEL_MAX


def test_two_long_labels_stay_apart():
    assert bounded_label("x" * 500 + "a") != bounded_label("x" * 500 + "b")
