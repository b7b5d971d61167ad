"""Where settings are given: flags win over the environment, the environment over one TOML file.

It knows nothing of what a setting means, and imports little: the shipping side reads its secrets here, too.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream_monitor.errors import UsageError
from stream_monitor.near import suggestion

PREFIX = "STREAM_MONITOR_"
FILE_NAME = "stream-monitor.toml"
CONFIG = f"{PREFIX}CONFIG"
"""The environment variable that names the file; empty: no file is read."""

_OF_TESTS = frozenset({"TEST_BROKER", "REQUIRE_KAFKA"})
_OF_KUBERNETES = re.compile(
    r"(.*_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What it puts into every container of a namespace that has a service called `stream-monitor…`."""


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody has set."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    """By setting: where it was given, for a message."""
    file: Path | None = None
    """The file that was read."""


def gather(
    known: Collection[str],
    paths: Collection[str],
    flags: Mapping[str, Any],
    config: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Given:
    """What is given by the file, the environment and the flags that are not None.

    `known` are the settings' names, `paths` those that are paths. `config` is the flag that names the file. Raises
    UsageError for a file that cannot be read or says what no setting is called, and for a secret given twice.
    """
    path, named_by = _find(config, environment)
    from_file = {} if path is None else _read(path, named_by, known, paths)
    from_environment = {
        name: environment[variable(name)] for name in known if environment.get(variable(name)) is not None
    }
    from_flags = {name: value for name, value in flags.items() if value is not None}
    given = Given(file=path)
    _take(given, from_file, {name: f"{name} in {path}" for name in from_file})
    _take(given, from_environment, {name: variable(name) for name in from_environment})
    _take(given, from_flags, {name: flag(name) for name in from_flags})
    return given


def flag(name: str) -> str:
    """The flag of a setting; those of `web` leave its name out."""
    return f"--{name.removeprefix('web_').replace('_', '-')}"


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def without_ours(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment for a process of ours that is to read no setting but what it is given, and no file."""
    return {**{name: value for name, value in environment.items() if not name.startswith(PREFIX)}, CONFIG: ""}


def strangers(known: Collection[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """A line for each variable that looks like a setting and is none.

    It is no error: whoever runs a container has not chosen all of its environment.
    """
    lines = []
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name == CONFIG:
            continue
        rest = name.removeprefix(PREFIX)
        if rest.lower() in known or rest in _OF_TESTS or _OF_KUBERNETES.fullmatch(rest):
            continue
        lines.append(f"{name} is no setting, and nothing reads it{suggestion(rest.lower(), known, variable)}")
    return lines


def read_secret(path: Path, name: str) -> str:
    """A secret in a file of its own, without the newline at its end.

    Raises UsageError. The path is not in it: who mistakes this setting for the other has a secret there.
    """
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"setting {name} ({variable(name)}): the file cannot be read: {reason}") from None
    if not text:
        raise UsageError(f"setting {name} ({variable(name)}): the file is empty")
    return text


def _take(given: Given, values: Mapping[str, Any], places: Mapping[str, str]) -> None:
    """A stronger source's values; one that gives a secret, in either way, leaves nothing of a weaker one's."""
    for name in values:
        plain = name.removesuffix("_file")
        if name != plain and plain in values:
            raise UsageError(f"{places[plain]} and {places[name]} are both set; keep one of them")
        for either in (plain, f"{plain}_file"):
            if either not in values:
                given.values.pop(either, None)
    given.values.update(values)
    given.places.update(places)


def _find(config: str | os.PathLike[str] | None, environment: Mapping[str, str]) -> tuple[Path | None, str]:
    """The file to read, and who says so."""
    for path, named_by in ((config, "--config"), (environment.get(CONFIG), CONFIG)):
        if path is not None:
            return (Path(path) if path else None), named_by
    import platformdirs

    for folder in (Path(), platformdirs.user_config_path("stream-monitor")):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME, ""
    return None, ""


def _read(path: Path, named_by: str, known: Collection[str], paths: Collection[str]) -> dict[str, Any]:
    where = f"settings file {path}" + (f" ({named_by})" if named_by else "")
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = error if isinstance(error, tomllib.TOMLDecodeError) else "not UTF-8"
        raise UsageError(f"{where}: it is no TOML: {reason}") from None
    for name in values:
        if name not in known:
            raise UsageError(
                f"{where}: no setting is called {name[:120]!r}{suggestion(_as_setting(name), known, str)}"
            )
    return {name: _from_folder(path, value) if name in paths else value for name, value in values.items()}


def _from_folder(file: Path, value: Any) -> Any:
    """A relative path in a file starts where the file is."""
    return file.parent / Path(value).expanduser() if isinstance(value, str) and value else value


def _as_setting(name: str) -> str:
    """As names of settings are written."""
    return name.lower().replace("-", "_").replace(".", "_")
