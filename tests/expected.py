"""Results against the independent oracle of fixtures/expect.py: everything exact, quantiles within the bound."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Mapping
from typing import Any

from stream_monitor.core.distribution import BINS, RELATIVE_ERROR, ZERO, Distribution
from stream_monitor.core.metric import Metric
from stream_monitor.data import data_dir

_spec = importlib.util.spec_from_file_location("expect", data_dir("fixtures") / "expect.py")
assert _spec is not None
assert _spec.loader is not None
expect = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(expect)

FIXTURES = [data_dir("fixtures") / f"example_{kind}_logs.jsonl" for kind in ("airflow", "kafka", "ml")]

Key = tuple[str, tuple[str, ...], int, int]


def fixture_windows(shift_ms: int = 0) -> dict[Key, dict[str, Any]]:
    """The expected windows of the three example topics, moved in time."""
    rows = {}
    for kind in ("airflow", "kafka", "ml"):
        for line in (data_dir("fixtures") / "expected" / f"{kind}.jsonl").read_text().splitlines():
            row = json.loads(line)
            row["window_start_ms"] += shift_ms
            for gauge in row["gauges"].values():
                for seen in gauge.values():
                    seen["at_ms"] += shift_ms
            rows[kind, tuple(row["labels"]), row["size_s"], row["window_start_ms"]] = row
    return rows


def differences(found: Mapping[Key, Metric], wanted: Mapping[Key, dict[str, Any]]) -> list[str]:
    """One line for each difference; empty where all is as expected."""
    lines = [f"missing: {key}" for key in wanted.keys() - found.keys()]
    lines += [f"not expected: {key}" for key in found.keys() - wanted.keys()]
    for key in sorted(wanted.keys() & found.keys()):
        lines += [f"{key}: {line}" for line in _differences(found[key], wanted[key])]
    return lines


def _differences(metric: Metric, row: dict[str, Any]) -> Iterable[str]:
    whole = metric.aggregate
    pairs: dict[str, tuple[Any, Any]] = {
        "records": (whole.records, row["records"]),
        "revision": (metric.revision, row["records"]),
        "error_records": (whole.error_records, row["error_records"]),
        "errors": (whole.errors, row["errors"]),
        "of": (whole.of, row["of"]),
        "volume": (metric.volume, row["volume"]),
        "exceptions": (whole.exceptions, row["exceptions"]),
        "classes": (whole.classes, row["classes"]),
    }
    for name, gauge in zip(metric.kind.gauges, whole.gauges, strict=True):
        wanted = {p: [g["at_ms"], g["last"], g["max"]] for p, g in row["gauges"].get(name, {}).items()}
        pairs[name] = ({p: g[:3] for p, g in gauge.items()}, wanted)
    for (name, _), measure in zip(metric.kind.measures, whole.measures, strict=True):
        if name not in row["measures"]:
            pairs[name] = (measure.count, 0)
        else:
            pairs |= _measure_pairs(name, measure, row["measures"][name])
    return [
        f"{name}: {found!r}, expected {wanted!r}" for name, (found, wanted) in pairs.items() if found != wanted
    ]


def _measure_pairs(name: str, measure: Distribution, row: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    counts = dict(measure.counts)
    pairs = {
        f"{name}.count": (measure.count, row["count"]),
        f"{name}.sum": (measure.sum_micro, row["sum_micro"]),
        f"{name}.min": (measure.min, row["min"]),
        f"{name}.max": (measure.max, row["max"]),
    }
    if "bins" in row:
        bound = dict.fromkeys(("p5", "p50"), 0.5 / BINS)
        pairs[f"{name}.bins"] = (counts, {int(i): n for i, n in row["bins"].items()})
    else:
        bound = {q: row[q] * RELATIVE_ERROR * (1 + 1e-9) for q in ("p50", "p95", "p99")}
        pairs[f"{name}.zero"] = (counts.pop(ZERO, 0), row["zero_count"])
        pairs[f"{name}.buckets"] = (counts, {int(i): n for i, n in row["buckets"].items()})
    values = measure.at_quantiles([q for _, q in measure.quantiles])
    for (label, _), value in zip(measure.quantiles, values, strict=True):
        assert value is not None
        close = abs(value - row[label]) <= bound[label]
        pairs[f"{name}.{label}"] = (value, value if close else row[label])
    return pairs
