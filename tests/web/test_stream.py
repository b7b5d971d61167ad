"""Server-sent events over real sockets: boards, states, clients that leave and clients that do not read."""

from __future__ import annotations

import asyncio
import socket
import time

import orjson
import pytest

from stream_monitor.core.window import DAY_MS, HOUR_MS
from stream_monitor.feed import FeedState, FixedFeed
from stream_monitor.web import server
from stream_monitor.web.files import plotly
from stream_monitor.web.hub import QUEUE, event
from tests.tui import data
from tests.web.serving import TOKEN, moving, served
from tests.workers import wait_for

pytestmark = pytest.mark.slow


class Listener:
    """Reads a stream event by event."""

    def __init__(self, address, query="", headers=b""):
        host, port = address.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._socket.sendall(
            b"GET /api/v1/stream?%b HTTP/1.0\r\nHost: %b\r\n%b\r\n" % (query.encode(), host.encode(), headers)
        )
        self._lines = self._socket.makefile("rb", buffering=1 << 20)
        self.status = int(self._lines.readline().split()[1])
        while self._lines.readline().strip():
            pass

    def next(self, name):
        """The next event of this name, decoded."""
        seen = None
        while True:
            line = self._lines.readline()
            assert line, "the stream has ended"
            if line.startswith(b"event: "):
                seen = line[7:].strip().decode()
            elif line.startswith(b"data: ") and seen == name:
                return orjson.loads(line[6:])

    def rest(self):
        """Until the server ends it."""
        return self._lines.read()

    def close(self):
        self._lines.close()
        self._socket.close()


def read_all(connection):
    while connection.recv(1 << 20):
        pass


def test_a_board_at_once_then_what_changes_then_the_state():
    feed, now = moving()
    with served(feed) as (address, hub):
        one = Listener(address, "every=1&theme=dark")
        assert one.next("state")["phase"] == "live"
        board = one.next("board")
        assert [chart["name"] for chart in board["charts"]][:2] == ["volume", "latency"]
        assert board["decoded"]
        now[0] += 60_000
        feed.changes += 1
        assert one.next("board")["range"]["to_ms"] == now[0]
        feed.now = FeedState("lost", data.NOW, "no Kafka broker answers")
        lost = one.next("state")
        assert (lost["phase"], lost["why"]) == ("lost", "no Kafka broker answers")
        feed.now = FeedState("live", data.NOW)
        assert one.next("state")["phase"] == "live"
        one.close()
        wait_for(lambda: hub.clients == 0, 30)
        assert not hub._channels


def test_one_board_is_made_for_all_who_look_at_the_same():
    feed, _ = moving()
    with served(feed) as (address, hub):
        first = Listener(address, "every=2")
        first.next("board")
        made = hub.boards
        others = [Listener(address, "every=2") for _ in range(20)]
        boards = [one.next("board") for one in others]
        assert all(board == boards[0] for board in boards)
        assert hub.boards - made <= 2
        assert hub.clients == 21
        assert len(hub._channels) == 1
        for one in (first, *others):
            one.close()


class Slow(FixedFeed):
    """Holds only what it has been told; notes what it has been asked for."""

    held: frozenset = frozenset()
    asked: tuple = ()

    def holds(self, query):
        return query.step_ms in self.held

    def view(self, query):
        self.asked = (*self.asked, query.step_ms)
        view = super().view(query)
        view.complete = self.holds(query)
        return view


def test_a_long_range_comes_in_days_first_and_then_in_its_own_steps():
    feed = Slow(data.hour()[0], clock=lambda: data.NOW)
    with served(feed) as (address, _):
        one = Listener(address, "from=now-30d&every=1")
        assert one.next("state")["phase"] == "live"
        wait_for(lambda: DAY_MS in feed.asked, 30)
        assert 6 * HOUR_MS not in feed.asked, "its own steps are read when something has been drawn"
        feed.held = frozenset({DAY_MS})
        first = one.next("board")
        assert (first["range"]["resolution"], first["rough"], first["complete"]) == ("1d", True, False)
        assert first["cards"][0]["value"] == "6.9k"
        assert first["charts"][0]["figure"]["data"]
        wait_for(lambda: 6 * HOUR_MS in feed.asked, 30)
        feed.held = frozenset({DAY_MS, 6 * HOUR_MS})
        while (board := one.next("board"))["rough"]:
            pass
        assert (board["range"]["resolution"], board["complete"]) == ("6h", True)
        assert board["cards"][0]["value"] == "6.9k"
        again = Listener(address, "from=now-30d&every=1")
        assert not again.next("board")["rough"]
        one.close()
        again.close()


def test_what_a_first_look_needs_is_read_before_anybody_looks():
    feed = Slow(data.hour()[0], clock=lambda: data.NOW)
    with served(feed):
        wait_for(lambda: {HOUR_MS, DAY_MS} <= {*feed.asked}, 60)
        assert {*feed.asked} == {HOUR_MS, DAY_MS}


