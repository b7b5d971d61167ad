"""When the dashboard draws, and what it keeps: a tick, a computation, a board.

feed ──version──▶ tick ──▶ compute (in a thread) ──▶ Board ──▶ the tab's pane
keys ─────────────▲
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from textual import events, work
from textual.app import App, ComposeResult
from textual.widgets import ContentSwitcher, Input

from stream_monitor.board.when import When
from stream_monitor.core.metric import SeriesId
from stream_monitor.core.view import words_of
from stream_monitor.feed import Feed
from stream_monitor.tui import banner
from stream_monitor.tui.board import Board
from stream_monitor.tui.compute import Wish, compute, drafted
from stream_monitor.tui.memory import Memory, recall, remember
from stream_monitor.tui.order import Orders
from stream_monitor.tui.palette import DARK, LIGHT, Palette, dimmed, palette_in
from stream_monitor.tui.pane import SORTS, TABS, Pane, pane_of
from stream_monitor.tui.widget import Hints, Ribbon

TICK_S = 0.1
DRAW_S = 0.06
"""Until a whole screen is drawn: two threads would take twice as long."""
QUIET_S, HELD_UP_S = 0.15, 1.0
"""After a key nothing is computed that was not asked for, so that its answer is drawn; but not for ever."""
TOUCHES = events.Key | events.MouseDown | events.MouseScrollDown | events.MouseScrollUp
PAUSE_S = 0.3
"""Without a change for so long, the next one begins a burst of them."""
PARTIAL_S = 0.25
"""Until the next look at a range that is still being read or decoded."""
BUSY = 3.0
"""After a round that took long, this many times as long passes until the next."""


class Dashboard(App[int]):
    """Reads a feed; draws a board. What keys do stands in app.py."""

    TITLE = "stream-monitor"
    CSS_PATH = "style.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012  (Textual's)
    VERTICAL_BREAKPOINTS = [(0, "-low"), (34, "-middle"), (50, "-high")]  # noqa: RUF012
    AUTO_FOCUS = None

    def __init__(
        self,
        feed: Feed,
        *,
        place: str,
        known: Sequence[str] = (),
        memory: Path | None = None,
        folder: Path | None = None,
        stopped: Callable[[], bool] = lambda: False,
        quiet: Callable[[float], None] = lambda _: None,
        inline: bool = False,
    ) -> None:
        """`place`: the broker and prefix, for the eye. `memory`: a file, None: forget everything. `folder`: for
        exports, the current one if None. `stopped`: a signal has come. `quiet` is called often with the seconds
        since the last key. `inline`: compute in the app's own thread, for tests.
        """
        super().__init__()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.feed, self._place, self._known = feed, place, tuple(known)
        self._memory_path, self.folder, self.inline = memory, folder or Path.cwd(), inline
        self._memory: Memory = recall(memory)
        known_theme = self._memory.theme in self.available_themes
        self.theme = self._memory.theme if known_theme else DARK.name
        self.tab = self._memory.tab if self._memory.tab in TABS else TABS[0]
        self.when = When(max(60_000, self._memory.length_ms))
        self.filter_text = self._memory.filter
        self.picked: frozenset[SeriesId] = frozenset((kind, tuple(labels)) for kind, labels in self._memory.picked)
        self.paused_ms: int | None = None
        self.board: Board | None = None
        self.cursor: int | None = None
        self._stopped, self._quiet = stopped, quiet
        self._ribbons = [Ribbon(id=name) for name in ("top", "tabs", "banner")]
        self._panes = {name: pane_of(name) for name in TABS}
        self._whole: Board | None = None
        """The last board without a filter: what a wider one is drafted from."""
        self._orders = Orders()
        self._wanted, self._busy, self._was_version = True, False, -1
        self._seen_version, self._seen_s, self._soonest_s = -1, 0.0, 0.0
        self._next_s = self._begin_s = 0.0
        self._ticked_s = self._touched_s = time.monotonic()
        self._said_s = -1

    def compose(self) -> ComposeResult:
        """Laid out like the screen."""
        yield from self._ribbons
        with ContentSwitcher(initial=self.tab, id="panes"):
            yield from self._panes.values()
        yield Input(placeholder="words; commas between alternatives; kafka: is a kind", id="filter")
        yield Hints()

    def on_mount(self) -> None:
        """Begin to read and to look."""
        box = self.query_one("#filter", Input)
        box.value = self.filter_text
        box.display = False
        self.set_class(self._memory.charts == 1, "-other-charts")
        self.theme_changed_signal.subscribe(self, lambda _: self.redraw())
        self.feed.start()
        self.pane.table.focus()
        self._tick()
        self.set_interval(TICK_S, self._tick)

    def on_unmount(self) -> None:
        """Remember, and let go of the broker."""
        self._remember()
        self.feed.stop()

    async def on_event(self, event: events.Event) -> None:
        """Something is pressed or turned: what runs meanwhile hurries."""
        if isinstance(event, TOUCHES):
            self._touched_s = time.monotonic()
        await super().on_event(event)

    # --- When to draw -----------------------------------------------------------------------------

    @property
    def pane(self) -> Pane:
        """The tab that is shown."""
        return self._panes[self.tab]

    @property
    def palette(self) -> Palette:
        """For the theme; all of it dimmed where the broker is lost."""
        palette = palette_in(self)
        return dimmed(palette) if self.feed.state().phase == "lost" else palette

    @property
    def _is_up(self) -> bool:
        """It is not on its way out: a timer or a thread may come too late."""
        return self.is_running and self._ribbons[0].is_attached

    def _tick(self) -> None:
        if self._stopped():
            self.exit(0)
            return
        if not self._is_up:
            return
        now = time.monotonic()
        elapsed_ms, self._ticked_s = (now - self._ticked_s) * 1000, now
        if self.when.plays:
            self.when = self.when.played(elapsed_ms, self.feed.now_ms())
        if int(now) != self._said_s:
            self._said_s = int(now)
            self.say()
        version = self.feed.version()
        if version != self._seen_version:
            self._came(now)
            self._seen_version = version
        has_changed = version != self._was_version or self.when.plays or self._is_partial
        is_quiet = now - self._touched_s > QUIET_S or now - self._next_s > HELD_UP_S
        is_due = has_changed and now >= self._next_s and is_quiet and self.paused_ms is None
        if ((self._wanted and now >= self._begin_s) or is_due) and not self._busy:
            self._was_version = version
            self._begin()
        self._quiet(now - self._touched_s)

    def _came(self, now: float) -> None:
        """A change after a pause: what comes once a second is drawn when it has come, not up to a second later."""
        if now - self._seen_s > PAUSE_S:
            self._next_s = min(self._next_s, max(self._soonest_s, now + TICK_S))
        self._seen_s = now

    @property
    def _is_partial(self) -> bool:
        return self.board is not None and not self.board.is_whole

    def want(self) -> None:
        """Draw again as soon as it can be: what runs hurries, and what is there is drawn at once."""
        self._wanted = True
        self.say()
        if self.is_running and not self._busy:
            self._tick()

    def want_soon(self) -> None:
        """The same where the whole screen is drawn first: a draft, or what a question was in front of."""
        if self.inline:
            self.want()
            return
        self._wanted, self._begin_s = True, time.monotonic() + DRAW_S
        self.say()
        self.set_timer(DRAW_S * 1.1, self._tick)

    def draft(self) -> None:
        """Draw what can be drawn of another tab, order or filter without asking the feed; then compute it."""
        same = (b for b in (self._whole, self.board) if b is not None and b.when == self.when)
        source = next(same, None)
        if source is not None and not self.inline:
            self.board = drafted(source, self._wish, self._orders)
            self.redraw()
            self.want_soon()
        else:
            self.want()

    @property
    def _wish(self) -> Wish:
        words = words_of(self.filter_text)
        return Wish(self.when, self.tab, self.sort, words, self.picked, self._known, self.pane.table.sight)

    def _begin(self) -> None:
        self._wanted, self._busy = False, True
        wish = self._wish
        if self.inline:
            self._apply(compute(wish, self.feed, self._orders, patience=math.inf), wish, 0.0)
        else:
            self._compute_apart(wish)

    @work(thread=True, group="compute")
    def _compute_apart(self, wish: Wish) -> None:
        began, touched_s = time.thread_time(), self._touched_s
        board = compute(wish, self.feed, self._orders, lambda: self._wanted or self._touched_s > touched_s)
        self.call_from_thread(self._apply, board, wish, time.thread_time() - began)

    def _apply(self, board: Board, wish: Wish, cost_s: float) -> None:
        self._busy = False
        if not self._is_up:
            return
        now = time.monotonic()
        interval_s = self._memory.interval_s if board.is_whole else min(PARTIAL_S, self._memory.interval_s)
        self._soonest_s = now + max(BUSY * cost_s, interval_s / 2)
        self._next_s = max(self._soonest_s, now + interval_s - TICK_S / 2)
        if not wish.words:
            self._whole = board
        if (wish.tab, wish.sort, wish.words) == (self.tab, self.sort, words_of(self.filter_text)):
            self.board = board
            self.redraw()
        if self._wanted:
            self._tick()

    def redraw(self) -> None:
        """Draw the board that is there."""
        if self.board is None:
            return
        palette = self.palette
        self.pane.table.sort = self.sort
        self.pane.show(self.board, palette, self.cursor, is_dimmed=self.board.state.phase == "lost")
        self.say()

    def say(self) -> None:
        """The lines above the pane."""
        palette = palette_in(self)
        state, now = self.feed.state(), self.feed.now_ms()
        top = banner.top_line(
            self._place, state, self.board, self.when, now, self._memory.interval_s, palette,
            is_paused=self.paused_ms is not None,
        )  # fmt: skip
        self._ribbons[0].show(top)
        self._ribbons[1].show(banner.tab_line(self.tab, self.board, self.filter_text, palette))
        lines = banner.banners(
            state, self.board, self.when, now, self._place, palette, paused_ms=self.paused_ms
        )  # fmt: skip
        ribbon = self._ribbons[2]
        ribbon.display = bool(lines)
        ribbon.show(*lines)

    # --- What it keeps ----------------------------------------------------------------------------

    @property
    def sort(self) -> tuple[str, bool]:
        """The tab's column, and whether it falls."""
        return self._memory.sorts.get(self.tab, SORTS[self.tab])

    @sort.setter
    def sort(self, value: tuple[str, bool]) -> None:
        self._memory.sorts[self.tab] = value

    @property
    def memory(self) -> Memory:
        """What is remembered, as of now."""
        self._memory.tab, self._memory.length_ms = self.tab, self.when.length_ms
        self._memory.theme, self._memory.filter = self.theme, self.filter_text
        self._memory.picked = [(kind, list(labels)) for kind, labels in sorted(self.picked)]
        return self._memory

    def _remember(self) -> None:
        remember(self._memory_path, self.memory)
