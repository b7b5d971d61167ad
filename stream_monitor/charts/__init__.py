"""A view → Plotly figures, as plain dictionaries: the web view, the notebook and the HTML report draw the same.

A figure is `{"data": […], "layout": {…}}`: plotly.js takes it, and so does `plotly.graph_objects.Figure(figure)`.
No module here imports plotly, which takes half a second. Times are UTC milliseconds; a missing value is null, a
gap.
A trace's `meta` names the series behind it: `{"kind": …, "names": […]}`, as in the API.

What came out of a log is text: `plain` makes it so for plotly's labels, which would read tags in it.
"""

from __future__ import annotations

from stream_monitor.charts.figure import Chart, Scene, plain
from stream_monitor.charts.over_time import confidence, errors, lag, latency, volume
from stream_monitor.charts.whole import drift, latency_by, share

__all__ = ["Chart", "Scene", "charts", "plain"]


def charts(scene: Scene) -> list[Chart]:
    """All that the range has something for, in the order of the page."""
    found = [volume(scene), latency(scene), errors(scene), share(scene)]
    if scene.is_warm:
        found.append(latency_by(scene))
        if scene.of_kind("kafka"):
            found.append(lag(scene))
        if scene.of_kind("ml"):
            found += [confidence(scene), drift(scene)]
    return found
