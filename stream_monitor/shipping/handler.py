"""A logging handler that ships to Kafka. It never waits and never raises: a call costs a few microseconds.

On the caller's thread a record is captured (its message, and whatever in it could change a moment later) and put
into a bounded queue. All else, JSON and redaction too, happens in the sender's thread, which starts with the first
record: that is half of a call's cost where the caller has slept and its caches are cold. In a forked child the
handler begins anew: the parent's queue is delivered by the parent, and the child's thread starts with the child's
first record.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import stat
import sys
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream_monitor.errors import UsageError
from stream_monitor.kinds import KINDS
from stream_monitor.shipping.buffer import Buffer
from stream_monitor.shipping.connection import Connection
from stream_monitor.shipping.entity import bounded_key, checked_kind, entity, kind_of
from stream_monitor.shipping.formatter import (
    LINE,
    MAX_BYTES,
    SIZE,
    Captured,
    JsonFormatter,
    bounded,
    capture,
    encoded,
    shortened,
)
from stream_monitor.shipping.frame import Item
from stream_monitor.shipping.place import named_log_dir
from stream_monitor.shipping.redaction import texts
from stream_monitor.shipping.spool import Limits

if TYPE_CHECKING:
    from stream_monitor.shipping.sender import Sender

_STATE = ("in_flight", "delivered", "spool_bytes", "set_aside")
_OURS = ("stream_monitor.shipping", "stream_monitor.librdkafka")
_NESTING = 3
"""How deep a record's own `__str__` may log while it is formatted."""
_RESTART_S = 10.0
"""How soon after a sender that an error has ended another one is tried."""
_JUST_NOW_S = 1.0
_handlers: weakref.WeakSet[KafkaHandler] = weakref.WeakSet()
_immortal: list[Any] = []
"""A parent's senders, in the child: librdkafka's threads are not here, and to destroy its handles would hang."""


