"""`stream-monitor ship`: log files into Kafka, and on with them as they grow.

    files ─read─▶ a batch of at most BATCH ─produce─▶ Kafka acknowledges it ─▶ checkpoint ─▶ the next batch

One batch at a time is under way: a kill repeats at most that one, each record under the `ce_id` that it had, and
while the broker is away nothing more is read.
"""

from __future__ import annotations

import glob
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import orjson
from confluent_kafka import KafkaError, KafkaException

from stream_monitor import clients, offsets, topics
from stream_monitor.errors import MonitorError, UsageError
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.shipping.checkpoint import Checkpoint
from stream_monitor.shipping.entity import entity, kind_of
from stream_monitor.shipping.line import Piece, record
from stream_monitor.shipping.redaction import Redaction
from stream_monitor.shipping.tail import Tail

BATCH = 5000
"""Records under way at most: what a kill can repeat."""
_LOOK_S = 0.2
_SCAN_S = 1.0
_STOP_S = 5.0
_LET_GO_S = 30.0
"""A file that no path leads to any more is kept open until it has been silent for so long."""
_ENDINGS = (".log", ".json", ".jsonl", ".log.gz", ".json.gz", ".jsonl.gz")
_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD)


class Shipper:
    """Follows files into `<prefix>.logs.<kind>`. `counts` says what became of the records."""

    def __init__(
        self,
        settings: Settings,
        patterns: Sequence[str],
        kind: str | None,
        fields: Mapping[str, str],
        stopped: Callable[[], bool],
    ) -> None:
        topics.check(settings, offsets.SOURCES)
        self._settings, self._patterns, self._kind, self._fields = settings, patterns, kind, fields
        self._stopped = stopped
        self._checkpoint = Checkpoint(settings.datadir / "ship" / f"{settings.prefix}.json")
        self._producer = clients.producer(settings, **{"message.timeout.ms": 0, "linger.ms": 5})
        self._redaction = Redaction()
        self._source = f"/{socket.gethostname()}/ship".encode()
        self._tails: dict[tuple[int, int], Tail] = {}
        self._failure: str | None = None
        self._scanned = -_SCAN_S
        self.counts: Counter[str] = Counter()

    def run(self, *, once: bool) -> None:
        """Until `stopped()`; with `once`, to the ends that the files have now."""
        try:
            while not self._stopped():
                self._scan(once=once)
                if not self._ship_batch(once=once):
                    if once:
                        return
                    time.sleep(_LOOK_S)
        finally:
            for tail in self._tails.values():
                tail.close()
            self._checkpoint.close()

    def _scan(self, *, once: bool) -> None:
        """Open what is new; let go of what has gone."""
        now = time.monotonic()
        if now - self._scanned < _SCAN_S:
            return
        first, self._scanned = not self._tails, now
        for path in (*_matches(self._patterns), *(self._renamed() if first else ())):
            self._open(path)
        for key, tail in list(self._tails.items()):
            if tail.quiet_s > _LET_GO_S and not _leads_to(tail):
                self._tails.pop(key).close()
        if once and not self._tails:
            raise UsageError(f"no log file at {', '.join(self._patterns)}")

    def _open(self, path: Path) -> None:
        try:
            status = path.stat()
            known = self._tails.get((status.st_dev, status.st_ino))
            if known is not None:
                known.path = path
                return
            tail = Tail(path, self._checkpoint)
        except FileNotFoundError:  # renamed between two looks
            return
        except OSError as error:
            if not self.counts[f"unreadable {path}"]:
                _say(f"cannot read {path}: {error.strerror}")
            self.counts[f"unreadable {path}"] += 1
            return
        self._tails[tail.device, tail.inode] = tail
        if tail.is_gzip and self._settings.prefix == Settings.model_fields["prefix"].default:
            _say(f"{path}: history beside live logs is late by the rules; give it a --prefix of its own")

    def _renamed(self) -> Iterator[Path]:
        """Files that were left unfinished and are called otherwise now, in the folder where they were."""
        inodes = {(entry.device, entry.inode): Path(entry.path).parent for entry in self._checkpoint.entries}
        for folder in set(inodes.values()):
            if folder.is_dir():
                for path in folder.iterdir():
                    status = path.stat()
                    if inodes.get((status.st_dev, status.st_ino)) == folder and path.is_file():
                        yield path

    def _ship_batch(self, *, once: bool) -> bool:
        """Read, produce, wait, write down. False if there was nothing."""
        read = sent = 0
        for tail in sorted(self._tails.values(), key=_age):
            is_last = once or (tail.quiet_s > _SCAN_S and not _leads_to(tail))
            while read < BATCH and (found := tail.read(BATCH - read, is_last=is_last)):
                read += len(found)
                sent += sum(self._send(tail, piece) for piece in found)
        if not read or not self._delivered():
            return False
        for tail in self._tails.values():
            tail.advance()
        self._checkpoint.save()
        self.counts["sent"] += sent
        return True

    def _send(self, tail: Tail, piece: Piece) -> int:
        """1 if the record was sent."""
        fields = record(piece, {**tail.labels, **self._fields})
        if fields is None:
            self.counts["fragments"] += 1
            return 0
        kind = self._kind or kind_of(fields)
        if kind is None:
            self.counts["skipped"] += 1
            return 0
        assert tail.entry is not None
        headers: list[tuple[str, str | bytes | None]] = [
            ("ce_id", f"{tail.entry.identity}-{piece.offset}".encode()),
            ("ce_source", self._source),
            ("ce_type", f"log.{kind}".encode()),
            ("ce_specversion", b"1.0"),
            ("content-type", b"application/json"),
        ]
        value = self._redaction.clean(orjson.dumps(fields))
        self._produce(self._settings.topic(f"logs.{kind}"), value, entity(kind, fields), headers)
        return 1

    def _produce(self, topic: str, value: bytes, key: str | None, headers: Any) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, headers=headers, on_delivery=self._answered)
            except BufferError:
                self._producer.poll(_LOOK_S)
            except KafkaException as error:
                raise MonitorError(f"cannot send to {topic}: {clients.reason(error)}") from None
            else:
                return

    def _answered(self, error: KafkaError | None, message: Any) -> None:
        if error is None:
            return
        if error.code() in _TOO_LARGE:
            self.counts["too_large"] += 1
        else:
            self._failure = f"{message.topic()} did not take a record: {error.str()}"

    def _delivered(self) -> bool:
        """Wait, as long as it takes, until Kafka has acknowledged all of it; False soon after `stopped()`."""
        asked: float | None = None
        while self._producer.flush(_LOOK_S):
            if self._stopped():
                asked = asked or time.monotonic()
                if time.monotonic() - asked > _STOP_S:
                    return False
        if self._failure is not None:
            raise MonitorError(self._failure)
        return True


