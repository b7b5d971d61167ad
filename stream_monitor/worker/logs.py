"""The worker's log: one line an event on stderr, and a flood is one line with a count."""

from __future__ import annotations

import logging
import sys
import threading
import time

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_EVERY_S = 10.0
_LIBRARIES = ("faust", "mode", "aiokafka", "kafka")
"""They have much to say; their warnings and errors are shown."""


class Flood(logging.Filter):
    """Lets a message of a library (by its text before formatting) through once in ten seconds.

    A broker that is away makes aiokafka complain fifty times a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a message that came a moment ago."""
        if not record.name.startswith(_LIBRARIES):
            return True
        key, now = (record.name, str(record.msg)), time.monotonic()
        last, held = self._seen.get(key, (-_EVERY_S, 0))
        if now - last < _EVERY_S:
            self._seen[key] = (last, held + 1)
            return False
        self._seen[key] = (now, 0)
        if held:
            record.msg = f"{record.msg} (and {held} more like it)"
        return True


def configure() -> None:
    """To stderr, from INFO on; the libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Flood())
    logging.basicConfig(level=logging.INFO, format=_FORMAT, handlers=[handler])
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    threading.excepthook = _thread_ended


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    """Faust's consumer thread ends with an exception where the broker is away: a line, no traceback."""
    name = ended.thread.name if ended.thread else "a thread"
    logging.getLogger(__name__).warning("%s ended with %s: %s", name, ended.exc_type.__name__, ended.exc_value)