class KafkaHandler(logging.Handler):
    """Ships the records of a kind (or, without one, of the kind whose labels they have) to `<prefix>.logs.<kind>`.

    A record without the labels that its kind must have (docs/reference/kinds.md) is not shipped, and counted as
    `skipped`. `spool_dir` None keeps what waits in memory alone. Raises UsageError for what is set wrongly.
    """

    def __init__(
        self,
        kind: str | None = None,
        *,
        broker: str | None = None,
        prefix: str | None = None,
        fields: Mapping[str, Any] | None = None,
        redact: Iterable[str] | str = (),
        redact_patterns: Iterable[str] | str = (),
        spool_dir: str | os.PathLike[str] | None = "",
        spool_bytes: int = 256_000_000,
        queue_records: int = 20_000,
        queue_bytes: int = 32_000_000,
        flush_timeout: float = 5.0,
        level: int | str = logging.NOTSET,
        **connection: Any,
    ) -> None:
        from stream_monitor.clients import client_config  # here, and not at the first record

        self._kind = checked_kind(kind)
        redact, redact_patterns = texts("redact", redact), texts("redact_patterns", redact_patterns)
        self._connection = Connection.load(broker=broker, prefix=prefix, **connection)
        client_config(self._connection)
        self._json = JsonFormatter(fields=fields, redact=redact, redact_patterns=redact_patterns)
        if min(spool_bytes, queue_records, queue_bytes, flush_timeout) <= 0:
            raise UsageError(
                "a KafkaHandler's spool_bytes, queue_records, queue_bytes and flush_timeout are above 0"
            )
        self._queue_limits = (int(queue_records), int(queue_bytes))
        spool = None if spool_dir is None else _spool_folder(spool_dir, self._connection)
        self._limits = Limits(spool, int(spool_bytes), float(flush_timeout))
        self._options: dict[str, Any] = {
            **self._connection.given,
            "fields": fields,
            "redact": redact,
            "redact_patterns": redact_patterns,
            "spool_dir": spool.parent if spool is not None else None,
            "spool_bytes": spool_bytes,
            "queue_records": queue_records,
            "queue_bytes": queue_bytes,
            "flush_timeout": flush_timeout,
        }
        self._topics = {name: self._connection.topic(name) for name in KINDS}
        self.begin()
        super().__init__(level)  # from here on logging closes it at the end
        _handlers.add(self)

    def takes(self, kind: str) -> bool:
        """Records of that kind are shipped."""
        return self._kind in (None, kind)

    def sibling(self, kind: str) -> KafkaHandler:
        """A handler for another kind, that is otherwise as this one."""
        return KafkaHandler(kind, **self._options)

    def begin(self) -> None:
        """Nothing queued, nothing started: at first, and in a forked child."""
        self.lost: Counter[str] = Counter()
        self._skipped = 0
        self._queue = Buffer(*self._queue_limits)
        self._nested: dict[int, int] = {}
        self._starting, self._closing = threading.Lock(), threading.RLock()
        self._start_at, self._gave_up_s = 0.0, -_JUST_NOW_S
        self._ends_at: float | None = None
        self._sender: Sender | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        """As logging's, without its lock: the queue needs none."""
        if self.filters:
            kept = self.filter(record)
            if not kept:
                return False
            record = kept if isinstance(kept, logging.LogRecord) else record
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record. Never waits, never raises."""
        ident = threading.get_ident()
        depth = self._nested.get(ident, 0)
        if depth >= _NESTING:
            self.lost["nested"] += 1
            return
        self._nested[ident] = depth + 1
        try:
            if not record.name.startswith(_OURS) and (self._sender is None or self._sender.ident != ident):
                self._put(record)
        except Exception:  # noqa: BLE001  (whatever it is, it is not the application's concern)
            self.lost["failed"] += 1
        finally:
            if depth:
                self._nested[ident] = depth
            else:
                del self._nested[ident]

    def _put(self, record: logging.LogRecord) -> None:
        captured = capture(record)
        formatter = self.formatter
        if formatter is not None and not isinstance(formatter, JsonFormatter):
            line = shortened(formatter.format(record), MAX_BYTES)
            captured[LINE] = line
            captured[SIZE] += len(line)
        if not self._queue.put(captured):
            self.lost["queue_full"] += 1
        sender = self._sender
        if sender is None or sender.has_ended:
            self._start()
        elif sender.is_resting:
            sender.wake()

    def item(self, captured: Captured) -> Item | None:
        """The message of a record, redacted; None where it belongs to no series. In the sender's thread."""
        line = captured.get(LINE)
        formatter = self.formatter if isinstance(self.formatter, JsonFormatter) else self._json
        fields = formatter.fields(captured)
        if formatter is not self._json and self._json.static:
            fields = {**self._json.static, **fields}
        kind = self._kind or kind_of(fields)
        key = entity(kind, fields) if kind is not None else None
        if kind is None or key is None:
            self._skipped += 1
            return None
        value = bounded(self._clean(encoded(fields) if line is None else line.encode(errors="replace")))
        return Item(int(captured["created"] * 1000), self._topics[kind], bounded_key(key).decode(), value)

    def _start(self) -> None:
        """The first of several callers starts the sender; the others do not wait for it."""
        if not self._starting.acquire(blocking=False):
            return
        try:
            before, now = self._sender, time.monotonic()
            if (before is not None and not before.has_ended) or now < self._start_at:
                return
            self._start_at = now if before is None or before.is_closed else now + _RESTART_S
            self._sender = sender = self._new_sender()
            try:
                sender.start()
                _close_at_the_end(weakref.ref(self))
            except RuntimeError as error:
                self._sender = None
                if "shutdown" in str(error):  # Python 3.12 and later: the interpreter ends
                    self._deliver_here(sender)
        finally:
            self._starting.release()

    def _new_sender(self) -> Sender:
        from stream_monitor.shipping.sender import Sender

        return Sender(self._connection, self._queue, self._limits, self.lost, self.item)

    def _deliver_here(self, sender: Sender) -> None:
        """The last records of a process, in the thread that logs them; together they have `flush_timeout`."""
        now = time.monotonic()
        if self._ends_at is None:
            self._ends_at = now + self._limits.flush_timeout_s
        self._sender = sender
        sender.run_here(self._ends_at)
        self._sender = None

    def _clean(self, value: bytes) -> bytes:
        if isinstance(self.formatter, JsonFormatter):
            value = self.formatter.redaction.clean(value)
            if not self._json.redaction.is_extended:
                return value
        return self._json.redaction.clean(value)

    def flush(self) -> None:
        """Until Kafka has what was logged, or the broker is away and the disk has it; at most `flush_timeout`."""
        sender = self._sender
        if sender is not None and not sender.wait(lambda sender: sender.is_safe, self._limits.flush_timeout_s):
            self._gave_up_s = time.monotonic()

    def wait_delivered(self, seconds: float) -> bool:
        """Wait until Kafka has all that was logged; False if it has not within that time."""
        sender = self._sender
        return sender is None or sender.wait(lambda sender: sender.is_delivered, seconds)

    def close(self) -> None:
        """Deliver what there is, bounded in time; what is left waits on disk. A later record starts it again.

        Where a flush has just waited in vain, as when logging is configured anew, this does not wait once more.
        """
        has_waited = time.monotonic() - self._gave_up_s < _JUST_NOW_S
        deadline = time.monotonic() + (0.0 if has_waited else self._limits.flush_timeout_s)
        with self._closing:
            self._close_sender(deadline)
        super().close()

    def _close_sender(self, deadline: float) -> None:
        """Until it has ended it stays the only one: what is logged meanwhile goes into it, or into the next."""
        while self._sender is not None or self._queue:
            if self._sender is None:  # something was logged between the last one's last look and its end
                self._start()
            sender = self._sender
            if sender is None:
                return
            sender.close(max(0.0, deadline - time.monotonic()))
            if not sender.has_ended or not self._starting.acquire(timeout=_JUST_NOW_S):
                return
            if self._sender is sender:
                self._sender = None
            self._starting.release()
            if time.monotonic() > deadline + _JUST_NOW_S:
                return

    @property
    def counts(self) -> dict[str, int]:
        """Records: queued, in_flight, delivered, skipped, lost, set_aside (of ended processes); spool_bytes."""
        sender = self._sender
        state = sender.state if sender is not None else dict.fromkeys(_STATE, 0)
        return {"queued": len(self._queue), **state, "skipped": self._skipped, "lost": self.lost.total()}

    def leave_to_parent(self) -> None:
        """In a forked child: begin anew, and never touch the parent's sender again."""
        sender = self._sender
        if sender is not None:
            sender.forget()
            _immortal.append(sender)
            for producer in sender.producers:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(producer))
        self.begin()


