"""One feed for many browsers: a board is made once for all who look at the same range, again when it changes.

client ──▶ channel (a question, an interval) ──▶ boards, made in one thread ──▶ feed
  ▲              │
  └── a queue ◀──┘     bounded; whose queue is full is cut off, and nobody waits for it
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import orjson

from stream_monitor.feed import Feed
from stream_monitor.web import answer
from stream_monitor.web.answer import WARM_S, Board
from stream_monitor.web.ask import Ask

_T = TypeVar("_T")

log = logging.getLogger(__name__)

LOOK_S = 0.2
"""How often a channel looks whether something has changed."""
FIRST_S = 2.0
"""How long a first look waits for its windows, before it shows what is there."""
_HELD_S = 0.02
_DRAWN_S = 1.0
WARM_EACH_S = 60.0
WARM_MOST = 600
"""Of more components nothing is read that nobody has asked for."""
SETTLE_S = 15.0
"""How long a question waits for what it needs to be read and decoded."""
PAST_S = 60.0
"""How often a range that ended in the past is looked at again: late records correct it."""
QUEUE = 8
"""Events that wait for a client."""
CACHED = 64
_AGAIN_S = 5.0
_SLOWLY_S = 0.7
_BUSY = 3.0
"""After a board that took long, this many times as long passes until the next."""
_FRESH_S = 0.5
_QUIET_S = 10.0
"""Time passes also where nothing comes: a component grows stale."""


class Show(NamedTuple):
    """How a board is shown: the rows' order, how many of them, the theme of its charts."""

    sort: str = "-records"
    limit: int = 200
    dark: bool = False


class Rendered(NamedTuple):
    """A board as JSON."""

    body: bytes
    is_complete: bool
    is_settled: bool
    is_rough: bool
    version: int
    cost_s: float
    made_s: float


@dataclass(eq=False)
class Client:
    """One who listens. `is_cut`: it did not keep up."""

    queue: asyncio.Queue[bytes | None]
    is_cut: asyncio.Event

    def put(self, event: bytes | None) -> None:
        """Hand it over, None as the last; cut the client off where its queue is full."""
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.is_cut.set()


