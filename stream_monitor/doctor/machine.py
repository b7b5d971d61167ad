"""What can be seen without a broker: settings, versions, the worker's folder."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

from stream_monitor import __version__, sources
from stream_monitor.doctor.finding import Finding
from stream_monitor.settings import SECRETS, Settings

_PACKAGES = ("confluent-kafka", "faust-streaming", "aiokafka", "rocksdict", "numpy", "textual")
_LOW_BYTES, _FULL_BYTES = 2_000_000_000, 200_000_000
_LOCKS = Path("/proc/locks")


def settings(given: Settings) -> Iterator[Finding]:
    """Where the settings come from, and what is odd about them. No secret is in it."""
    who: str = given.security_protocol
    if who.startswith("SASL"):
        oauth = given.sasl_mechanism == "OAUTHBEARER"
        user = given.sasl_oauth_client_id if oauth else given.sasl_username
        who += f" {given.sasl_mechanism} as {user}"
    origin = f"from {given.file}, the environment and flags" if given.file else "no settings file is read"
    yield Finding("ok", "settings", f"broker {given.broker}, prefix {given.prefix}, {who}; {origin}")
    for line in sources.strangers(Settings.model_fields):
        yield Finding("warn", "settings", line, "correct its name, or take it away")
    if given.file is not None and _is_open(given.file) and _holds_secret(given.file):
        do = f"chmod 600 {given.file}, or keep the secret in a file of its own"
        yield Finding("warn", "settings", f"{given.file} holds a secret, and others may read it", do)


def _holds_secret(path: Path) -> bool:
    return not SECRETS.isdisjoint(tomllib.loads(path.read_text(encoding="utf-8")))


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)


def versions(given: Settings) -> Iterator[Finding]:
    """Of Python and of the packages that matter."""
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            do = "reinstall stream-monitor"
            yield Finding("fail", "versions", f"the package {name} is not installed", do)
    says = f"stream-monitor {__version__}, Python {platform.python_version()}, {', '.join(found)}"
    yield Finding("ok", "versions", says)
    if given.notify_urls is not None and importlib.util.find_spec("apprise") is None:
        do = "pip install 'stream-monitor[notify]'"
        yield Finding(
            "warn", "versions", "notify_urls is set, and Apprise, which sends them, is not installed", do
        )


def datadir(given: Settings) -> Iterator[Finding]:
    """The worker's folder: is there room, may it be written, does a worker use it?"""
    folder = given.datadir.absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        do = "give this user the folder, or name another with --datadir"
        yield Finding("fail", "datadir", f"{there} is no folder that this user can write", do)
        return
    free = shutil.disk_usage(there).free
    state = "no worker has used it yet" if there == folder else "not there yet; a worker makes it"
    if there == folder and (folder / "worker.lock").exists():
        state = "in use by a worker" if _is_locked(folder / "worker.lock") else "no worker uses it now"
    says = f"the worker's folder {folder}: {free / 1e9:,.1f} GB free, {state}"
    if free < _LOW_BYTES:
        do = "make room: a worker that cannot write its tables stops"
        yield Finding("fail" if free < _FULL_BYTES else "warn", "datadir", says, do)
    else:
        yield Finding("ok", "datadir", says)


def _is_locked(path: Path) -> bool:
    """Somebody holds its lock, as Linux lists them: trying would get in the way of a worker that starts."""
    if not _LOCKS.is_file():
        return False
    inode = f":{path.stat().st_ino}"
    return any(len(row) > 5 and row[5].endswith(inode) for row in map(str.split, _LOCKS.read_text().splitlines()))
