"""Ten windows of each kind, computed by hand: the lines as they are logged, and the numbers they must become.

Bucket i is (2^(i/64), 2^((i+1)/64)]: 2^k is the upper end of bucket 64k - 1, so 1 → -1, 2 → 63, 4 → 127,
8 → 191, 16 → 255, 1024 → 639. A bin is floor(confidence × 128): 0.5 → 64, 0.25 → 32, 1 → 127, 0.9 → 115 (115.2).
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.distribution import ZERO
from stream_monitor.core.fold import fold
from stream_monitor.core.lines import Lines
from stream_monitor.kinds import KINDS
from tests.lines import decode, fold_one

START = 1_705_314_600_000  # 2024-01-15T10:30:00Z
T = "2024-01-15T10:30:{:02}.000Z"


def window(kind, lines):
    """The lines' one window, folded one by one, and at once: the same."""
    values = [json.dumps({"timestamp": T.format(offset)} | line).encode() for offset, line in enumerate(lines)]
    spec = KINDS[kind]
    whole, at_once = Aggregate.empty(spec), Aggregate.empty(spec)
    for offset, value in enumerate(values):
        record = decode(spec, value, START)
        assert isinstance(record, Lines), record
        assert START <= record.timestamp_ms[0] < START + 60_000
        fold_one(whole, spec, record, 0, offset)
    batch, rows, rejected = spec.decode(values, np.full(len(values), START))
    assert not rejected
    fold(spec, [at_once], np.zeros(len(values), np.int64), batch, 0, rows)
    assert at_once == whole
    return whole


def found(whole, wanted):
    """The fields of the aggregate that a case names."""
    measure = whole.measures[0]
    names = {
        "records": whole.records,
        "error_records": whole.error_records,
        "errors": whole.errors,
        "of": whole.of,
        "volume": whole.settled_volume_micro() / 1_000_000,
        "exceptions": whole.exceptions,
        "classes": whole.classes,
        "buckets": measure.counts,
        "sum": measure.sum,
        "min": measure.min,
        "max": measure.max,
        "p50": measure.quantile(0.5),
        "ratio": whole.error_ratio,
        "lag": {key: (last, peak) for key, (_, last, peak, _, _) in whole.gauges[0].items()}
        if whole.gauges
        else None,
        "bins": whole.measures[-1].counts,
        "mean": whole.measures[-1].mean,
        "slowest": whole.slowest,
        "failures": [offset for _, _, _, offset in whole.failures],
    }
    return {name: names[name] for name in wanted}


def done(message, **fields):
    return {"dag_id": "d", "task_id": "t", "level": "INFO", "message": message, **fields}


AIRFLOW = [
    # 1 one run from its message: 45.2 s → 45200 ms; 1 volume of 15000
    ([done("DAG completed - records_processed=15000 duration=45.2")],
     {"records": 1, "of": 1, "errors": 0, "volume": 15000.0, "sum": 45200.0, "min": 45200.0, "p50": 45200.0}),
    # 2 one run from fields; 1.024 s = 1024 ms = 2^10 → bucket 639
    ([done("x", duration=1.024, records_processed=7)], {"of": 1, "volume": 7.0, "buckets": {639: 1}}),
    # 3 a field wins over the message: 0.002 s = 2 ms → 63, not 9 s; 5 and not 6 records
    ([done("duration=9 records_processed=6", duration=0.002, records_processed=5)],
     {"buckets": {63: 1}, "volume": 5.0}),
    # 4 lines that are no run: counted as records, nothing else; no ratio of 0 runs
    ([done("Task started"), done("still running state=running")],
     {"records": 2, "of": 0, "errors": 0, "ratio": None, "buckets": {}, "volume": 0.0}),
    # 5 four runs by state, two of them failed: 2 / 4
    ([done("", state="success"), done("", state="failed"), done("state=up_for_retry"), done("", state="skipped")],
     {"of": 4, "errors": 2, "ratio": 0.5, "error_records": 0}),
    # 6 a run at an error level failed, whatever its state; it names no type, so no exception
    ([done("duration=1", level="ERROR", state="success")],
     {"of": 1, "errors": 1, "error_records": 1, "exceptions": {}}),
    # 7 error lines that are no run: exceptions, by type where one is named
    ([done("boom", level="ERROR"), done("x", level="critical", exc_type="ValueError"), done("x", level="FATAL")],
     {"of": 0, "errors": 0, "error_records": 3, "exceptions": {"unknown": 2, "ValueError": 1}}),
    # 8 two runs: 1 ms and 4 ms → buckets -1 and 127; sum 5; the slowest is the second (offset 1, at second 1)
    ([done("duration=0.001"), done("duration=0.004s")],
     {"buckets": {-1: 1, 127: 1}, "sum": 5.0, "min": 1.0, "max": 4.0, "slowest": (4.0, START + 1000, 0, 1)}),
    # 9 what only looks like a pair is none: a name that goes on before or after, a value that is no number
    ([done("max_duration=5 duration=soon duration=45ms x.duration=3 records_processed=1.2.3")],
     {"of": 0, "volume": 0.0, "records": 1}),
    # 10 a line of the DAG itself, a zero duration, a traceback in the message
    ([done("duration=0", task_id=None),
      done("Traceback (most recent call last):\n  File x\nlib.errors.Broken: no", level="ERROR")],
     {"records": 2, "of": 1, "buckets": {ZERO: 1}, "exceptions": {"lib.errors.Broken": 1}, "failures": [1]}),
]  # fmt: skip


def report(**fields):
    return {"consumer_group": "g", "topic": "t", "level": "INFO", **fields}


