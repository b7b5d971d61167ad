"""The words above and around the tabs: where, which time, how the feed is; and what must not be overlooked."""

from __future__ import annotations

from rich.style import Style

from stream_monitor.board.when import When
from stream_monitor.board.words import ago, clock, length, moment, range_words, span
from stream_monitor.feed import FeedState
from stream_monitor.plural import counted
from stream_monitor.tui.board import Board
from stream_monitor.tui.palette import Palette
from stream_monitor.tui.pane import TABS, TITLES
from stream_monitor.tui.text import clean
from stream_monitor.tui.widget import Word

Words = tuple[list[Word], list[Word]]


def state_word(state: FeedState, when: When, *, is_paused: bool, palette: Palette) -> Word:
    """How the feed is, in a mark and a word."""
    if state.phase == "lost":
        return Word("✕ broker lost", palette.bad)
    if state.phase == "missing":
        return Word("✕ no topics", palette.bad)
    if state.phase == "connecting":
        return Word("◌ connecting", palette.warn)
    if state.phase == "loading":
        return Word("↻ reading", palette.warn)
    if not when.is_live:
        return Word(f"◷ past {'▶' if when.plays else '‖'} {when.speed}×", palette.warn, "app.time_machine")
    if is_paused:
        return Word("‖ paused", palette.warn, "app.pause")
    return Word("● live", palette.ok)


def top_line(
    place: str, state: FeedState, board: Board | None, when: When, now_ms: int, interval_s: float,
    palette: Palette, *, is_paused: bool,
) -> Words:  # fmt: skip
    """The first line."""
    left = [
        Word(" stream-monitor ", palette.strong),
        state_word(state, when, is_paused=is_paused, palette=palette),
        Word("  ", palette.dim),
        Word(length(when.length_ms), palette.strong, "app.range"),
    ]
    if board is not None:
        query = board.view.query
        left.append(Word(f"  {range_words(query)}", palette.text, "app.range"))
    right = [Word(f" {clean(place)} ", palette.dim)]
    if board is not None:
        right.append(Word(f"  step {length(board.view.query.step_ms)} ", palette.dim))
    right.append(Word(f"  every {interval_s:g} s ", palette.dim, "app.interval"))
    right.append(Word(f"  {clock(now_ms)} UTC ", palette.strong))
    return left, right


def tab_line(tab: str, board: Board | None, filter_text: str, palette: Palette) -> Words:
    """The tabs, and what is filtered."""
    firing = sum(alert.is_firing for alert in board.alerts) if board is not None else 0
    left = [Word(" ", palette.dim)]
    for number, name in enumerate(TABS, 1):
        title = TITLES[name] + (f" ▲{firing}" if name == "alerts" and firing else "")
        style = palette.strong + Style(reverse=True) if name == tab else palette.dim
        if name == "alerts" and firing and name != tab:
            style = palette.bad
        left += [Word(f" {number} {title} ", style, f"app.tab('{name}')"), Word(" ", palette.dim)]
    right = []
    if board is not None and board.view.query.picked:
        right.append(Word(f" ◈ {len(board.view.query.picked)} picked ", palette.warn, "app.clear"))
    if filter_text:
        right.append(Word(f" / {clean(filter_text)[:24]} ", palette.warn, "app.clear"))
    return left, right


def banners(
    state: FeedState, board: Board | None, when: When, now_ms: int, place: str, palette: Palette,
    *, paused_ms: int | None,
) -> list[Words]:  # fmt: skip
    """At most two lines, the worst first."""
    lines: list[Words] = []
    if state.phase == "lost":
        read = f"read until {clock(state.last_record_ms)}" if state.last_record_ms else "nothing read"
        since = f"{clock(state.since_ms)} ({ago(now_ms - state.since_ms)})"
        said = f"✕ broker lost since {since} · {read} · trying again: {clean(state.why)}"
        lines.append(_line(said, palette.bad))
    elif state.phase == "missing":
        what, _, remedy = clean(state.why).partition("; ")
        lines.append(_line(f"✕ {what}", palette.bad))
        if remedy:
            lines.append(_line(f"  {remedy}", palette.bad))
    elif state.phase == "connecting":
        lines.append(_line(f"◌ connecting to {clean(place)} …", palette.warn))
    elif state.phase == "loading" or (board is not None and not board.view.complete):
        lines.append(_line("↻ reading the range from Kafka …", palette.warn))
    if not when.is_live and when.at_ms is not None:
        said = f"◷ not live: {moment(when.at_ms)} UTC, {span(now_ms - when.at_ms)} ago"
        keys = "p pauses" if when.plays else "p plays"
        lines.append(_line(f"{said} · {keys}  < > speed {when.speed}×  , . step  l live", palette.warn))
    elif paused_ms is not None:
        lines.append(_line(f"‖ paused since {clock(paused_ms)} · p goes on, r refreshes once", palette.warn))
    if state.skew_ms is not None:
        lines.append(_line(_skew(state.skew_ms), palette.warn))
    if not lines and board is not None and not board.view.series:
        lines.append(_line(_empty(board), palette.warn))
    if not lines and board is not None and board.view.unreadable:
        lines.append(
            _line(
                f"⚠ {counted(board.view.unreadable, 'record')} of the metrics topics could not be read",
                palette.warn,
            )
        )
    return lines[:2]


def _line(text: str, style: Style) -> Words:
    return [Word(f" {text}", style)], []


def _skew(skew_ms: int) -> str:
    if skew_ms > 0:
        return f"⚠ the newest data are {span(skew_ms)} ahead of this clock: one of the clocks is wrong"
    return f"⚠ what comes is {span(-skew_ms)} old: the worker works off a backlog, or this clock is ahead"


def _empty(board: Board) -> str:
    query = board.view.query
    if query.words or query.picked:
        return "nothing matches the filter · x takes it away"
    return "no data in this range · is a worker running, and does anything log? · + shows a longer range"
