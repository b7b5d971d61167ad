"""Python's search for cycles: never while somebody presses keys, and not for ever put off."""

from __future__ import annotations

import gc
import weakref

import pytest

from stream_monitor.tui import rubbish
from stream_monitor.tui.rubbish import Rubbish


class Cycle:
    """Refers to itself: only a search finds it."""

    def __init__(self):
        self.me = self


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves; Python searches as before afterwards."""
    now = [1000.0]
    monkeypatch.setattr(rubbish.time, "monotonic", lambda: now[0])
    gc.collect()
    yield now
    gc.unfreeze()
    gc.enable()


def dropped():
    return weakref.ref(Cycle())


def test_a_cycle_stays_while_keys_are_pressed_and_goes_within_a_minute_of_quiet(clock):
    found = Rubbish()
    gone = dropped()
    clock[0] += 3600
    found.look(1.9)
    assert gone() is not None
    found.look(2.0)
    assert gone() is None
    gone = dropped()
    clock[0] += 59
    found.look(2.0)
    assert gone() is not None, "there was a look a moment ago"
    clock[0] += 2
    found.look(2.0)
    assert gone() is None


def test_many_new_objects_are_looked_at_at_once(clock):
    found, gone = Rubbish(), dropped()
    many = [[] for _ in range(rubbish._MANY + 1000)]
    found.look(2.0)
    assert gone() is None
    assert many


def test_a_range_s_rows_are_not_searched_and_a_cycle_among_them_goes_in_the_end(clock):
    found, gone = Rubbish(), dropped()
    rows = [[] for _ in range(rubbish._DATA + 1000)]
    found.look(2.0)
    assert gc.get_freeze_count() > len(rows)
    clock[0] += 61
    found.look(2.0)
    assert gone() is not None
    clock[0] += rubbish._ALL_S
    found.look(9.9)
    assert gone() is not None
    found.look(10.1)
    assert gone() is None
