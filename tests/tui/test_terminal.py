"""The dashboard in a pseudo-terminal: what only a terminal can do to it. No broker answers; it waits for one."""

from __future__ import annotations

import io
import selectors
import signal

import psutil
import pytest

from stream_monitor.errors import UsageError
from stream_monitor.tui import _check_encoding
from stream_monitor.tui.escape import _Selector
from tests.tui.terminal import Terminal, tui

PATIENCE_S = 60
IGNORES_HANGUP = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
"""As under nohup."""


@pytest.fixture
def start(tmp_path):
    """A dashboard in a terminal, ended at the end."""
    started = []

    def go(before=(), **environment):
        state = {"XDG_STATE_HOME": str(tmp_path), "STREAM_MONITOR_CONFIG": "", **environment}
        started.append(Terminal([*before, *tui("--broker", "127.0.0.1:1")], **state))
        started[-1].until(is_up)
        return started[-1]

    yield go
    for terminal in started:
        terminal.end()


def is_up(lines):
    return any("Overview" in line for line in lines) and "q quit" in lines[-1]


def settle(process, status):
    for _ in range(PATIENCE_S * 20):
        if psutil.Process(process.pid).status() == status:
            return
        try:
            psutil.Process(process.pid).wait(0.05)
        except psutil.TimeoutExpired:
            continue
    raise AssertionError(f"it is {psutil.Process(process.pid).status()}, not {status}")


@pytest.mark.screen
def test_any_size_and_back(start):
    terminal = start()
    for size in ((20, 5), (1, 1), (300, 100), (4, 2), (120, 40)):
        terminal.resize(size)
        for key in "1346?":
            terminal.press(key)
            terminal.look(0.05)
        terminal.press("\x1b")
        terminal.look(0.1)
    terminal.until(is_up)
    assert terminal.process.poll() is None


@pytest.mark.screen
def test_suspended_and_resumed(start):
    terminal = start()
    terminal.press("\x1a")
    settle(terminal.process, psutil.STATUS_STOPPED)
    terminal.look(0.2)
    terminal.signal(signal.SIGCONT)
    terminal.press("5")
    terminal.until(lambda lines: any("severity" in line for line in lines))


@pytest.mark.screen
@pytest.mark.parametrize("before", [(), IGNORES_HANGUP], ids=["told", "not told"])
def test_a_closed_window_leaves_no_process(start, before):
    terminal = start(before)
    terminal.close()
    assert terminal.process.wait(PATIENCE_S) is not None


@pytest.mark.screen
@pytest.mark.parametrize("environment", [{"TERM": "dumb", "COLORTERM": ""}, {"NO_COLOR": "1"},
                                         {"XDG_STATE_HOME": "/proc/nowhere"}], ids=str)  # fmt: skip
def test_it_starts_and_ends_in(start, environment):
    terminal = start(**environment)
    terminal.press("?")
    terminal.until(lambda lines: any("the raw log records behind" in line for line in lines))
    terminal.press("\x1b")
    terminal.until(lambda lines: not any("the raw log records behind" in line for line in lines))
    terminal.press("q")
    assert terminal.process.wait(PATIENCE_S) == 0


@pytest.mark.screen
def test_what_is_pasted_is_no_key(start):
    terminal = start()
    terminal.press("\x1b[200~q\nq [bold] \x1b[31m 日本\x1b[201~")
    terminal.press("/")
    terminal.until(lambda lines: any("commas between" in line for line in lines))
    terminal.press("\x1b[200~kafka:[bold]\x1b[201~")
    terminal.until(lambda lines: any("kafka:[bold]" in line for line in lines))
    assert terminal.process.poll() is None


@pytest.mark.screen
def test_bytes_that_are_no_utf8_are_passed_over(start):
    terminal = start()
    terminal.press(b"\xff\xe9\x80")
    terminal.press("5")
    terminal.until(lambda lines: any("severity" in line for line in lines))


@pytest.mark.screen
def test_what_it_cannot_draw_on_is_said(tmp_path):
    said = tmp_path / "said"
    command = ["sh", "-c", f'exec "$@" 2>{said}', "sh", *tui("--broker", "127.0.0.1:1")]
    with Terminal(command) as terminal:
        assert terminal.process.wait(PATIENCE_S) == 2
    assert "tui needs a terminal, as input, output and error output" in said.read_text()


def test_a_locale_without_these_characters_is_said():
    _check_encoding(io.TextIOWrapper(io.BytesIO(), "utf8"))
    _check_encoding(None)
    with pytest.raises(UsageError, match=r"locale says latin-1; start it with LC_ALL=C\.UTF-8"):
        _check_encoding(io.TextIOWrapper(io.BytesIO(), "latin-1"))


def test_after_a_key_more_is_looked_for_soon(monkeypatch):
    """An Esc is one when nothing follows it; Textual looks every 0.1 s."""
    waited = []
    selector, answers = _Selector(), [[], ["a key"], [], []]

    def select(_, timeout=None):
        waited.append(timeout)
        return answers.pop(0)

    monkeypatch.setattr(selectors.SelectSelector, "select", select)
    for _ in range(4):
        selector.select(0.1)
    assert waited == [0.1, 0.1, 0.01, 0.01]
