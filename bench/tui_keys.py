"""What is pressed in the dashboard, what a person must then see, and how long it took."""

from __future__ import annotations

import json
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.tui.terminal import Terminal

CURSOR = ("28405c", "222c38")
"""Backgrounds of the row under the cursor: in focus, out of it."""
PAUSE_S = (0.25, 0.9)
"""From one key to the next: any moment between two refreshes."""

Lines = list[str]
Seen = Callable[[Lines], bool]
ROW = re.compile(r"component-\d+\W+part-\d")


class Key(NamedTuple):
    """What it is called, what is typed, what is then on the screen; `of` makes that from what was before."""

    name: str
    keys: str
    of: Callable[[Terminal], Seen]


def anything(_: Terminal) -> Seen:
    """It is not asked."""
    return lambda _: True


def shows(*words: str) -> Callable[[Terminal], Seen]:
    """All of these words."""
    return lambda _: lambda lines: all(any(word in line for line in lines) for word in words)


def hides(word: str) -> Callable[[Terminal], Seen]:
    """The words are away."""
    return lambda _: lambda lines: not any(word in line for line in lines)


def rows(lines: Lines) -> list[str]:
    """The series in the table's rows in sight; the charts, which name some, too, stand in frames."""
    found = (ROW.search(line) for line in lines if "│" not in line and "─" not in line)
    return [match[0] for match in found if match]


def tab(title: str, *words: str) -> Callable[[Terminal], Seen]:
    """The tab's own words, and rows of series in it."""
    return lambda t: lambda lines: bool(rows(lines)) and shows(title, *words)(t)(lines)


def row_under_cursor(terminal: Terminal) -> str:
    """The name in it."""
    for background in CURSOR:
        y = terminal.row_of(background)
        found = ROW.search(terminal.shown[y]) if y is not None else None
        if found:
            return found[0]
    return ""


def another_row(terminal: Terminal) -> Seen:
    """The cursor is on another series."""
    before = row_under_cursor(terminal)
    return lambda _: row_under_cursor(terminal) not in ("", before)


def head(lines: Lines) -> str:
    """The column that the table is sorted by: the one with an arrow."""
    line = next((line for line in lines if "component" in line and "p99" in line), "")
    found = re.search(r"▼\S+|\S+[▲▼]|▲\S+", line)
    return found[0] if found else ""


def other_order(terminal: Terminal) -> Seen:
    """Sorted by another column."""
    before = head(terminal.shown)
    return lambda lines: head(lines) not in ("", before)


def only_rows_with(text: str) -> Callable[[Terminal], Seen]:
    """All rows in sight have it."""
    return lambda _: lambda lines: bool(rows(lines)) and all(text in row for row in rows(lines))


def other_rows(terminal: Terminal) -> Seen:
    """No longer the same rows in sight."""
    before = rows(terminal.shown)
    return lambda lines: rows(lines) not in ([], before)


def range_is(words: str) -> Callable[[Terminal], Seen]:
    """On top, and the step that belongs to it."""
    return lambda _: lambda lines: re.search(words, lines[0]) is not None


TABS = {
    "2": tab("DAG", "× usual"),
    "3": tab("lag over time", "≈ behind"),
    "4": tab("predictions", "top class"),
    "5": shows("severity", "bench-rule"),
    "6": tab("partition@offset"),
    "1": tab("share of activity", "component"),
}
"""By key, what a tab shows and no other."""
NAMES = {"1": "Overview", "2": "Airflow", "3": "Kafka", "4": "ML", "5": "Alerts", "6": "Logs"}

FIRST = tuple(Key(f"tab {NAMES[key]}, the first time", key, TABS[key]) for key in ("2", "3", "4", "5", "6"))
"""Once after a start, in this order."""