def test_who_comes_while_a_board_is_young_gets_that_one():
    feed, _ = moving()
    with served(feed) as (address, hub):
        first = Listener(address, "from=now-7d&every=60")
        board = first.next("board")
        first.close()
        wait_for(lambda: hub.clients == 0, 30)
        made = hub.boards
        again = Listener(address, "from=now-7d&every=60")
        assert again.next("board") == board
        assert hub.boards == made
        again.close()


def test_with_refresh_off_a_board_comes_once_and_states_still_do():
    feed, now = moving()
    with served(feed) as (address, _):
        one = Listener(address, "every=0")
        one.next("board")
        now[0] += 60_000
        feed.changes += 1
        time.sleep(1.5)
        feed.now = FeedState("lost", data.NOW, "gone")
        assert one.next("state")["phase"] == "lost"
        one.close()


def test_a_client_that_does_not_read_is_cut_off_and_the_others_do_not_notice():
    feed, _ = moving()
    with served(feed) as (address, hub):
        host, port = address.removeprefix("http://").split(":")
        deaf = socket.create_connection((host, int(port)))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /api/v1/stream?every=60 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        good = Listener(address, "every=60")
        good.next("board")
        wait_for(lambda: hub.clients == 2, 30)
        (channel,) = hub._channels.values()
        loop = channel._task.get_loop()
        big = event("big", orjson.dumps("x" * 2_000_000))

        async def publish():
            channel._publish(big)

        for _ in range(4 * QUEUE):
            asyncio.run_coroutine_threadsafe(publish(), loop).result(30)
            assert len(good.next("big")) == 2_000_000
            if hub.cut:
                break
        assert hub.cut == 1
        wait_for(lambda: hub.clients == 1, 30)
        with pytest.raises(ConnectionError):  # what the kernel held, then the end; it waits for no reader
            read_all(deaf)
        asyncio.run_coroutine_threadsafe(publish(), loop).result(30)
        assert len(good.next("big")) == 2_000_000
        good.close()
        deaf.close()


@pytest.mark.parametrize(
    "asks",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 90\r\n\r\ntoken=",
        b"GET /static/plotly-%b.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
    ids=["says nothing", "half a head", "half a body", "reads nothing"],
)
def test_a_connection_that_stands_still_is_closed_and_the_others_do_not_notice(monkeypatch, asks):
    monkeypatch.setattr("stream_monitor.web.server.STILL", 1)
    feed, now = moving()
    with served(feed, token=TOKEN if b"login" in asks else None) as (address, _):
        if b"login" not in asks:
            good = Listener(address, "every=1")
            good.next("board")
        host, port = address.removeprefix("http://").split(":")
        still = socket.socket()
        still.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        still.connect((host, int(port)))
        still.sendall(asks.replace(b"%b", plotly().tag.encode()))
        wait_for(lambda: still.getsockname() in server._open, 30)
        wait_for(lambda: still.getsockname() not in server._open, 60)
        if b"login" not in asks:
            now[0] += 60_000
            feed.changes += 1
            while good.next("board")["range"]["to_ms"] != now[0]:
                pass
            good.close()
        still.close()


def test_who_reads_slowly_gets_all_of_it(monkeypatch):
    monkeypatch.setattr("stream_monitor.web.server.STILL", 3)
    with served() as (address, _):
        host, port = address.removeprefix("http://").split(":")
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((host, int(port)))
        path = f"/static/plotly-{plotly().tag}.js"
        slow.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        got, began = 0, time.monotonic()
        while piece := slow.recv(1 << 16):
            got += len(piece)
            if time.monotonic() - began < 8:
                time.sleep(0.05)
        assert got > len(plotly().body)
        slow.close()


def test_who_comes_back_gets_a_whole_board_whatever_it_saw_last():
    """Boards are states, not changes: nothing is missed between two connections, and no event has an id."""
    feed, now = moving()
    with served(feed) as (address, hub):
        one = Listener(address, "every=1")
        one.next("board")
        one.close()
        now[0] += 60_000
        feed.changes += 1
        again = Listener(address, "every=1", b"Last-Event-ID: 7\r\n")
        assert again.next("state")["phase"] == "live"
        while (board := again.next("board"))["range"]["to_ms"] != now[0]:
            pass
        assert board["cards"][0]["value"]
        again.close()
        wait_for(lambda: hub.clients == 0, 30)


def test_too_many_clients_are_told_so():
    with served(most_clients=1) as (address, hub):
        one = Listener(address)
        one.next("board")
        refused = Listener(address)
        assert refused.status == 503
        assert b"1 clients listen already" in refused.rest()
        one.close()
        wait_for(lambda: hub.clients == 0, 30)
        Listener(address).close()


def test_a_stop_ends_streams_that_would_go_on():
    began = time.monotonic()
    with served() as (address, _):
        one = Listener(address)
        one.next("board")
    assert time.monotonic() - began < 20
    one.rest()
