"""Bytes: canonical keys, hostile names, versions, the schemas of the public topics."""

from __future__ import annotations

import json

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor import wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.metric import Metric
from stream_monitor.core.record import Rejected
from stream_monitor.data import data_dir
from stream_monitor.kinds import KINDS
from tests.lines import decode, fold_one

PACK = msgspec.msgpack.encode
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def schema(name):
    return jsonschema.Draft202012Validator(json.loads((data_dir("topics") / f"{name}.schema.json").read_text()))


def metric(kind="ml", labels=("ml.predictor", "v1.2.3")):
    spec = KINDS[kind]
    whole = Aggregate.empty(spec)
    line = {"ml": b'{"service":"s","model_version":"v","latency_ms":5,"confidence":0.5,"prediction":"a"}',
            "kafka": b'{"consumer_group":"g","topic":"t","partition":0,"consumer_lag":3,"messages_per_second":2}',
            "airflow": b'{"dag_id":"d","duration":1,"records_processed":3}'}[kind]  # fmt: skip
    fold_one(whole, spec, decode(spec, line), 3, 88123)
    return Metric(spec, labels, 1_705_314_600_000, 60_000, True, whole)


def test_keys_are_canonical_json():
    series = wire.series_key("ml", ("ml.predictor", "v1.2.3"))
    assert series == b'["ml",["ml.predictor","v1.2.3"]]'
    assert wire.metric_key(series, 1705314600000) == b'["ml",["ml.predictor","v1.2.3"],1705314600000]'
    assert wire.series_parts(series) == ("ml", ("ml.predictor", "v1.2.3"))


@given(names, names)
def test_any_names_make_a_key_that_reads_back(one, two):
    series = wire.series_key("kafka", (one, two))
    assert wire.series_parts(series) == ("kafka", (one, two))
    assert json.loads(wire.metric_key(series, 60_000)) == ["kafka", [one, two], 60_000]
    assert 0 <= wire.partition_for(series, 7) < 7


@given(st.sampled_from(["airflow", "kafka", "ml"]), names, names)
def test_what_is_published_follows_its_schema_whatever_the_names(kind, one, two):
    value = wire.metric_value(metric(kind, (one, two)), "p.logs.x")
    schema("metrics").validate(json.loads(value))
    line = wire.metric_line(value)
    assert line.place == (kind, (one, two), 60_000, 1_705_314_600_000)


def test_an_empty_measure_is_absent_and_a_rate_of_nothing_is_null():
    spec = KINDS["airflow"]
    whole = Aggregate.empty(spec)
    fold_one(whole, spec, decode(spec, b'{"dag_id":"d","message":"started"}'), 0, 0)
    value = json.loads(wire.metric_value(Metric(spec, ("d", ""), 1_705_314_600_000, 60_000, False, whole), "t"))
    schema("metrics").validate(value)
    assert value["measures"] == {}
    assert value["error_rate"] is None
    assert value["entity"] == "d"


@given(st.binary(max_size=9000), st.text())
def test_any_rejected_record_is_a_valid_dlq_record(raw, detail):
    key, value = wire.dlq_record(Rejected("not_json", detail), "ml", ("p.logs.ml", 3, 88123, 1), raw)
    record = json.loads(value)
    schema("dlq").validate(record)
    assert json.loads(key) == ["p.logs.ml", 3, 88123]
    assert record["truncated"] == (len(raw) > len(record["value"].encode())) or "�" in record["value"]


def test_a_late_partial_is_a_valid_dlq_record():
    _, value = wire.dlq_late_partial(KINDS["ml"], ("s", "v"), 1_705_314_600_000, ("p.logs.ml", 1, 9), 12)
    schema("dlq").validate(json.loads(value))


@given(st.integers(946_684_800_000, 253_402_300_799_999))
def test_times_read_back(ms):
    assert wire.from_iso(wire.iso(ms)) == ms
    assert wire.from_iso(wire.iso_second(ms)) == ms // 1000 * 1000


def test_ticks_and_rows_read_back():
    tick = wire.Tick("ml", 3, 4, 7, 1_705_314_600_000, 5, True, 6)
    assert wire.partials_in(wire.tick_out(tick)) == tick
    assert wire.row_in(wire.row_out({"position": 7})) == {"position": 7}


@given(st.binary() | st.recursive(st.none() | st.integers(-3, 3) | st.sampled_from("pt"), st.lists).map(PACK))
def test_what_is_no_partial_is_foreign(value):
    with pytest.raises((wire.ForeignRecordError, wire.UnknownVersionError)):
        wire.partials_in(value)


@pytest.mark.parametrize("what", ["t", "p"])
def test_an_unknown_version_is_never_skipped(what):
    with pytest.raises(wire.UnknownVersionError):
        wire.partials_in(PACK((2, what)))
    with pytest.raises(wire.ForeignRecordError):
        wire.partials_in(PACK((None, what)))
    with pytest.raises(wire.UnknownVersionError):
        wire.row_in(msgspec.msgpack.encode({"v": 2}))


@given(st.binary())
def test_what_is_no_metric_is_an_error_of_ours(raw):
    with pytest.raises(wire.WireError):
        wire.metric_from(raw, KINDS)
    with pytest.raises(wire.WireError):
        wire.metric_line(raw)


def test_a_volume_beyond_64_bits_is_a_number_in_json():
    kind = KINDS["kafka"]
    whole = Aggregate.empty(kind)
    whole.records, whole.volume_micro = 1, 10**30
    value = wire.metric_value(Metric(kind, ("g", "t"), 0, 60_000, True, whole), "logs.kafka")
    assert json.loads(value)["volume"] == 1e24
    assert wire.metric_from(value, KINDS).volume == 1e24


@pytest.mark.parametrize(("value", "cut"), [(b"x" * 4096, False), (b"x" * 4097, True), (b"\xff" * 12_000, True)])
def test_a_dead_letter_says_whether_its_value_was_cut(value, cut):
    _, letter = wire.dlq_record(Rejected("not_json", ""), "ml", ("t", 0, 0, 0), value)
    assert json.loads(letter)["truncated"] is cut
