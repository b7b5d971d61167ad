"""The exporter against the metrics themselves: exact counts and buckets, and corrections count once."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from stream_monitor import wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.alert import Transition
from stream_monitor.core.distribution import Histogram
from stream_monitor.core.metric import Metric
from stream_monitor.core.rule import Absent, Rule
from stream_monitor.core.window import HOUR_MS, MINUTE_MS
from stream_monitor.exporters.prometheus import BOUNDS_S, PipelineCollector
from stream_monitor.kinds import KINDS
from tests.alerts import START, day


def minute(n, latencies=(5.0,), labels=("s", "v"), records=None):
    whole = Aggregate.empty(KINDS["ml"])
    whole.records = whole.of = len(latencies) if records is None else records
    whole.volume_micro = whole.of * 1_000_000
    values = np.array(latencies)
    buckets, times = np.unique(Histogram.buckets(values), return_counts=True)
    whole.measures[0].take(
        buckets.tolist(), times.tolist(), round(sum(latencies) * 1e6), min(latencies), max(latencies)
    )
    metric = Metric(KINDS["ml"], labels, START + n * MINUTE_MS, MINUTE_MS, True, whole)
    return wire.observed(wire.metric_value(metric, "logs"))


def scraped(collector):
    registry = CollectorRegistry()
    registry.register(collector)
    text = generate_latest(registry).decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found, name):
    return sum(value for key, value in found.items() if key[0] == name)


VALUES = st.lists(st.floats(0, 2e7), min_size=1, max_size=50)


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_buckets_are_exact(minutes):
    """Every value at or below a bound is counted there, also one that is the bound."""
    minutes[0] += [2.0**power for power in range(25)]
    collector = PipelineCollector(KINDS)
    collector.take(0, [minute(n, latencies) for n, latencies in enumerate(minutes)])
    found, every = scraped(collector), [value for latencies in minutes for value in latencies]
    name = "stream_monitor_ml_latency_seconds_bucket"
    for bound in BOUNDS_S:
        (count,) = [v for k, v in found.items() if k[0] == name and ("le", str(bound)) in k]
        assert count == sum(value <= bound * 1000 for value in every)
    assert total(found, "stream_monitor_ml_latency_seconds_count") == len(every)
    assert total(found, "stream_monitor_ml_latency_seconds_sum") == pytest.approx(sum(every) / 1000, rel=1e-6)


@pytest.mark.slow
def test_the_example_day_adds_up_in_any_order_and_twice():
    records = [wire.observed(value) for value in day()]
    rng, collector = random.Random(1), PipelineCollector(KINDS, correct_ms=48 * HOUR_MS, forget_ms=48 * HOUR_MS)
    records = records[::4]
    again = records + rng.sample(records, 500)
    rng.shuffle(again)
    while again:
        size = rng.choice((1, 7, 300))
        collector.take(0, again[:size])
        del again[:size]
    found = scraped(collector)
    for kind in KINDS:
        of_kind = [record for record in records if record.kind == kind]
        for name, field in (
            ("records", "records"),
            ("attempts", "of"),
            ("failures", "errors"),
            ("volume", "volume"),
        ):
            expected = sum(getattr(record, field) for record in of_kind)
            assert total(found, f"stream_monitor_{kind}_{name}_total") == pytest.approx(expected, rel=1e-12)


def test_a_correction_counts_once():
    collector = PipelineCollector(KINDS)
    for records in (3, 5, 5):
        collector.take(0, [minute(0, records=records)])
    assert total(scraped(collector), "stream_monitor_ml_records_total") == 5


def test_a_series_that_vanishes_is_removed_and_a_partition_that_is_given_away_too():
    collector = PipelineCollector(KINDS, forget_ms=HOUR_MS)
    collector.take(0, [minute(0, labels=("gone", "v"))])
    collector.take(0, [minute(62)])
    collector.take(1, [minute(0, labels=("other", "v"))])
    assert not [key for key in scraped(collector) if ("service", "gone") in key]
    collector.drop(1)
    assert not [key for key in scraped(collector) if ("service", "other") in key]
    assert total(scraped(collector), "stream_monitor_ml_records_total") == 1


def test_cardinality_is_bounded_and_no_record_is_lost():
    collector = PipelineCollector(KINDS, most=3)
    for n in range(10):
        for again in range(2):
            collector.take(0, [minute(again, labels=(f"s{n}", "v"))])
    found = scraped(collector)
    services = {label for key in found for label in key[1:] if label[0] == "service"}
    assert len(services) == 4
    assert total(found, "stream_monitor_ml_records_total") == 20
    assert collector.over_total == 14


def test_alerts_that_fire():
    collector = PipelineCollector(KINDS)
    rule = Rule("R", Absent(None))
    for state in ("firing", "resolved"):
        collector.take_transition(0, Transition(rule, "ml", ("s", "v"), state, "warning", 0, 1, None))
        assert total(scraped(collector), "stream_monitor_alerts") == (state == "firing")


@pytest.mark.slow
def test_alerts_are_bounded_and_those_of_one_name_are_one_sample():
    """A sample that is there twice is an error for Prometheus."""
    collector, rule = PipelineCollector(KINDS, most=3), Rule("R", Absent(1), kind="ml")
    for labels in (("a/b", "c"), ("a", "b/c"), ("d", ""), ("e", ""), ("f", "")):
        collector.take_transition(0, Transition(rule, "ml", labels, "firing", "warning", 0, 1, None))
    registry = CollectorRegistry()
    registry.register(collector)
    page = generate_latest(registry).decode()
    found = [line.split(" ") for line in page.splitlines() if line.startswith("stream_monitor_alerts{")]
    assert {labels.split('entity="')[1].split('"')[0]: float(value) for labels, value in found} == {
        "a/b/c": 2, "d": 1, "__other__": 2,
    }  # fmt: skip
    assert len(found) == 3


@pytest.mark.slow
def test_the_names_are_those_of_the_list():
    """tests/exporters/names.txt, which the dashboard is checked against: every name that can be scraped."""
    collector = PipelineCollector(KINDS)
    for value in day()[:3000]:
        collector.take(0, [wire.observed(value)])
    collector.take_transition(
        0, Transition(Rule("R", Absent(None)), "ml", ("s", "v"), "firing", "warning", 0, 1, 1)
    )
    found = {key[0] for key in scraped(collector)}
    own = {"stream_monitor_records_total", "stream_monitor_lag_records"}
    assert sorted(found | own) == (Path(__file__).parent / "names.txt").read_text().split()
