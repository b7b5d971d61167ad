"""`stream-monitor ship`: log files into Kafka, and on with them as they grow.

    files ─read─▶ a batch of at most BATCH ─produce─▶ Kafka acknowledges it ─▶ checkpoint ─▶ the next batch

One batch at a time is under way: a kill repeats at most that one, each record under the `ce_id` that it had, and
while the broker is away nothing more is read.
"""

from __future__ import annotations

import contextlib
import glob
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import click
import orjson

from stream_monitor import clients, offsets, topics
from stream_monitor.errors import UsageError
from stream_monitor.kinds import KINDS
from stream_monitor.plural import counted
from stream_monitor.settings import Settings
from stream_monitor.shipping.checkpoint import Checkpoint
from stream_monitor.shipping.entity import bounded_key, entity, kind_of
from stream_monitor.shipping.formatter import encoded
from stream_monitor.shipping.line import Piece, record
from stream_monitor.shipping.records import Record, Records
from stream_monitor.shipping.redaction import Redaction
from stream_monitor.shipping.tail import Tail

BATCH = 5000
"""Records under way at most: what a kill can repeat."""
_LOOK_S = 0.2
_SCAN_S = 1.0
_LET_GO_S = 30.0
"""A file that no path leads to any more is kept until it is read, and has been silent for so long."""
_ENDINGS = (".log", ".json", ".jsonl", ".log.gz", ".json.gz", ".jsonl.gz")
_MOST_OPEN = 200
"""Files that are open at a time; the others are opened again when they have grown."""


class Shipper:
    """Follows files into `<prefix>.logs.<kind>`. `counts` says what became of the records.

    How far it is, is kept by cluster and prefix: what was sent to one was not sent to another.
    """

    def __init__(
        self,
        settings: Settings,
        patterns: Sequence[str],
        kind: str | None,
        fields: Mapping[str, str],
        stopped: Callable[[], bool],
        *,
        once: bool,
    ) -> None:
        topics.check(settings, offsets.SOURCES)
        self._settings, self._patterns, self._kind, self._fields = settings, patterns, kind, fields
        self._stopped, self._once = stopped, once
        cluster = clients.ensure_broker(settings, stopped).cluster_id
        place = settings.datadir / "ship" / f"{settings.prefix}@{cluster}.json"
        if not place.exists() and not any(_matches(patterns)):
            self._miss_files()
        self._checkpoint = Checkpoint(place)
        self._records = Records(settings, stopped)
        self._redaction = Redaction()
        self._source = f"/{socket.gethostname()}/ship".encode()
        self._tails: dict[tuple[int, int], Tail] = {}
        self._open_tails: dict[tuple[int, int], Tail] = {}
        self._scanned = -_SCAN_S
        self.counts = self._records.counts

    def run(self) -> None:
        """Until `stopped()`; with `once`, to the ends that the files have now."""
        try:
            while not self._stopped():
                self._scan()
                if not self._ship_batch():
                    if self._once and not any(tail.is_waiting for tail in self._tails.values()):
                        return
                    time.sleep(_LOOK_S)
        finally:
            for tail in self._tails.values():
                tail.close()
            self._checkpoint.close()

    def _miss_files(self) -> None:
        """Say so; with `once` that is all."""
        where = ", ".join(self._patterns)
        if self._once:
            raise UsageError(f"no log file at {where}")
        _say(f"no log file at {where} yet; it waits for one")

    def _scan(self) -> None:
        """Open what is new; let go of what has gone."""
        now = time.monotonic()
        if now - self._scanned < _SCAN_S:
            return
        first, self._scanned = not self._tails, now
        for path in (*_matches(self._patterns), *(self._renamed() if first else ())):
            self._open(path)
        for tail in list(self._tails.values()):
            if tail.is_gone or (tail.is_at_end and tail.quiet_s > _LET_GO_S and not tail.is_there):
                self._let_go(tail)
        if self._once and not self._tails and not self.counts:
            self._miss_files()

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
            self._unreadable(path, error)
            return
        self._tails[tail.device, tail.inode] = tail
        self._used(tail)
        if tail.is_gzip and self._settings.prefix == Settings.model_fields["prefix"].default:
            _say(f"{path}: history beside live logs is late by the rules; give it a --prefix of its own")

    def _unreadable(self, path: Path, error: OSError) -> None:
        """Said once, and the others go on."""
        if not self.counts[f"unreadable {path}"]:
            _say(f"cannot read {path}: {error.strerror or error}")
        self.counts[f"unreadable {path}"] += 1

    def _let_go(self, tail: Tail) -> None:
        self._tails.pop((tail.device, tail.inode), None)
        self._open_tails.pop((tail.device, tail.inode), None)
        tail.close()
        if not tail.is_at_end:
            self.counts[f"unreadable {tail.path}"] += 1
            _say(f"{tail.path} has gone before it was read to its end")

    def _used(self, tail: Tail) -> None:
        """Of more than may be open, the one that was used longest ago is closed."""
        key = (tail.device, tail.inode)
        self._open_tails.pop(key, None)
        if tail.is_open:
            self._open_tails[key] = tail
        while len(self._open_tails) > _MOST_OPEN:
            self._open_tails.pop(next(iter(self._open_tails))).release()

    def _renamed(self) -> Iterator[Path]:
        """Files that were left unfinished and are called otherwise now, in the folder where they were."""
        inodes = {(entry.device, entry.inode): Path(entry.path).parent for entry in self._checkpoint.entries}
        for folder in set(inodes.values()):
            for path in _inside(folder):
                with contextlib.suppress(OSError):
                    status = path.stat()
                    if inodes.get((status.st_dev, status.st_ino)) == folder:
                        yield path

    def _ship_batch(self) -> bool:
        """Read, produce, wait, write down. False if there was nothing."""
        read = 0
        for tail in sorted(self._tails.values(), key=_age):
            try:
                read += self._read(tail, BATCH - read)
            except OSError as error:
                self._unreadable(tail.path, error)
                self._let_go(tail)
            self._used(tail)
            if read >= BATCH:
                break
        if not read or not self._records.delivered():
            return False
        for tail in list(self._tails.values()):
            try:
                tail.advance()
            except OSError:  # it has gone
                self._let_go(tail)
        self._checkpoint.save()
        return True

    def _read(self, tail: Tail, most: int) -> int:
        """Produce at most so many records of a file; how many pieces were read."""
        is_last = self._once or (tail.quiet_s > _SCAN_S and not tail.is_there)
        read, was_cut = 0, tail.is_cut
        while read < most and (found := tail.read(most - read, is_last=is_last)):
            read += len(found)
            for piece in found:
                tail.has_sent |= self._send(tail, piece)
        if tail.is_cut and not was_cut:
            self.counts[f"unreadable {tail.path}"] += 1
            _say(f"{tail.path} is cut off or damaged: only its first {tail.place} bytes, unpacked, could be read")
        return read

    def _send(self, tail: Tail, piece: Piece) -> bool:
        """Whether the record was sent."""
        try:
            made = self._made(tail, piece)
        except Exception as error:  # noqa: BLE001  (what a record can hold stops nothing)
            if not self.counts["failed"]:
                _say(f"{tail.path}, byte {piece.offset}: {type(error).__name__}: {error}")
            self.counts["failed"] += 1
            return False
        if made is not None:
            self._records.send(made)
        return made is not None

    def _made(self, tail: Tail, piece: Piece) -> Record | None:
        """The record of a piece; None, and counted, where there is none."""
        fields = record(piece, {**tail.labels, **self._fields})
        if fields is None:
            self.counts["fragments"] += 1
            return None
        kind = self._kind or kind_of(fields)
        if kind is None:
            self.counts["skipped"] += 1
            return None
        assert tail.entry is not None
        headers: list[tuple[str, str | bytes | None]] = [
            ("ce_id", f"{tail.entry.identity}-{piece.offset}".encode()),
            ("ce_source", self._source),
            ("ce_type", f"log.{kind}".encode()),
            ("ce_specversion", b"1.0"),
            ("content-type", b"application/json"),
        ]
        try:
            value = orjson.dumps(fields)
        except (TypeError, ValueError):  # nested too deep, or a path that is no UTF-8
            value = encoded(fields)
        key = entity(kind, fields)
        topic = self._settings.topic(f"logs.{kind}")
        return Record(topic, self._redaction.clean(value), None if key is None else bounded_key(key), headers)


