"""Faust's RocksDB store, changed in three places: it restores by the batch, it takes the row that holds more, and
it puts a damaged database aside.

Faust applies a changelog record by record (4,000 a second) and goes on past what it cannot read. Here an event
is a fetched batch of one changelog partition (transport.py), applied as one RocksDB batch (100,000 a second and
more), and whatever goes wrong stops the worker.

Of a key the row with the higher stamp is kept. A worker that was paused and goes on may write an old row behind
its successor's newer one; rows are cumulative, so the one of the higher position holds the other.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
from faust.stores import rocksdb
from rocksdict import WriteBatch

from stream_monitor.errors import MonitorError
from stream_monitor.worker import failpoint

log = logging.getLogger(__name__)

FAUST_OFFSET_KEY: bytes = rocksdb.Store.offset_key

ROCKSDB_OPTIONS = {
    "block_cache_size": 2 << 20,
    "write_buffer_size": 1 << 20,
    "max_write_buffer_number": 2,
    "target_file_size_base": 8 << 20,
    "max_open_files": 128,
}
"""Of each partition of each table; Faust's default is a 2 GiB cache and three buffers of 64 MiB."""

STAMP_BYTES = 8
_COUNT_KEY = b"\x00rows"
"""How many rows there are; a database that lost some while it opens well is found out by it."""


class DamagedTableError(MonitorError):
    """RocksDB cannot read what it wrote. The database was put aside; the changelog has it all."""


def stamped(stamp: int, row: bytes) -> bytes:
    """A row's stored value. The stamp says how much is in it: the owner's position for what is folded as records
    come; the bits of its parts for what is folded as windows retire.
    """
    return stamp.to_bytes(STAMP_BYTES, "big") + row


def supersedes(value: bytes | None, stored: bytes | None) -> bool:
    """A changelog record takes the place of what came before it: a tombstone always, a row if it holds as much."""
    return value is None or stored is None or value[:STAMP_BYTES] >= stored[:STAMP_BYTES]


@dataclass
class Restored:
    """How many changelog records were applied since the start, and in which time."""

    records: int = 0
    began_s: float = 0.0
    ended_s: float = 0.0

    def begin(self) -> None:
        """A batch is about to be applied."""
        self.began_s = self.began_s or time.monotonic()

    def count(self, records: int) -> None:
        """A batch is applied."""
        self.records += records
        self.ended_s = time.monotonic()

    def __str__(self) -> str:
        return f"restored {self.records:,} changelog records in {self.ended_s - self.began_s:.1f} s"


class Store(rocksdb.Store):
    """One table's databases, one a partition."""

    def db(self, partition: int) -> Any:
        """A partition's open database."""
        return self._db_for_partition(partition)

    def _open_for_partition(self, partition: int) -> Any:
        path = self.partition_path(partition)
        try:
            db = super()._open_for_partition(partition)
            if _is_whole(db):
                return db
            why = "rows are missing"
        except Exception as error:
            if not _is_damage(error):  # a lock not let go yet (Faust waits), no space …
                raise
            why = str(error)
        db = None
        log.warning("%s is damaged: %s", path, why)
        self._put_aside(path)
        return super()._open_for_partition(partition)

    def _put_aside(self, path: Path) -> None:
        if path.exists():
            aside = path.with_name(f"{path.name}.damaged-{time.time_ns() // 1_000_000}")
            path.rename(aside)
            log.warning("put aside as %s; the table is restored from its changelog", aside)

    @contextlib.contextmanager
    def using(self, partition: int) -> Iterator[Any]:
        """The database. What RocksDB cannot read stops the worker, and is out of the way at its next start."""
        try:
            yield self.db(partition)
        except Exception as error:
            if not _is_damage(error):
                raise
            path = self.partition_path(partition)
            self._put_aside(path)
            raise DamagedTableError(
                f"the table in {path} is damaged ({error}) and was put aside; "
                "start the worker again, it restores the table from its changelog"
            ) from None

    def put(self, partition: int, rows: Mapping[bytes, bytes | None], changelog_offset: int) -> None:
        """Write rows (None: delete) and how far the changelog is in them, all at once."""
        with self.using(partition) as db:
            changes = WriteBatch(raw_mode=True)
            count = int(db.get(_COUNT_KEY) or 0)
            for key, value in rows.items():
                count += (value is not None) - (db.get(key) is not None)
                if value is None:
                    changes.delete(key)
                else:
                    changes.put(key, value)
            changes.put(_COUNT_KEY, str(count).encode())
            changes.put(FAUST_OFFSET_KEY, str(changelog_offset).encode())
            db.write(changes)

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:  # noqa: ARG002
        """Take fetched batches of the changelog, an event each."""
        if self.app.failure is not None:  # Faust tries it again while it stops
            return
        try:
            for event in batch:
                if event.message.topic == self.table.changelog_topic.get_topic_name():
                    self._apply(event.message.partition, event.value.records)
        except Exception as error:  # Faust would log it and go on with the next
            self.app.fail(error)
            raise

    def _apply(self, partition: int, records: list[Any]) -> None:
        """One fetched batch: of each key the last record, or the one that holds more."""
        self.app.restored.begin()
        newest: dict[bytes, bytes | None] = {}
        for record in records:
            key, value = record.key, record.value
            if key is None:
                raise MonitorError(f"the changelog of {self.table_name} holds a record without a key")
            if supersedes(value, newest.get(key)):
                newest[key] = value
        with self.using(partition) as db:
            better = {key: value for key, value in newest.items() if supersedes(value, db.get(key))}
        self.put(partition, better, records[-1].offset)
        self.app.restored.count(len(records))
        failpoint.reach("restore")


def _is_damage(error: Exception) -> bool:
    """RocksDB cannot make sense of its files."""
    text = str(error)
    return "Corruption" in text or text.startswith("Invalid argument") or "No such file" in text


def _is_whole(db: Any) -> bool:
    """Every block can be read, and there are as many rows as were written."""
    rows = sum(1 for _ in scan(db, b""))
    count, offset = db.get(_COUNT_KEY), db.get(FAUST_OFFSET_KEY)
    own = (count is not None) + (offset is not None)
    return rows - own == int(count or 0)


def scan(db: Any, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of the keys with a prefix, in order. Raises where a block cannot be read.

    rocksdict's own `items()` ends there as if there was no more.
    """
    rows = db.iter()
    rows.seek(prefix)
    while rows.valid():
        key = rows.key()
        if not key.startswith(prefix):
            return
        yield key, rows.value()
        rows.next()
    rows.status()


class StateTable(faust.Table):
    """A table on the store above."""

    def _new_store_by_url(self, url: Any) -> Store:
        return Store(url, self.app, self, table_name=self.name, loop=self.loop, options=dict(ROCKSDB_OPTIONS))
