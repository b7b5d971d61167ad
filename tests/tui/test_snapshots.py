"""How it looks: every tab at three sizes, and every edge; a few app runs, many screens.

After a change that is wanted: pytest tests/tui/test_snapshots.py --snapshot-update
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest_textual_snapshot import SVGImageExtension, normalize_svg

from stream_monitor.feed import FeedState
from stream_monitor.tui.pane import TABS
from tests.tui import data
from tests.tui.apps import app_of, run, settled

SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x60": (200, 60)}
NOW = data.NOW

pytestmark = pytest.mark.screen


@pytest.fixture
def screens(snapshot):
    """Compare the app's screen with the one that is kept under this name."""
    kept = snapshot.use_extension(SVGImageExtension)

    def compare(app, name):
        assert normalize_svg(app.export_screenshot()) == kept(name=name), f"{name} looks otherwise"

    return compare


@pytest.mark.parametrize("size", SIZES)
def test_tabs(screens, size):
    async def look(app, pilot):
        for number, tab in enumerate(TABS, 1):
            for key in (str(number), *(["down"] if tab == "logs" else [])):
                await pilot.press(key)
                await pilot.pause()
            await settled(pilot)
            screens(app, f"{tab}-{size}")

    run(app_of(), look, SIZES[size])


EDGES = {
    "lost": lambda now: FeedState("lost", NOW - 185_000, "no broker answers at 127.0.0.1:9092", NOW - 190_000),
    "ahead": lambda now: replace(now, skew_ms=125_000),
    "behind": lambda now: replace(now, skew_ms=-600_000),
}
MISSING = (
    "topic pipeline.metrics.1d is not on the broker at 127.0.0.1:9092; make it with: stream-monitor topics apply"
)
WITHOUT_DATA = {
    "connecting": lambda now: FeedState("connecting", NOW),
    "reading": lambda now: FeedState("loading", NOW),
    "missing": lambda now: FeedState("missing", NOW, MISSING),
    "empty": lambda now: now,
}


@pytest.mark.parametrize("edges", [EDGES, WITHOUT_DATA], ids=["with data", "without"])
def test_edges(screens, edges):
    feed = data.feed() if edges is EDGES else data.feed([], ())
    usual = feed.now

    async def look(app, pilot):
        for name, state in edges.items():
            feed.now = state(usual)
            app.want()
            await settled(pilot)
            screens(app, name)

    run(app_of(feed), look, SIZES["80x24"])


def test_after_keys(screens):
    async def look(app, pilot):
        for name, keys in {
            "help": ["question_mark"],
            "range": ["escape", "w"],
            "paused": ["escape", "p"],
            "past": ["p", "t", *"10:15", "enter"],
            "picked": ["l", "s", "space", "down", "space"],
            "cursor": ["x", "tab", *["left"] * 9],
            "other-charts": ["escape", "v"],
            "raw": ["v", "3", "end", "enter"],
            "light": ["escape", "1", "d"],
        }.items():
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
            await settled(pilot)
            screens(app, name)

    run(app_of(), look, SIZES["80x24"])
