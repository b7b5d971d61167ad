"""docs/notebooks/pipeline_dashboard.ipynb runs from its first cell to its last, and its controls do something."""

from __future__ import annotations

import queue
import time
from functools import partial
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.test_feed import now_ms, pipeline_until, publish
from tests.tui.data import values_of

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebooks" / "pipeline_dashboard.ipynb"
CELL_S = 90

ASKS = """
whole = len(plots.outputs)
kind.value = "ml"
one = [name for name in names.options][:1]
names.value = tuple(one)
print(whole, len(plots.outputs), said.value, len(names.options), "text/csv" in export.value)
task.cancel()
"""


class Client(NotebookClient):
    """Looks each half second whether the cell's reply has come, and notes how long each cell took.

    nbclient mirrors an Output widget and sends its state on the very socket on which it waits for the reply, past
    asyncio (jupyter_client sends through a shadow of the socket). ZeroMQ tells of a message once: where the send
    takes that notice, the wait, left alone, lasts until the cell's time is over, and only then finds the reply.
    """

    def __init__(self, notebook, **options):
        super().__init__(notebook, **options)
        self.took = []
        self.on_cell_execute = self._begin
        self.on_cell_executed = self._end

    def _begin(self, **_):
        self._began = time.monotonic()
        channel = self.kc.shell_channel
        if "get_msg" not in vars(channel):
            channel.get_msg = partial(looking, channel.get_msg)

    def _end(self, **_):
        self.took.append(time.monotonic() - self._began)


async def looking(get, timeout=None):
    """A message, as `get` has it."""
    deadline = time.monotonic() + (timeout or 0)
    while True:
        try:
            return await get(timeout=0.5)
        except queue.Empty:
            if time.monotonic() > deadline:
                raise


def test_it_runs(embedded, make_settings, monkeypatch):
    settings, now = make_settings(embedded), now_ms()
    publish(settings, values_of(pipeline_until(now, 0.9), now_ms=now))
    monkeypatch.setenv("STREAM_MONITOR_BROKER", settings.broker)
    monkeypatch.setenv("STREAM_MONITOR_PREFIX", settings.prefix)
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[2]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    notebook.cells.append(nbformat.v4.new_code_cell(ASKS))
    client = Client(notebook, timeout=CELL_S, kernel_name="python3")
    client.execute()
    assert max(client.took) < CELL_S, "no cell waits for its time to be over"
    first = notebook.cells[1].outputs[0]["data"]["text/html"]
    assert "p99_ms" in first
    whole, some, chosen, _, names, has_csv = notebook.cells[-1].outputs[0]["text"].split()
    assert int(whole) >= 6
    assert int(some) >= 5
    assert (chosen, names, has_csv) == ("1", "3", "True")
