"""Secrets in logs: found by the names of fields, and in texts by `name=value`, URLs and well-known shapes.

    {"db_password": "hunter2"}                  →  {"db_password": "[redacted]"}
    "login with password=hunter2, retry 3"      →  "login with password=[redacted], retry 3"
    "postgresql://app:hunter2@db/orders"        →  "postgresql://app:[redacted]@db/orders"

A field is secret when its name ends with a listed one; case, `_`, `-`, `.` and spaces do not count: `accessToken`
and `X-Access-Token` are, `prompt_tokens` and `token_count` are not. Nearly every record has nothing to hide, and
is told from the others by a few searches for fixed bytes: a microsecond or two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import orjson

from stream_monitor.errors import UsageError

REDACTED = "[redacted]"

NAMES = (
    "password", "passwd", "pwd", "passphrase", "secret", "token", "authorization", "credential", "credentials",
    "api_key", "access_key", "secret_key", "private_key", "account_key", "cookie", "connection_string", "conn_str",
    "sql_alchemy_conn", "dsn", "database_url", "jaas_config",
)  # fmt: skip
"""The built-in list. `Redaction(names=…)` adds to it."""

_NOISE = b"_-. "
_DROP = str.maketrans("", "", "_-. ")
_VALUE = (
    r"(?:(?:bearer|basic|digest|token|negotiate)\s+)?"
    r"""(?:\\"(?:(?!\\").)*|"(?:[^"\\]|\\.)*|'(?:[^'\\]|\\.)*|[^\s,;&)}\]"'<>]+)(?:\\?["'])?"""
)
"""A scheme and a value: in quotes (a closing one may be cut off), in escaped quotes, or a word."""

_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("://", re.compile(r"(?<=://)(?P<keep>[^/\s:@\"']*:)[^/\s\"']+(?=@)")),
    ("bearer", re.compile(r"(?P<keep>\bbearer\s+)[\w.~+/=-]{6,}", re.IGNORECASE)),
    ("eyj", re.compile(r"(?P<keep>)(?<![\w-])eyJ[\w-]{8,8192}\.[\w-]{8,8192}\.[\w-]*")),
    ("privatekey", re.compile(r"(?P<keep>-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL)),
)
"""(what lower-case text without `_-. ` must contain, what is replaced but for its `keep`): a password in a URL, a
bearer token, a JSON web token, a private key.
"""


class Redaction:
    """The rules of a process. `names` are added to NAMES, `patterns` are regular expressions to replace whole."""

    def __init__(self, names: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        everything = (*NAMES, *names)
        plain = tuple(dict.fromkeys(_plain(name) for name in everything))
        self._ends = plain
        self._stems = tuple(_shortest(plain))
        self._marks = tuple(dict.fromkeys((*self._stems, *(mark for mark, _ in _SHAPES))))
        self._own = tuple(_compiled(pattern) for pattern in patterns)
        self.is_extended = bool(self._own) or len(everything) > len(NAMES)
        words = "|".join(r"[_\-. ]?".join(map(re.escape, re.split(r"[_\-. ]", name))) for name in everything)
        self._pairs = re.compile(rf"""(?P<keep>(?:{words})\\?["']?\s*[=:]\s*){_VALUE}""", re.IGNORECASE)
        self._is_secret = lru_cache(maxsize=4096)(self._ends_secret)

    def clean(self, value: bytes) -> bytes:
        """A log's bytes without its secrets: as JSON if it is a JSON object, else as text."""
        if not self._is_suspect(value):
            return value
        try:
            fields = orjson.loads(value)
        except ValueError:
            return self.text(value.decode(errors="replace")).encode()
        return orjson.dumps(self.plain(fields), default=str)

    def plain(self, value: Any) -> Any:
        """What JSON can say, without secrets; what holds none is the same object."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self._field(name, inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.plain(inner) for inner in value]
        return value

    def text(self, text: str) -> str:
        """A text without what looks like a secret."""
        small = _squeezed(text.encode(errors="replace"))
        if any(stem in small for stem in self._stems):
            text = self._pairs.sub(_replaced, text)
        for mark, shape in _SHAPES:
            if mark in small:
                text = shape.sub(_replaced, text)
        for pattern in self._own:
            text = pattern.sub(_replaced, text)
        return text

    def _is_suspect(self, value: bytes) -> bool:
        if self._own:
            return True
        small = _squeezed(value)
        for mark in self._marks:  # noqa: SIM110  (a generator costs more than all of it)
            if mark in small:
                return True
        return False

    def _field(self, name: Any, value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        return REDACTED if self._is_secret(str(name)) else self.plain(value)

    def _ends_secret(self, name: str) -> bool:
        return _plain(name).endswith(self._ends)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(f"(?P<keep>)(?:{pattern})")
    except re.error as error:
        raise UsageError(f"a pattern to redact, {pattern!r}: {error}") from None


def _squeezed(value: bytes) -> str:
    """In lower case, without `_-. `; as text, in which a search costs a fifth of what it costs in bytes."""
    return value.lower().translate(None, _NOISE).decode("latin-1")


def _plain(name: str) -> str:
    return name.lower().translate(_DROP)


def _shortest(names: tuple[str, ...]) -> list[str]:
    """Without those that contain another one."""
    return [name for name in names if not any(other != name and other in name for other in names)]


def _replaced(match: re.Match[str]) -> str:
    return match["keep"] + REDACTED