def _spool_folder(given: str | os.PathLike[str], connection: Connection) -> Path | None:
    """The folder for spools of this broker, made: in the given one, else under the log files' root, else in the
    system's folder for such things. In the last None, where it cannot be had safely.
    """
    log_dir = named_log_dir()
    if not given and log_dir is None:
        return _temporary_spool(connection)
    base = (Path(given) if given else log_dir / "spool" if log_dir else Path()).absolute()
    folder = base / connection.address_id
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the spool folder {base} cannot be made: {error.strerror}; choose another") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"the spool folder {base} cannot be written; choose another")
    return folder


def _temporary_spool(connection: Connection) -> Path | None:
    uid = os.getuid() if hasattr(os, "getuid") else 0
    base = Path(tempfile.gettempdir()) / f"stream-monitor-{uid}"
    folder = base / "spool" / connection.address_id
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = base.lstat()  # anybody may have made it, in a folder that everybody may write
        is_ours = stat.S_ISDIR(seen.st_mode) and (
            not hasattr(os, "getuid") or (seen.st_uid == uid and not seen.st_mode & 0o022)
        )
    except OSError:
        return None
    return folder if is_ours and os.access(folder, os.W_OK | os.X_OK) else None


def _close_at_the_end(handler: weakref.ref[KafkaHandler]) -> None:
    """Besides logging's own end, which a forked child may not have: Airflow's tasks run only what was registered
    in the child, and multiprocessing's children end without atexit.
    """

    def close() -> None:
        alive = handler()
        if alive is not None:
            alive.close()

    atexit.register(close)
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, close, exitpriority=0)


def _after_fork() -> None:
    for handler in list(_handlers):
        handler.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
