"""Figures: what is drawn is what the view holds, plotly takes it, and a log's text stays text."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys

import orjson
import pytest

from stream_monitor.board.cards import items_of
from stream_monitor.board.colours import colours, contrast, shades
from stream_monitor.board.name import name_of, series_of
from stream_monitor.board.when import When
from stream_monitor.charts import Scene, charts, plain
from stream_monitor.charts.figure import LINES, line_of
from stream_monitor.core.window import MINUTE_MS
from stream_monitor.feed import FixedFeed
from stream_monitor.feed.store import warm
from stream_monitor.kinds import KINDS
from tests.tui.data import NOW, feed, hour

HOSTILE = "<img src=x onerror=alert(1)>&lt;b%{x}"


def scene_of(found, *, dark=False, words=(), length_ms=3_600_000):
    view = found.view(When(length_ms).query(NOW, words=words))
    for _ in warm(list(view.totals.values())):
        pass
    return Scene(view, items_of(view), colours(dark=dark))


def drawn(scene):
    return {chart.name: chart for chart in charts(scene)}


def test_volume_is_that_of_the_series_and_the_last_open_step_is_left_out():
    scene = scene_of(feed())
    traces = drawn(scene)["volume"].figure["data"]
    by_name = {trace["meta"]["names"][0]: trace for trace in traces if len(trace["meta"]["names"]) == 1}
    for item in scene.items:
        trace = by_name.get(name_of(*item.key))
        if trace is not None:
            assert trace["y"] == item.volumes
            assert trace["y"][-1] is None
            assert len(trace["x"]) == len(trace["y"]) == len(scene.times)
    assert len(by_name) >= 3
    assert {trace["yaxis"] for trace in traces} == {"y", "y2", "y3"}


@pytest.mark.parametrize("dark", [True, False])
def test_every_line_of_the_volume_chart_is_told_from_every_other(dark):
    """By its colour wherever two are alike in their dash; each stands out from the ground."""
    of = colours(dark=dark)
    every = [shade for kind in of.kinds.values() for shade in shades(kind, of.surface, LINES - 1)]
    assert len(set(every)) == len(every) == 15
    assert min(contrast(shade, of.surface) for shade in every) >= 3
    for kind in of.kinds.values():
        own = sorted(contrast(shade, of.surface) for shade in shades(kind, of.surface, LINES - 1))
        assert min(high / low for low, high in itertools.pairwise(own)) > 1.2
    data = charts(scene_of(feed(), dark=dark))[0].figure["data"]
    looks = [(trace["line"]["color"], trace["line"]["dash"]) for trace in data if "others" not in trace["name"]]
    assert len(set(looks)) == len(looks) > 10


def test_a_lonely_value_is_a_dot_and_no_other():
    """Markers cost a browser an element each."""
    scene = scene_of(feed())
    of = line_of(scene, "x", [1, None, 2, 3, None, 4], "#000000", str)
    assert (of["mode"], of["marker"]["size"]) == ("lines+markers", [6, 0, 0, 0, 0, 6])
    assert "marker" not in line_of(scene, "x", [1, 2, None, 3, 4], "#000000", str)


def test_latency_boxes_are_quantiles_of_the_sketches():
    scene = scene_of(feed())
    box, *lines = drawn(scene)["latency"].figure["data"]
    totals = [scene.view.totals[name] for name in ("kafka", "ml")]
    index = 5
    whole = totals[0].kind.measures[0][1]()
    for line in totals:
        whole.merge(line.parts[index].aggregate.measures[0])
    at = scene.times[index] + MINUTE_MS / 2
    place = box["x"].index(at)
    names = ("lowerfence", "q1", "median", "q3", "upperfence")
    assert [box[name][place] for name in names] == whole.at_quantiles((0.05, 0.25, 0.5, 0.75, 0.95))
    assert [line["y"][lines[0]["x"].index(at)] for line in lines] == whole.at_quantiles((0.5, 0.95, 0.99))


def test_errors_share_lag_and_confidence():
    scene = scene_of(feed())
    found = drawn(scene)
    errors = sum(item.line.sums.errors for item in scene.items)
    (bars,) = found["errors"].figure["data"]
    counted = [part for line in scene.view.totals.values() for part in line.parts if part]
    assert errors == sum(part.errors for part in counted) > 0
    assert max(bars["y"]) > 0
    (pie,) = found["share"].figure["data"]
    assert sum(pie["values"]) == sum(item.line.sums.records for item in scene.items)
    assert len(pie["labels"]) == len(set(pie["labels"])) == len(pie["marker"]["colors"])
    lags = found["lag"].figure["data"]
    assert max(value for value in lags[0]["y"] if value) == max(
        value for item in scene.items for value in item.lags if value
    )
    for trace in found["confidence"].figure["data"]:
        assert all(0 <= value <= 1 for value in trace["y"] if value is not None)


def test_an_empty_range_says_so_and_draws_nothing():
    found = drawn(scene_of(FixedFeed([], clock=lambda: NOW)))
    assert {chart.empty for chart in found.values()} == {"There is no data in this range."}


def test_what_is_not_decoded_yet_is_not_drawn():
    scene = scene_of(feed())
    cold = Scene(scene.view, scene.items, scene.colours, is_warm=False)
    assert "latency_by" not in drawn(cold)
    assert drawn(cold)["volume"].figure["data"]


def renamed(value, label):
    record = orjson.loads(value)
    first = next(iter(record["labels"]))
    record["labels"][first] = record["entity"] = label
    return orjson.dumps(record)


def test_a_hostile_name_stays_text_in_every_figure():
    values = [renamed(value, HOSTILE) for value in hour()[0]]
    found = drawn(scene_of(FixedFeed(values, clock=lambda: NOW)))
    assert "<img" not in shown(found)
    assert "&lt;img" in shown(found)


def shown(found):
    """What plotly reads as text: names, labels, categories; not `meta`."""
    out = []
    for chart in found.values():
        for trace in chart.figure["data"]:
            out += [trace.get("name", ""), *map(str, trace.get("labels", ())), *map(str, trace.get("y") or ())]
    return "\n".join(out)


def test_plain_text():
    assert plain("a<b>&") == "a&lt;b&gt;&amp;"
    assert plain("a\x00\u202eb") == "a��b"
    assert len(plain("x" * 500)) <= 44


def test_names_stand_for_one_series():
    for labels in (("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c"), ("", "x"), ("%", "/")):
        assert series_of(name_of("ml", labels), KINDS) == ("ml", labels)
    assert series_of("ml:only", KINDS) is None
    assert series_of("nosuch:a/b", KINDS) is None


@pytest.mark.slow
@pytest.mark.parametrize("dark", [True, False])
def test_plotly_takes_every_figure(dark):
    import plotly.graph_objects as go

    for chart in charts(scene_of(feed(), dark=dark)):
        go.Figure(chart.figure)  # raises for any name or value that it does not know


def test_plotly_is_not_imported():
    code = "import sys, stream_monitor.charts; print('plotly' in sys.modules, 'textual' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert ast.literal_eval(found.replace(" ", ",")) == (False, False)
