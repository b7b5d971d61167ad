"""What somebody has written, in a message: cut short, and what may have been meant by it."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Callable, Collection
from typing import Any

_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxother, _short.maxlong = 2, 80, 80, 40


def shown(value: Any) -> str:
    """Its repr, however large it is: bounded in length and depth, on one line."""
    return _short.repr(value)[:200]


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that is near, if one is."""
    close = difflib.get_close_matches(name[:200], known, n=1, cutoff=0.6)
    return close[0] if close else None


def suggestion(name: str, known: Collection[str], said: Callable[[str], str] = repr) -> str:
    """`; did you mean 'severity'?`, or nothing where no known name is near. `said`: how a name is written."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {said(near)}?"
