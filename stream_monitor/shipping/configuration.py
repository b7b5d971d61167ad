"""The logging configurations of `logging/`, loaded in one line."""

from __future__ import annotations

import json
import logging.config
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from stream_monitor.data import data_dir
from stream_monitor.errors import MonitorError, UsageError
from stream_monitor.shipping import place
from stream_monitor.shipping.connection import Connection

CONFIGURATIONS = {
    "airflow": "airflow_logging.conf",
    "kafka": "kafka_logging.yaml",
    "ml": "ml_logging.conf",
    "unified": "unified_logging.json",
}
"""By name: the file in `logging/`, in one of the three notations that the standard library reads."""


def configure(
    name: str = "unified",
    *,
    log_dir: str | os.PathLike[str] | None = None,
    broker: str | None = None,
    prefix: str | None = None,
    level: int | str | None = None,
    keep: bool = False,
    **connection: Any,
) -> None:
    """Set up this process's logging: JSON to rotating files under `log_dir`, errors apart, and to Kafka.

    What is not given is taken from the environment (docs/reference/settings.md). `level` is the root logger's.
    Loggers that exist go on; with `keep` the handlers that exist do, too. `connection` are the other settings of a
    KafkaHandler's connection. Raises UsageError for a name that is unknown, a folder that cannot be written, an
    address that is none.
    """
    path = configuration(name)
    Connection.check(connection)
    settings = {"log_dir": log_dir, "broker": broker, "prefix": prefix, **connection}
    with place.given(settings):
        try:
            with _kept() if keep else nullcontext():
                _load(path)
        except ValueError as error:  # dictConfig's, about the handler; the cause says what it is
            cause = error.__cause__
            if isinstance(cause, MonitorError):
                raise cause from None
            raise
    if level is not None:
        logging.getLogger().setLevel(level)


def configuration(name: str) -> Path:
    """The file of a configuration, for `fileConfig` or `dictConfig`. Raises UsageError."""
    if name not in CONFIGURATIONS:
        raise UsageError(f"no logging configuration {name!r}; there are: {', '.join(CONFIGURATIONS)}")
    return data_dir("logging") / CONFIGURATIONS[name]


@contextmanager
def _kept() -> Iterator[None]:
    """The standard library closes all handlers before it loads a configuration: hide those that there are."""
    root = logging.getLogger()
    mine = {name: getattr(logging, name) for name in ("_handlerList", "_handlers") if hasattr(logging, name)}
    before = {name: registry.copy() for name, registry in mine.items()}
    handlers = root.handlers[:]
    for registry in mine.values():
        registry.clear()
    try:
        yield
    finally:
        for handler in handlers:
            if handler not in root.handlers:
                root.addHandler(handler)
        if "_handlerList" in mine:
            mine["_handlerList"][:0] = before["_handlerList"]
        if "_handlers" in mine:
            mine["_handlers"].update(before["_handlers"])


def _load(path: Path) -> None:
    if path.suffix == ".conf":
        logging.config.fileConfig(path, disable_existing_loggers=False, encoding="utf-8")
        return
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        logging.config.dictConfig(json.loads(text))
        return
    import yaml

    logging.config.dictConfig(yaml.safe_load(text))