def event(name: str, body: bytes) -> bytes:
    """A server-sent event of one line of JSON."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), body)


class Hub:
    """Boards, and who gets them. All of it belongs to one event loop."""

    def __init__(self, feed: Feed, known: Sequence[str] = (), most_clients: int = 200) -> None:
        self.feed = feed
        self.known = tuple(known)
        self.most_clients = most_clients
        self.boards = self.cut = 0
        """Made, and clients cut off, so far."""
        self.seconds = 0.0
        self._is_warm = False
        self._threads = ThreadPoolExecutor(1, "boards")
        self._past = asyncio.Lock()
        self._channels: dict[tuple[Ask, Show, float], _Channel] = {}
        self._rendered: OrderedDict[tuple[Ask, Show], Rendered] = OrderedDict()

    @property
    def clients(self) -> int:
        """How many listen."""
        return sum(len(channel.clients) for channel in self._channels.values())

    async def run(self, work: Callable[[], _T]) -> _T:
        """Work for the one thread that makes boards."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def settled(self, ask: Ask, patience_s: float = SETTLE_S) -> Board:
        """The board when everything has been read and decoded, or after this time as it is then.

        The feed reads one stretch of the past at a time, so questions about it take turns.
        """
        async with contextlib.AsyncExitStack() as turn:
            if not ask.is_live:
                await turn.enter_async_context(self._past)
            deadline = time.monotonic() + patience_s
            while True:
                board = await self.run(lambda: answer.board_of(self.feed, ask, self.known))
                self.boards += 1
                if (
                    board.is_settled
                    or time.monotonic() > deadline
                    or self.feed.state().phase in ("lost", "missing", "connecting")
                ):
                    return board
                await asyncio.sleep(0.0 if board.view.complete else 0.05)

    async def rendered(self, ask: Ask, show: Show) -> Rendered:
        """The board with its charts as of now, settled or not; the same for all who ask within half a second."""
        return self.kept(ask, show, _FRESH_S) or await self._made(ask, show)

    def kept(self, ask: Ask, show: Show, most_s: float) -> Rendered | None:
        """A settled board that was made not longer ago, for whoever comes while it is young."""
        known = self._rendered.get((ask, show))
        young = known is not None and known.is_settled and time.monotonic() - known.made_s < most_s
        return known if young else None

    async def expected(self, ask: Ask, patience_s: float = FIRST_S) -> None:
        """Have the feed read what a first look needs; return when it has, or after this time."""
        query = await self.run(lambda: answer.expect(self.feed, ask))
        deadline = time.monotonic() + patience_s
        while not self.feed.holds(query) and time.monotonic() < deadline:
            await asyncio.sleep(_HELD_S)

    async def _made(self, ask: Ask, show: Show) -> Rendered:
        place = (ask, show)
        made = await self.run(lambda: self._render(ask, show))
        self._rendered[place] = made
        self._rendered.move_to_end(place)
        while len(self._rendered) > CACHED:
            self._rendered.popitem(last=False)
        return made

    def _render(self, ask: Ask, show: Show) -> Rendered:
        """In the thread."""
        began, version = time.thread_time(), self.feed.version()
        warm_s = WARM_S if self._rendered.get((ask, show)) is None else 4 * WARM_S
        board = answer.first_board(self.feed, ask, self.known, warm_s)
        whole = answer.snapshot(board, show.sort, show.limit)
        whole["charts"] = answer.figures(board, dark=show.dark)
        body = orjson.dumps(whole)
        cost = time.thread_time() - began
        self.boards += 1
        self.seconds += cost
        return Rendered(body, board.is_complete, board.is_settled, whole["rough"], version, cost, time.monotonic())

    def state(self) -> bytes:
        """How the feed is, as JSON."""
        return orjson.dumps(answer.state(self.feed.state()))

    # --- Who listens ------------------------------------------------------------------------------

    def subscribe(self, ask: Ask, show: Show, every_s: float) -> tuple[Client, Callable[[], None]]:
        """(a client, what ends its subscription). `every_s` 0: boards only until the first settled one."""
        client = Client(asyncio.Queue(QUEUE), asyncio.Event())
        place = (ask, show, every_s)
        channel = self._channels.get(place)
        if channel is None:
            channel = self._channels[place] = _Channel(self, ask, show, every_s)
        channel.join(client)

        def leave() -> None:
            if channel.leave(client):
                self._channels.pop(place, None)

        return client, leave

    async def keep_warm(self, asks: Sequence[Ask]) -> None:
        """Hold what a first look at these ranges needs, read and decoded; until it is cancelled."""
        while True:
            live = self.feed.state().phase == "live"
            await asyncio.sleep(WARM_EACH_S if live and self._is_warm else FIRST_S)
            for ask in asks:
                if self.feed.state().phase == "live" and self.feed.series_count() <= WARM_MOST:
                    await self.expected(ask, SETTLE_S)
                    await self.run(partial(answer.first_board, self.feed, ask, self.known, FIRST_S))
                    self._is_warm = True

    def close(self) -> None:
        """No more boards; streams end."""
        for channel in list(self._channels.values()):
            channel.end()
            for client in channel.clients:
                client.put(None)
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Channel:
    """Those who look at the same thing equally often."""

    def __init__(self, hub: Hub, ask: Ask, show: Show, every_s: float) -> None:
        self.clients: set[Client] = set()
        self._hub, self._ask, self._show, self._every_s = hub, ask, show, every_s
        self._last: bytes | None = None
        self._task = asyncio.create_task(self._go_on())

    def join(self, client: Client) -> None:
        self.clients.add(client)
        client.put(event("state", self._hub.state()))
        if self._last is not None:
            client.put(self._last)

    def leave(self, client: Client) -> bool:
        """True where nobody is left."""
        self.clients.discard(client)
        if self.clients:
            return False
        self.end()
        return True

    def end(self) -> None:
        self._task.cancel()

    def _publish(self, message: bytes) -> None:
        for client in list(self.clients):
            client.put(message)
            if client.is_cut.is_set():
                self._hub.cut += 1
                self.clients.discard(client)

    async def _go_on(self) -> None:
        while True:
            try:
                await self._run()
            except Exception:
                log.exception("a board failed; again in a while")
                await asyncio.sleep(_AGAIN_S)

    async def _run(self) -> None:
        feed, due, made_s, version, said, is_settled = self._hub.feed, 0.0, 0.0, -1, b"", False
        every = self._every_s if self._ask.is_live or not self._every_s else max(self._every_s, PAST_S)
        made = self._hub.kept(self._ask, self._show, every)
        if made is not None:
            self._last = event("board", made.body)
            self._publish(self._last)
            version, is_settled, made_s = made.version, True, made.made_s
            due = made_s + _pause(made, every)
        else:
            await self._hub.expected(self._ask)
        while True:
            state = self._hub.state() if feed.state().phase != "live" else orjson.dumps(self._key())
            if state != said:
                said = state
                self._publish(event("state", self._hub.state()))
            now = time.monotonic()
            may_look = not is_settled or self._every_s
            has_changed = not is_settled or feed.version() != version or now - made_s > _QUIET_S
            if may_look and now >= due and has_changed:
                made = await self._hub.rendered(self._ask, self._show)
                self._last = event("board", made.body)
                self._publish(self._last)
                version, is_settled, made_s = made.version, made.is_settled, made.made_s
                due = time.monotonic() + _pause(made, every)
                if made.is_rough:
                    await self._refine()
            await asyncio.sleep(LOOK_S)

    async def _refine(self) -> None:
        """Have the range's own steps read, when those who wait have drawn what they have got."""
        await asyncio.sleep(_DRAWN_S)
        await self._hub.run(lambda: self._hub.feed.view(self._ask.query(self._hub.feed)))

    def _key(self) -> tuple[str, int, bool]:
        of = self._hub.feed.state()
        return of.phase, of.since_ms, of.skew_ms is None


def _pause(made: Rendered, every_s: float) -> float:
    """Until the next board. Decoding goes on at once; while a range is being read, the reader has the time."""
    if made.is_settled:
        return max(every_s, _BUSY * made.cost_s)
    return 0.0 if made.is_complete else max(_SLOWLY_S, _BUSY * made.cost_s)
