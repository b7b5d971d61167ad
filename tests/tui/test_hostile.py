"""Names and logs that would break a screen: markup, escapes, emoji, right-to-left, 10,000 characters."""

from __future__ import annotations

import orjson
import pytest
from rich.cells import cell_len

from stream_monitor import wire
from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.metric import Metric
from stream_monitor.core.window import MINUTE_MS, window_start
from stream_monitor.feed import FixedFeed, RawRecord
from stream_monitor.kinds import KINDS
from stream_monitor.tui.pane import KIND_TABS, TABS
from stream_monitor.tui.raw import RawScreen, pretty
from tests.lines import decode, fold_one
from tests.tui.apps import app_of, run, settled
from tests.tui.data import NOW
from tests.tui.test_chart import HOSTILE

NAMES = [name.encode("utf-8", "replace").decode() for name in HOSTILE if name]
LINES = {
    "airflow": lambda name: {"dag_id": name, "task_id": name, "duration": 3, "level": "ERROR",
                             "exc_type": "E" * 150},
    "kafka": lambda name: {"consumer_group": name, "topic": name, "partition": 0, "consumer_lag": 5,
                           "latency_ms": 3, "messages_per_second": 7, "level": "ERROR"},
    "ml": lambda name: {"service": name, "model_version": name, "prediction": name, "confidence": 0.5,
                        "latency_ms": 3},
}  # fmt: skip

TIMES = (NOW, -1, 2**63 - 1, NOW * 1000)
"""A producer stamps its records itself: none, the last there is, microseconds."""

pytestmark = pytest.mark.screen


def hostile_feed():
    """Each name in each kind, in an alert, and in the logs."""
    metrics, raw = [], {}
    for kind, line in LINES.items():
        for offset, name in enumerate(NAMES):
            value = orjson.dumps({"timestamp": NOW - MINUTE_MS, **line(name)})
            whole = wire.metric_from(blank(kind), KINDS).aggregate
            fold_one(whole, KINDS[kind], decode(KINDS[kind], value), 0, offset)
            labels = (name, name)
            metrics.append(
                wire.metric_value(
                    Metric(KINDS[kind], labels, window_start(NOW - MINUTE_MS), MINUTE_MS, True, whole), "t"
                )
            )
            raw.setdefault((kind, 0), []).append(
                RawRecord(0, offset, TIMES[offset % len(TIMES)], name.encode(), value, ((name, name.encode()),))
            )
    alerts = [
        orjson.dumps({"v": 1, "rule": name, "kind": "ml", "labels": {"service": name, "model_version": name},
                      "entity": name, "state": "firing", "severity": name, "since": "2024-01-15T10:12:00Z",
                      "at": "2024-01-15T10:12:00Z", "value": 1, "summary": name * 3})
        for name in NAMES
    ]  # fmt: skip
    return FixedFeed(metrics, alerts, raw, clock=lambda: NOW)


def blank(kind):
    """A window without records."""
    whole = Aggregate.empty(KINDS[kind])
    return wire.metric_value(Metric(KINDS[kind], ("a", "b"), 0, MINUTE_MS, True, whole), "t")


@pytest.mark.parametrize("size", [(80, 24), (160, 34)])
def test_every_tab_and_record_stays_in_its_frame(size):
    async def look(app, pilot):
        def check():
            lines = [strip.text for strip in app.screen._compositor.render_strips()]
            assert {cell_len(line) for line in lines} == {size[0]}
            assert not any(char in line for line in lines for char in "\x1b\x07\u202e\r\t")

        assert len(app.board.view.series) == 3 * len(NAMES)
        for number, tab in enumerate(TABS, 1):
            await pilot.press(str(number))
            await pilot.pause()
            for _ in NAMES if tab in KIND_TABS and size[0] == 80 else NAMES[:1]:
                app.pane.table.action_move(1)
                await pilot.pause()
                check()
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, RawScreen)
        for _ in NAMES:
            check()
            app.screen.action_exemplar(1)
            await pilot.pause()
        await pilot.press("escape", "1", "slash", *"[bold")
        await settled(pilot)
        check()
        assert len(app.pane.table.items) == 3

    run(app_of(hostile_feed()), look, size)


def test_records_for_reading():
    assert pretty(None) == "(no value)"
    assert pretty(b'{"a":"x\\ny","b":[1]}').startswith('{\n  "a": "x\n    y"')
    assert pretty(b"\xff\x1b[2Jnot json") == "��[2Jnot json"
    assert "characters more" in pretty(b"x" * 100_000)
    assert len(pretty(b"[" * 50_000)) < 30_000
    assert "\u202e" not in pretty('"\u202eabc"'.encode())
