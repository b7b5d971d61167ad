"""How adapters log: through the application's own logging, and to Kafka also where that has no Kafka handler."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from stream_monitor.errors import MonitorError
from stream_monitor.shipping.handler import KafkaHandler


class Emitter:
    """Logs of one kind under one logger's name, at whatever level that logger has: they are data."""

    def __init__(self, kind: str, logger: str) -> None:
        self._kind, self._logger = kind, logging.getLogger(logger)

    def emit(self, level: int, message: str, fields: Mapping[str, Any]) -> None:
        """One record. Never raises."""
        logger, record = self._logger, logging.LogRecord.__new__(logging.LogRecord)
        now, thread = time.time(), threading.current_thread()
        record.__dict__ |= _BLANK
        record.__dict__ |= {
            "name": logger.name,
            "msg": message,
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "created": now,
            "msecs": int(now % 1 * 1000) + 0.0,
            "thread": thread.ident,
            "threadName": thread.name,
            "process": os.getpid(),
        }
        record.__dict__ |= fields
        try:
            logger.handle(record)
            other = None
            for handler in _handlers(logger):
                if isinstance(handler, KafkaHandler):
                    if handler.takes(self._kind):
                        return
                    other = other or handler
            _spare(self._kind, other).handle(record)
        except MonitorError as error:  # our own handler's settings
            if str(error) not in _complaints:
                _complaints.add(str(error))
                logging.getLogger("stream_monitor.shipping").warning("cannot ship to Kafka: %s", error)
        except Exception:  # a handler of the application's
            if logging.raiseExceptions:
                logging.getLogger("stream_monitor.shipping").exception("an adapter could not log")

    def flush(self) -> None:
        """Wait, bounded, for what was emitted."""
        for handler in (*_handlers(self._logger), *_spares.values()):
            if isinstance(handler, KafkaHandler):
                handler.flush()


_BLANK = logging.makeLogRecord({"pathname": "stream_monitor", "filename": "stream_monitor"}).__dict__
"""What a record says by itself: to make one from it costs a third of making one anew."""
_spares: dict[tuple[str, KafkaHandler | None], KafkaHandler] = {}
_complaints: set[str] = set()


def _spare(kind: str, other: KafkaHandler | None) -> KafkaHandler:
    """A Kafka handler of our own for a process that has none for this kind. Its settings are those of the one for
    another kind, where there is one, else those of the environment.
    """
    found = _spares.get((kind, other))
    if found is None:
        made = KafkaHandler(kind) if other is None else other.sibling(kind)
        found = _spares.setdefault((kind, other), made)
    return found


def _handlers(logger: logging.Logger) -> list[logging.Handler]:
    found: list[logging.Handler] = []
    above: logging.Logger | None = logger
    while above is not None:
        found += above.handlers
        above = above.parent if above.propagate else None
    return found