def run(
    settings: Settings,
    patterns: Sequence[str],
    *,
    kind: str | None,
    fields: Mapping[str, str],
    once: bool,
    stopped: Callable[[], bool],
) -> int:
    """Ship, and say what became of it. Exit code 1 if something of the files is not in Kafka."""
    shipper = Shipper(settings, patterns, kind, fields, stopped, once=once)
    shipper.run()
    counts = shipper.counts
    click.echo(f"{counted(counts['sent'], 'record')} sent")
    if counts["skipped"]:
        labels = "; ".join(
            f"{name}: {', '.join(r.labels[: r.required])}" for name, r in sorted(KINDS.rows.items())
        )
        _say(
            f"{counted(counts['skipped'], 'record')} skipped: of no kind ({labels}); "
            "--field NAME=VALUE adds what is missing, and a file of which nothing was sent is read from its "
            "beginning again"
        )
    if counts["fragments"]:
        _say(f"{counted(counts['fragments'], 'piece')} left out: no beginning of a record")
    if counts["too_large"]:
        _say(f"{counted(counts['too_large'], 'record')} lost: too large, and refused by the broker")
    if counts["failed"]:
        _say(f"{counted(counts['failed'], 'record')} left out: not to be made sense of")
    is_bad = any(counts[name] for name in ("skipped", "fragments", "too_large", "failed"))
    return 1 if is_bad or any(name.startswith("unreadable") for name in counts) else 0


def fields_of(pairs: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE`, each. Raises UsageError."""
    return dict(_field(pair) for pair in pairs)


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
                yield from (
                    inner for inner in sorted(path.rglob("*")) if inner.name.endswith(_ENDINGS) and _is_file(inner)
                )
            elif _is_file(path):
                yield path


def _is_file(path: Path) -> bool:
    """No folder, pipe or link to nowhere. One that may not be looked at is one: opening it will say why."""
    try:
        return path.is_file()
    except OSError:
        return True


def _inside(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file()]
    except OSError:
        return []


def _age(tail: Tail) -> float:
    """Older files first: what was rotated away goes before what came in its place."""
    return tail.modified_s


def _say(line: str) -> None:
    click.echo(f"stream-monitor: {line}", err=True)
