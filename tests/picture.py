"""`python -m tests.picture`: docs/images/tui.svg, the dashboard over the demo's day with an incident under way."""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from pathlib import Path

from stream_monitor import offsets, recording, replay, topics
from stream_monitor.broker import EmbeddedBroker
from stream_monitor.demo import _process, _wait_processed
from stream_monitor.feed import LiveFeed
from stream_monitor.settings import Settings
from stream_monitor.tui.app import MonitorApp
from tests.pages import ROOT

SIZE = (150, 44)
KEYS = ("plus", "plus")
"""From an hour to a day."""


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker() as broker:
        settings = Settings(broker=broker.address, prefix="pipeline", datadir=Path(folder), http_port=0)
        topics.apply(settings, replication_factor=1)
        with _process(settings, "worker", "--idle-after", "2") as worker:
            replay.replay(settings, recording.examples(), shift_to_now=True)
            ends = offsets.ends(settings, offsets.SOURCES)
            with _process(settings, "simulate", "--rate", "20", "--incident", "consumer-lag"):
                _wait_processed(settings, ends, worker, lambda: False)
                time.sleep(100)
                asyncio.run(picture(settings))


async def picture(settings: Settings) -> None:
    """The dashboard without a terminal, when its history is there."""
    feed = LiveFeed(settings)
    feed.start()
    app = MonitorApp(feed, place="pipeline on kafka-1:9092")
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(10)
        for key in KEYS:
            await pilot.press(key)
            await pilot.pause(2)
        await pilot.pause(5)
        target = ROOT / "docs" / "images" / "tui.svg"
        drawn = app.export_screenshot(title="stream-monitor tui")
        fonts = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # a picture fetches nothing from elsewhere
        target.write_text(fonts.sub("", drawn), encoding="utf-8")


if __name__ == "__main__":
    main()
