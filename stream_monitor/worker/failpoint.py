"""Points at which the worker can be told to die, as by SIGKILL: for the tests of crashes, and for nothing else.

`STREAM_MONITOR_FAILPOINT=before_commit:3` dies at the third time that the point is reached. With `:pause` behind
it the worker stops there as by SIGSTOP, and goes on as one that does not know how long it was away.
"""

from __future__ import annotations

import os
import signal

from stream_monitor.errors import UsageError

POINTS = {
    "fold": "in the middle of a fetched batch",
    "partials_sent": "partials are with the producer, no checkpoint holds them",
    "metrics_sent": "metrics are with the producer, no checkpoint holds them",
    "alert_sent": "an alert's transition is with the producer, no checkpoint holds it",
    "tombstone": "before a tombstone goes to the changelog",
    "before_rows": "before a checkpoint's rows go to the changelog",
    "rows_sent": "rows are with the producer, not acknowledged",
    "rows_acknowledged": "rows are acknowledged, the meta row is not written",
    "meta_sent": "the meta row is with the producer, not acknowledged",
    "before_commit": "the meta row is acknowledged, nothing is committed",
    "after_commit": "the checkpoint is committed",
    "before_put": "before a committed checkpoint goes to RocksDB",
    "after_put": "a committed checkpoint is in RocksDB",
    "restore": "in the middle of a restore from the changelog",
}

_armed = ""
_left = 0
_signal = signal.SIGKILL


def arm(failpoint: str | None) -> None:
    """Arm `name`, `name:times` or `name:times:pause`. Raises UsageError for what is none of these."""
    global _armed, _left, _signal  # noqa: PLW0603  (one process, one failpoint)
    if not failpoint:
        return
    given = failpoint.split(":")
    name, times, action = given + ["1", "die"][len(given) - 1 :] if len(given) < 4 else ("", "", "")
    if name not in POINTS or not times.isdecimal() or action not in ("die", "pause"):
        raise UsageError(f"no failpoint {failpoint!r}: a name, :times, :die or :pause; names: {', '.join(POINTS)}")
    _armed, _left = name, int(times)
    _signal = signal.SIGSTOP if action == "pause" else signal.SIGKILL


def reach(name: str) -> None:
    """Die (or pause) here if this is the point."""
    if name == _armed:
        global _left  # noqa: PLW0603
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), _signal)
