"""Secrets in logs: found by the names of fields, and in texts by `name=value`, URLs and well-known shapes.

    {"db_password": "hunter2"}                  →  {"db_password": "[redacted]"}
    {"name": "password", "value": "hunter2"}    →  {"name": "password", "value": "[redacted]"}
    "login with password=hunter2, retry 3"      →  "login with password=[redacted], retry 3"
    "postgresql://app:hunter2@db/orders"        →  "postgresql://app:[redacted]@db/orders"

A field is secret when its name ends with a listed one, which may be a plural or numbered; case, `_`, `-`, `.` and
spaces do not count: `accessToken`, `X-Access-Token` and `passwords2` are, `token_count` is not, nor is a plural
with a number (`prompt_tokens`). Nearly every record has nothing to hide, and is told from the others by a few
searches for fixed bytes: a microsecond or two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import orjson

from stream_monitor.errors import UsageError
from stream_monitor.shipping.texts import REDACTED, SHAPES, Pairs

NAMES = (
    "password", "passwd", "pwd", "passphrase", "secret", "token", "authorization", "credential", "credentials",
    "api_key", "access_key", "secret_key", "private_key", "account_key", "cookie", "connection_string", "conn_str",
    "sql_alchemy_conn", "dsn", "database_url", "jaas_config",
)  # fmt: skip
"""The built-in list. `Redaction(names=…)` adds to it."""

_NOISE = b"_-. "
_DROP = str.maketrans("", "", "_-. ")
_NAMING = frozenset({"name", "key", "header", "field", "parameter", "variable", "option"})
_VALUES = frozenset({"value", "values", "val"})
_NOT, _PLURAL, _SECRET = range(3)


class Redaction:
    """The rules of a process. `names` are added to NAMES, `patterns` are regular expressions to replace whole.
    Either may be a single text. Raises UsageError for what is none.
    """

    def __init__(self, names: Iterable[str] | str = (), patterns: Iterable[str] | str = ()) -> None:
        added = texts("redact", names)
        everything = (*NAMES, *added)
        plain = tuple(dict.fromkeys(_plain(name) for name in everything))
        if not all(plain):
            raise UsageError("redact: a name has letters or digits")
        self._ends = plain
        self._stems = tuple(_shortest(plain))
        self._marks = tuple(dict.fromkeys((*self._stems, *(mark for mark, _, _ in SHAPES))))
        self._is_ascii = all(map(str.isascii, plain))
        self._own = tuple(_compiled(pattern) for pattern in texts("redact_patterns", patterns))
        self.is_extended = bool(self._own or added)
        self._pairs = Pairs(everything)
        self._secrecy = lru_cache(maxsize=4096)(self._secrecy_of)

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
            return self._object(value)
        if isinstance(value, list):
            return self._list(value)
        return value

    def text(self, text: str) -> str:
        """A text without what looks like a secret."""
        small = self._small(text.encode(errors="replace"))
        if any(stem in small for stem in self._stems):
            text = self._pairs.clean(text)
        for mark, shape, replaced in SHAPES:
            if mark in small:
                text = shape.sub(replaced, text)
        for pattern in self._own:
            text = pattern.sub(REDACTED, text)
        return text

    def _is_suspect(self, value: bytes) -> bool:
        if self._own or (not self._is_ascii and b"\\u" in value):
            return True
        small = self._small(value)
        for mark in self._marks:  # noqa: SIM110  (a generator costs more than all of it)
            if mark in small:
                return True
        return False

    def _small(self, value: bytes) -> str:
        """In lower case, without `_-. `; as text, in which a search costs a fifth of what it costs in bytes."""
        if self._is_ascii:
            return value.lower().translate(None, _NOISE).decode("latin-1")
        return _plain(value.decode(errors="replace"))

    def _object(self, fields: dict[str, Any]) -> dict[str, Any]:
        names = (inner for name, inner in fields.items() if isinstance(inner, str) and name.lower() in _NAMING)
        is_named = any(self._secrecy(name) for name in names)
        return {
            name: REDACTED if is_named and name.lower() in _VALUES else self._field(name, inner)
            for name, inner in fields.items()
        }

    def _list(self, values: list[Any]) -> list[Any]:
        """Also `[["Authorization", "…"]]`, and `["--password", "…"]`."""
        found: list[Any] = []
        before: Any = None
        for inner in values:
            if isinstance(before, str) and before.startswith("--") and self._secrecy(before):
                found.append(self._field(before, inner))
            elif (
                isinstance(inner, list)
                and len(inner) == 2
                and isinstance(inner[0], str)
                and self._secrecy(inner[0])
            ):
                found.append([inner[0], self._field(*inner)])
            else:
                found.append(self.plain(inner))
            before = inner
        return found

    def _field(self, name: Any, value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        secrecy = self._secrecy(str(name))
        is_open = secrecy == _NOT or (secrecy == _PLURAL and _is_count(value))
        return self.plain(value) if is_open else REDACTED

    def _secrecy_of(self, name: str) -> int:
        plain = _plain(name)
        short = plain.rstrip("0123456789")
        if plain.endswith(self._ends) or (short.endswith(self._ends) and not short.endswith("tokens")):
            return _SECRET
        return _PLURAL if short.endswith("s") and short[:-1].endswith(self._ends) else _NOT


def texts(option: str, given: Iterable[str] | str) -> tuple[str, ...]:
    """One text or several, of an option. Raises UsageError for anything else."""
    every = (given,) if isinstance(given, str) else tuple(given)
    for text in every:
        if not isinstance(text, str) or not text:
            raise UsageError(f"{option}: texts, not {text!r}")
    return every


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageError(f"a pattern to redact, {pattern!r}: {error}") from None


def _is_count(value: Any) -> bool:
    """A number, also as text, or a list of numbers: how many of something, which is no secret."""
    if isinstance(value, str):
        return value.strip().replace(".", "", 1).isdigit()
    return isinstance(value, int | float) or (isinstance(value, list) and all(map(_is_count, value)))


def _plain(name: str) -> str:
    return name.lower().translate(_DROP)


def _shortest(names: tuple[str, ...]) -> list[str]:
    """Without those that contain another one."""
    return [name for name in names if not any(other != name and other in name for other in names)]
