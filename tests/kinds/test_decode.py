"""Whatever stands in a record: a Record, or Rejected with a known reason and one short line; no exception."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.core.record import LABEL_MAX, Reason, Record, Rejected, bounded_label
from stream_monitor.kinds import KINDS
from stream_monitor.kinds.line import is_error_level
from stream_monitor.kinds.timestamp import parse_timestamp

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
        found = kind.decode(value, 1_705_314_600_000)
        if isinstance(found, Rejected):
            assert found.reason in get_args(Reason)
            assert "\n" not in found.detail
        else:
            assert isinstance(found, Record)
            assert len(found.values) == len(kind.measures)
            assert all(v is None or 0 <= v <= 1e18 for v in (*found.values, *found.gauges))


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


def test_deep_nesting_and_two_megabytes():
    check(b'{"x":' + b"[" * 100_000)
    check(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert KINDS["ml"].decode(b" " * (2 << 20), 0).reason == "too_large"


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


@pytest.mark.parametrize(
    "stamp",
    ["", "x", "2024-13-01T00:00:00Z", "2024-01-15", "2024-01-15T10:30", "2024-01-15T10:30:60.000Z",
     "1999-12-31T00:00:00Z",     "２０２４-01-15T10:30:00.000Z", 0, -1, 1e300, 946_684_799],
)  # fmt: skip
def test_a_timestamp_that_cannot_be_read(stamp):
    assert parse_timestamp(stamp) is None


def test_no_timestamp_is_the_kafka_records():
    assert KINDS["airflow"].decode(b'{"dag_id":"d"}', 1_705_314_600_123).timestamp_ms == 1_705_314_600_123
    assert KINDS["airflow"].decode(b'{"dag_id":"d"}', -1).reason == "bad_timestamp"  # it has none either


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
