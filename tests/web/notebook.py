"""docs/notebooks/pipeline_dashboard.ipynb runs from its first cell to its last, and its controls do something."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.test_feed import now_ms, pipeline_until, publish
from tests.tui.data import values_of

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebooks" / "pipeline_dashboard.ipynb"

ASKS = """
whole = len(plots.outputs)
kind.value = "ml"
one = [name for name in names.options][:1]
names.value = tuple(one)
print(whole, len(plots.outputs), said.value, len(names.options), "text/csv" in export.value)
task.cancel()
"""


def test_it_runs(embedded, make_settings, monkeypatch):
    settings, now = make_settings(embedded), now_ms()
    publish(settings, values_of(pipeline_until(now, 0.9), now_ms=now))
    monkeypatch.setenv("STREAM_MONITOR_BROKER", settings.broker)
    monkeypatch.setenv("STREAM_MONITOR_PREFIX", settings.prefix)
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[2]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    notebook.cells.append(nbformat.v4.new_code_cell(ASKS))
    NotebookClient(notebook, timeout=45, kernel_name="python3").execute()
    first = notebook.cells[1].outputs[0]["data"]["text/html"]
    assert "p99_ms" in first
    whole, some, chosen, _, names, has_csv = notebook.cells[-1].outputs[0]["text"].split()
    assert int(whole) >= 6
    assert int(some) >= 5
    assert (chosen, names, has_csv) == ("1", "3", "True")
