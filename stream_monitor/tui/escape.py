"""How Textual reads a terminal, made fit for any: Esc at once, and bytes that are no UTF-8.

It waits for more bytes in steps of 0.1 s, so that an Esc alone is seen up to 0.2 s late; and it ends, with a
traceback, at the first byte that it cannot decode: a terminal set to Latin-1, a paste, an old mouse protocol.
"""

from __future__ import annotations

import codecs
import os
import selectors
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

ESCAPE_MS = 25
"""How long an Esc may be the beginning of another key; its other bytes come with it, or very soon."""
_STEP_S = 0.01
_STEPS = 10
"""Short waits after some input; then it is waited for as ever."""


class _Selector(selectors.SelectSelector):
    """Waits shortly, and often, after input."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As ever, but not as long."""
        if self._left and timeout is not None:
            timeout = min(timeout, _STEP_S)
        found = super().select(timeout)
        self._left = _STEPS if found else max(0, self._left - 1)
        return found


def _lenient_decoder(encoding: str) -> Callable[[], codecs.IncrementalDecoder]:
    """What cannot be decoded is a �."""
    return partial(codecs.getincrementaldecoder(encoding), errors="replace")


def mend_input() -> None:
    """For this process; before Textual is imported. Where Textual reads its keys otherwise it changes nothing."""
    os.environ.setdefault("ESCDELAY", str(ESCAPE_MS))
    if os.name == "nt":
        return
    from textual.drivers import linux_driver

    module: Any = linux_driver
    module.selectors = SimpleNamespace(**{**vars(selectors), "SelectSelector": _Selector})
    module.getincrementaldecoder = _lenient_decoder
