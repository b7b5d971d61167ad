"""A rotating log file under the root of the logs. Its folders are made; one clear line says if it cannot be."""

from __future__ import annotations

import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

from stream_monitor.errors import UsageError
from stream_monitor.shipping.place import LOG_DIR, named_log_dir


class LogFile(RotatingFileHandler):
    """`airflow/airflow.log` under the root, in pieces of `megabytes`, of which `backups` stay besides the newest.

    The root is what `configure(log_dir=…)` says, else STREAM_MONITOR_LOG_DIR, else `logs`. An absolute name stands
    for itself. Several processes may share a file: who finds it rotated by another opens the new one.
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        megabytes: float = 50,
        backups: int = 5,
        level: int | str = logging.NOTSET,
    ) -> None:
        path = (named_log_dir() or Path(LOG_DIR)) / filename
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            super().__init__(path, maxBytes=int(megabytes * 1_000_000), backupCount=backups, encoding="utf-8")
        except OSError as error:
            where = error.filename or path
            raise UsageError(
                f"log file {path}: cannot write {where}: {error.strerror}; "
                "choose another folder with log_dir= or STREAM_MONITOR_LOG_DIR"
            ) from None
        self.setLevel(level)

    def shouldRollover(self, record: logging.LogRecord) -> int:  # noqa: N802  (logging's name)
        """As its own; first it looks whether another process has rotated the file."""
        if self.stream is not None and self._has_moved():
            self.stream.close()
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)  # somebody may have cleaned up
            self.stream = self._open()
        return int(super().shouldRollover(record))

    def _has_moved(self) -> bool:
        try:
            there = Path(self.baseFilename).stat()
        except OSError:
            return True
        return self.stream is None or not os.path.samestat(there, os.fstat(self.stream.fileno()))
