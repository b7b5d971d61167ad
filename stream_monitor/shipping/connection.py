"""The settings of a connection to Kafka, read without pydantic: this room lives in other people's processes.

The same names, environment variables and defaults as in `stream_monitor.settings`; a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zlib import crc32

from stream_monitor import sources
from stream_monitor.errors import UsageError
from stream_monitor.shipping.place import setting

_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CHOICES = {
    "security_protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "sasl_mechanism": ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"),
}
_SECRETS = frozenset({"sasl_password", "sasl_oauth_client_secret", "ssl_key_password"})
_PATHS = frozenset(
    {"ssl_ca", "ssl_certificate", "ssl_key", "sasl_oauth_ca", *(f"{name}_file" for name in _SECRETS)}
)
_SECONDS = {"request_timeout": (1.0, 300.0), "connect_timeout": (0.001, 600.0)}


class Secret:
    """A text that no repr and no message shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """What is hidden."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret('**********')"


@dataclass(frozen=True)
class Connection:
    """Where Kafka is and how to speak to it. Times are in seconds."""

    broker: str = "127.0.0.1:9092"
    prefix: str = "pipeline"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: Secret | None = None
    sasl_password_file: Path | None = None
    sasl_oauth_token_url: str | None = None
    sasl_oauth_client_id: str | None = None
    sasl_oauth_client_secret: Secret | None = None
    sasl_oauth_client_secret_file: Path | None = None
    sasl_oauth_scope: str | None = None
    sasl_oauth_extensions: str | None = None
    sasl_oauth_ca: Path | None = None
    ssl_ca: Path | None = None
    ssl_certificate: Path | None = None
    ssl_key: Path | None = None
    ssl_key_password: Secret | None = None
    ssl_key_password_file: Path | None = None
    request_timeout: float = 30.0
    connect_timeout: float = 10.0

    @classmethod
    def load(cls, **given: Any) -> Connection:
        """What is given and not None wins over what the process was told (`place`). Raises UsageError."""
        cls.check(given)
        found: dict[str, Any] = {}
        for name in (field.name for field in fields(cls)):
            value = given.get(name)
            value = setting(name) if value is None else value
            if value is not None:
                found[name] = _read(name, value)
        for name in _SECRETS:
            path = found.get(f"{name}_file")
            if path is not None and name not in found:
                found[name] = Secret(sources.read_secret(path, f"{name}_file"))
        return cls(**found)

    @classmethod
    def check(cls, names: Iterable[str]) -> None:
        """Raises UsageError for a setting that there is not."""
        known = [field.name for field in fields(cls)]
        for name in names:
            if name not in known:
                raise UsageError(f"no setting {name!r} of a connection; there are: {', '.join(known)}")

    def topic(self, kind: str) -> str:
        """The topic of a kind of log."""
        return f"{self.prefix}.logs.{kind}"

    @property
    def given(self) -> dict[str, Any]:
        """What `load` makes the same of."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def address_id(self) -> str:
        """Of the broker's address, for a folder's name."""
        return f"{crc32(','.join(sorted(self.broker.split(','))).encode()):08x}"


def _read(name: str, value: Any) -> Any:
    if name in _SECRETS:
        return Secret(value) if isinstance(value, str) else value
    if name in _PATHS:
        return Path(value)
    if name in _SECONDS:
        return _seconds(name, value)
    text = str(value)
    if name in _CHOICES and text not in _CHOICES[name]:
        raise UsageError(f"setting {name}: one of {', '.join(_CHOICES[name])}, not {text[:120]!r}")
    if name == "prefix" and not _PREFIX.fullmatch(text):
        raise UsageError(f"setting prefix: letters, digits, . _ -, a letter or digit first; not {text[:120]!r}")
    return text


def _seconds(name: str, value: Any) -> float:
    least, most = _SECONDS[name]
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = float("nan")
    if not least <= seconds <= most:
        raise UsageError(f"setting {name}: seconds from {least:g} to {most:g}, not {str(value)[:120]!r}")
    return seconds