ROUND = (
    Key("tab Overview", "1", TABS["1"]),
    Key("a row down", "j", another_row),
    Key("a row up", "k", another_row),
    Key("", "g", anything),
    Key("a page down", "\x1b[6~", another_row),
    Key("to the first row", "g", another_row),
    Key("sort", "s", other_order),
    Key("sort by the next", "s", other_order),
    Key("the other way round", "S", other_order),
    Key("help", "?", shows("the raw log records behind")),
    Key("esc from help", "\x1b", hides("the raw log records behind")),
    Key("filter: /", "/", shows("commas between alternatives")),
    Key("filter: a letter", "7", only_rows_with("7")),
    Key("filter: another", "1", only_rows_with("71")),
    Key("esc from the filter", "\x1b", other_rows),
    Key("pause", "p", shows("‖ paused")),
    Key("go on", "p", shows("● live")),
    Key("range: +", "+", range_is(r"(live|reading)  6 h ")),
    Key("range: + and its data", "", range_is(r" 6 h .*step 1 h")),
    Key("range: -", "-", range_is(r"(live|reading)  1 h ")),
    Key("range: - and its data", "", range_is(r" 1 h .*step 1 min")),
    Key("range: w", "w", shows("any other: 90m")),
    Key("range: typed", "30d\r", range_is(r"(live|reading)  30 d ")),
    Key("range: 30 days, and their data", "", range_is(r"live  30 d .*step 24 h")),
    Key("", "w", anything),
    Key("range: typed again", "15m\r", range_is(r"(live|reading)  15 min ")),
    Key("range: 15 minutes, and their data", "", range_is(r"live  15 min .*step 1 min")),
    Key("range: + again", "+", range_is(r" 1 h .*step 1 min")),
    Key("time machine: t", "t", shows("to which moment")),
    Key("time machine: typed", "-20m\r", shows("◷ not live")),
    Key("esc from the past", "\x1b", shows("● live")),
    Key("commands: :", ":", shows("Search for commands")),
    Key("esc from commands", "\x1b", hides("Search for commands")),
    Key("", "g", anything),
    Key("charts: Tab", "\t", lambda t: lambda _: t.row_of(CURSOR[1]) is not None),
    Key("charts: ←", "\x1b[D", lambda t: lambda _: t.row_of(CURSOR[0]) is not None),
    Key("esc from charts", "\x1b", lambda t: lambda _: t.row_of(CURSOR[1]) is None),
    Key("enter on a series", "\r", shows(" raw log ", "neighbours")),
    Key("esc from the record", "\x1b", hides("neighbours")),
    Key("tab Airflow", "2", TABS["2"]),
    Key("a row down there", "j", another_row),
    Key("tab Kafka", "3", TABS["3"]),
    Key("a row down there", "j", another_row),
    Key("tab ML", "4", TABS["4"]),
    Key("tab Alerts", "5", TABS["5"]),
    Key("tab Logs", "6", TABS["6"]),
)
"""Each in the state that those before it leave; at the end it is as at the beginning."""

Samples = dict[str, list[float]]


def pressed(terminal: Terminal, keys: tuple[Key, ...], rng: random.Random) -> Iterator[tuple[str, float]]:
    """Each key's name, and the seconds from its press to the piece of output with which its answer stood there.

    Without keys: from the last press on. Without a name: only to come to a state that is known.
    """
    since = 0.0
    for key in keys:
        try:
            if key.keys:
                terminal.look(rng.uniform(*PAUSE_S))
                seen, since = key.of(terminal), time.monotonic()
                took = terminal.answer(key.keys, seen, 20.0) if key.name else terminal.press(key.keys)
            else:
                took = terminal.until(key.of(terminal), 20.0, since)
        except (TimeoutError, AssertionError) as error:
            raise SystemExit(f"{key.name}: {error}") from None
        if key.name and took is not None:
            yield key.name, took


def measure(terminal: Terminal, rounds: int, samples: Samples) -> None:
    """Once all tabs for the first time, then the rounds; the samples are added."""
    rng = random.Random(time.time_ns())
    for keys in (FIRST, *[ROUND] * rounds):
        for name, took in pressed(terminal, keys, rng):
            samples.setdefault(name, []).append(took)


def p95(ranked: list[float]) -> float:
    """The 95th percentile by nearest rank, of values in their order."""
    return ranked[max(0, -(-len(ranked) * 95 // 100) - 1)]


def table(samples: Samples) -> str:
    """Median, 95th percentile (nearest rank) and most, in ms."""
    lines = ["| | times | median | p95 | most |", "|---|---|---|---|---|"]
    for name, took in samples.items():
        ranked = sorted(took)
        lines.append(
            f"| {name} | {len(took)} | {statistics.median(took) * 1000:.0f} | {p95(ranked) * 1000:.0f} "
            f"| {ranked[-1] * 1000:.0f} |"
        )
    return "\n".join(lines)


def kept(path: Path | None) -> Samples:
    """What earlier runs have seen."""
    return json.loads(path.read_text()) if path is not None and path.exists() else {}


def keep(path: Path | None, samples: Samples) -> None:
    """For the next run."""
    if path is not None:
        path.write_text(json.dumps(samples))
