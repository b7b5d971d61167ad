"""Whatever somebody has written to the metrics topics, every view says something and none raises."""

from __future__ import annotations

import json
import random

import pytest

from stream_monitor.board.cards import cards_of, items_of
from stream_monitor.board.item import Item
from stream_monitor.core.snapshot import Range
from stream_monitor.core.view import Query
from stream_monitor.core.window import DAY_MS, MINUTE_MS
from stream_monitor.feed import FixedFeed
from tests.alerts import START, day
from tests.strange import changed

QUERY = Query(Range(START - DAY_MS, START), 15 * MINUTE_MS)
NUMBERS = [name for name, found in vars(Item).items() if not name.startswith("_") and not callable(found)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_there_a_row_has_its_numbers(seed):
    rng = random.Random(seed)
    of_day = [json.loads(value) for value in rng.sample(day(), 200)]
    for _ in range(10):
        feed = FixedFeed([], clock=lambda: START)
        feed.store.take([json.dumps(changed(rng, rng.choice(of_day))).encode() for _ in range(60)])
        view = feed.view(QUERY)
        items = items_of(view)
        assert feed.store.unreadable, "some are no metrics records at all"
        assert items
        for item in items:
            for name in NUMBERS:
                getattr(item, name)
        assert cards_of(view, items, [], ())