def run(
    settings: Settings,
    patterns: Sequence[str],
    *,
    kind: str | None,
    fields: Sequence[str],
    once: bool,
    stopped: Callable[[], bool],
) -> int:
    """Ship, and say what became of it. Exit code 1 if files could not be read."""
    given = dict(_field(pair) for pair in fields)
    shipper = Shipper(settings, patterns, kind, given, stopped)
    shipper.run(once=once)
    counts = shipper.counts
    click.echo(f"{counts['sent']} records sent")
    if counts["skipped"]:
        labels = "; ".join(
            f"{name}: {', '.join(r.labels[: r.required])}" for name, r in sorted(KINDS.rows.items())
        )
        _say(f"{counts['skipped']} records belong to no kind ({labels}); --field NAME=VALUE adds what is missing")
    if counts["fragments"]:
        _say(f"{counts['fragments']} pieces were no beginning of a record, and were left out")
    if counts["too_large"]:
        _say(f"{counts['too_large']} records were too large for the broker")
    return 1 if any(name.startswith("unreadable") for name in counts) else 0


def _field(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not (name and equals and value):
        raise UsageError(f"--field {pair!r}: it is NAME=VALUE")
    return name, value


def _matches(patterns: Sequence[str]) -> Iterator[Path]:
    """Files at paths, by glob patterns (`**` too), and in folders the log files."""
    for pattern in patterns:
        names = glob.glob(pattern, recursive=True) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207  (`**`)
        for name in sorted(names):
            path = Path(name)
            if path.is_dir():
                yield from (inner for inner in sorted(path.rglob("*")) if inner.name.endswith(_ENDINGS))
            elif path.is_file():
                yield path


def _leads_to(tail: Tail) -> bool:
    """The path that it was found at still names this file."""
    try:
        status = tail.path.stat()
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (tail.device, tail.inode)


def _age(tail: Tail) -> float:
    """Older files first: what was rotated away goes before what came in its place."""
    return tail.modified_s


def _say(line: str) -> None:
    click.echo(f"stream-monitor: {line}", err=True)
