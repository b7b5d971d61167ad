"""The worker's log: one line an event on stderr, and a flood is one line with a count."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from stream_monitor.terminal import LOG_FORMAT

_EVERY_S = 10.0
_OURS = str(Path(__file__).resolve().parent.parent)
_ORDINARY = ("GroupCoordinatorNotAvailableError", "Marking the coordinator dead", "because it is rebalancing")
"""In the life of a group: Kafka makes its topic of offsets for the first one that joins, members come and go.
Where a coordinator is lost for another reason, another line says that.
"""


class Libraries(logging.Filter):
    """What Faust and the Kafka client say: warnings and errors, one of a kind in ten seconds.

    A broker that is away makes aiokafka complain fifty times a second; outage.py says it in one line, and while
    `is_away()` the complaints are left out. Whose a line is says the file that it comes from: Faust logs what it
    does with a class of ours under our module's name. With `verbose` all is shown from INFO on.
    """

    def __init__(self, *, verbose: bool, is_away: Callable[[], bool]) -> None:
        super().__init__()
        self._verbose = verbose
        self._is_away = is_away
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """False for what is left out."""
        if record.pathname.startswith(_OURS):
            return True
        return (self._verbose or self._is_told(record)) and self._is_news(record)

    def _is_told(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if record.levelno < logging.WARNING or any(part in text for part in _ORDINARY):
            return False
        return not (record.name.startswith("aiokafka") and record.exc_info is None and self._is_away())

    def _is_news(self, record: logging.LogRecord) -> bool:
        """Nothing like it, by its text before formatting, came a moment ago."""
        key, now = (record.name, str(record.msg)), time.monotonic()
        last, held = self._seen.get(key, (-_EVERY_S, 0))
        if now - last < _EVERY_S:
            self._seen[key] = (last, held + 1)
            return False
        self._seen[key] = (now, 0)
        if held:
            record.msg = f"{record.msg} (and {held} more like it)"
        return True


def configure(*, verbose: bool = False, is_away: Callable[[], bool] = lambda: False) -> None:
    """To stderr, from INFO on; of the libraries what `Libraries` lets through."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Libraries(verbose=verbose, is_away=is_away))
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, handlers=[handler])
    threading.excepthook = _thread_ended


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    """Faust's consumer thread ends with an exception where the broker is away: a line, no traceback."""
    name = ended.thread.name if ended.thread else "a thread"
    logging.getLogger(__name__).warning("%s ended with %s: %s", name, ended.exc_type.__name__, ended.exc_value)