KAFKA = [
    # 1 one report: 1250 messages/s over a minute = 75000; lag 150
    ([report(partition=0, consumer_lag=150, latency_ms=25.5, messages_per_second=1250)],
     {"records": 1, "of": 1, "errors": 0, "volume": 75000.0, "sum": 25.5, "lag": {"0": (150.0, 150.0)}}),
    # 2 the mean of two reports of one partition: (10 + 20) / 2 × 60 = 900
    ([report(partition=0, messages_per_second=n) for n in (10, 20)], {"volume": 900.0}),
    # 3 partitions are added: (10 + 20)/2 × 60 + 5 × 60 = 1200
    ([report(partition=0, messages_per_second=10), report(partition=0, messages_per_second=20),
      report(partition=1, messages_per_second=5)], {"volume": 1200.0, "of": 3}),
    # 4 a third that does not divide: (1 + 1 + 2)/3 × 60 = 80
    ([report(partition=0, messages_per_second=n) for n in (1, 1, 2)], {"volume": 80.0}),
    # 5 last and max of the lag: 5, 90, 7 → last 7, max 90
    ([report(partition=2, consumer_lag=n) for n in (5, 90, 7)], {"lag": {"2": (7.0, 90.0)}, "volume": 0.0}),
    # 6 the later event time wins, not the later line
    ([report(partition=0, consumer_lag=1, timestamp=T.format(30)), report(partition=0, consumer_lag=2)],
     {"lag": {"0": (1.0, 2.0)}}),
    # 7 of two at the same time the larger value is last
    ([report(partition=0, consumer_lag=n, timestamp=T.format(9)) for n in (8, 3)], {"lag": {"0": (8.0, 8.0)}}),
    # 8 an error report without a partition: counted, failed, and named: 1 of 2
    ([report(level="ERROR", exc_type="CommitFailedError"), report(partition=0, consumer_lag=0)],
     {"of": 2, "errors": 1, "ratio": 0.5, "exceptions": {"CommitFailedError": 1}, "lag": {"0": (0.0, 0.0)}}),
    # 9 latencies 1, 2, 4, 8, 16 ms: sum 31, the middle one is 4 and its bucket ends at 4
    ([report(latency_ms=n) for n in (1, 2, 4, 8, 16)],
     {"buckets": {-1: 1, 63: 1, 127: 1, 191: 1, 255: 1}, "sum": 31.0, "min": 1.0, "max": 16.0}),
    # 10 no number at all is still a report; an error without a type is counted, so it is no exception
    ([report(), report(level="ERROR")], {"records": 2, "of": 2, "errors": 1, "exceptions": {}, "buckets": {}}),
]  # fmt: skip


def prediction(**fields):
    return {"service": "s", "model_version": "v", "level": "INFO", **fields}


ML = [
    # 1 one prediction: bin floor(0.5 × 128) = 64
    ([prediction(prediction="a", confidence=0.5, latency_ms=2)],
     {"records": 1, "of": 1, "volume": 1.0, "classes": {"a": 1}, "bins": {64: 1}, "buckets": {63: 1}}),
    # 2 the edges of confidence: 0 → bin 0, 1 → bin 127; mean 0.5
    ([prediction(confidence=0), prediction(confidence=1)], {"bins": {0: 1, 127: 1}, "mean": 0.5, "of": 2}),
    # 3 0.9 × 128 = 115.2 → 115; 0.25 × 128 = 32
    ([prediction(confidence=0.9), prediction(confidence=0.25)], {"bins": {115: 1, 32: 1}}),
    # 4 a line that is no prediction
    ([prediction(message="model loaded")], {"records": 1, "of": 0, "volume": 0.0, "ratio": None}),
    # 5 an error line that is no prediction is an exception; one that is one has failed
    ([prediction(level="ERROR"), prediction(level="ERROR", prediction_id="p")],
     {"of": 1, "errors": 1, "ratio": 1.0, "error_records": 2, "exceptions": {"unknown": 1}}),
    # 6 classes: text, whole numbers and truth values; a fraction, a list and an empty text are none
    ([prediction(prediction=p) for p in ("a", 7, True, False, 0.5, [1], "")],
     {"of": 7, "volume": 7.0, "classes": {"a": 1, "7": 1, "true": 1, "false": 1}}),
    # 7 exception types in their order: error.type, error: {type}, exc_type
    ([prediction(**{"error.type": "A", "error": {"type": "B"}, "exc_type": "C"}),
      prediction(error={"type": "B"}, exc_type="C"), prediction(exc_type="C")],
     {"exceptions": {"A": 1, "B": 1, "C": 1}, "error_records": 0}),
    # 8 latency 0 has a bucket of its own; the median of 0, 0, 1024 is 0
    ([prediction(latency_ms=n) for n in (0, 0, 1024)], {"buckets": {ZERO: 2, 639: 1}, "p50": 0.0, "sum": 1024.0}),
    # 9 what is beyond the clamp shares its end's bucket; min and max keep the value
    ([prediction(latency_ms=n) for n in (0.0005, 0.001, 1e10, 5e12)],
     {"buckets": {-638: 2, 2125 + 1: 2}, "min": 0.0005, "max": 5e12}),
    # 10 the three newest errors, newest first
    ([prediction(level="ERROR", prediction_id=n) for n in range(5)], {"failures": [4, 3, 2], "errors": 5}),
]  # fmt: skip


def cases():
    for kind, table in (("airflow", AIRFLOW), ("kafka", KAFKA), ("ml", ML)):
        assert len(table) == 10
        for number, (lines, wanted) in enumerate(table, 1):
            yield pytest.param(kind, lines, wanted, id=f"{kind}-{number}")


@pytest.mark.parametrize(("kind", "lines", "wanted"), list(cases()))
def test_a_window_computed_by_hand(kind, lines, wanted):
    assert found(window(kind, lines), wanted) == wanted
