"""A partition of a table as its owner sees it: rows by key, written by checkpoints. The one door to the tables.

A checkpoint's rows go to the changelog first and to RocksDB when the checkpoint is committed, all at once:

    write ──▶ changelog, and `_pending` ──▶ … acknowledged, committed ──▶ settle ──▶ RocksDB

So the disk is always one committed checkpoint, never ahead of the changelog, and never the work of a worker that
has lost the partition without knowing it: its commit is refused. What a crash leaves in between is read from the
changelog at the next start (store.py).

Faust assigns, restores and opens the tables; its own per-key path costs 30 µs a row, deletes a key from whichever
partition has it, and gives a commit no way to wait for the changelog.

Keys sort by window: a tag (what the row is), the window's start (8 bytes, big-endian), the series key. A value
begins with its stamp (`stamped`), which says how much it holds: of two rows of a key, the one with the higher
stamp holds the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stream_monitor.worker import failpoint
from stream_monitor.worker.outbox import Outbox, Receipt
from stream_monitor.worker.store import STAMP_BYTES, Store, scan

META_KEY = b"\x00meta"

_SIZES = {
    "memtables": "rocksdb.size-all-mem-tables",
    "block_cache": "rocksdb.block-cache-usage",
    "table_readers": "rocksdb.estimate-table-readers-mem",
    "files": "rocksdb.total-sst-files-size",
}


def row_key(tag: bytes, start_ms: int, series: bytes) -> bytes:
    """Rows of a tag come in the order of their windows."""
    return tag + start_ms.to_bytes(8, "big") + series


def key_parts(tag: bytes, key: bytes) -> tuple[int, bytes]:
    """(window start in ms, series key) of a row's key."""
    end = len(tag) + 8
    return int.from_bytes(key[len(tag) : end], "big"), key[end:]


class PartitionState:
    """Reads and writes one partition of one table, which Faust has restored."""

    def __init__(self, table: Any, partition: int, outbox: Outbox, topic_id: str) -> None:
        self.topic_id = topic_id
        """Of the topic that the rows come from."""
        self.changelog: str = table.changelog_topic.get_topic_name()
        self._partition = partition
        self._outbox = outbox
        self._store: Store = table.data
        self._pending: dict[bytes, bytes | None] = {}
        """Written, and not on the disk yet; None is a tombstone."""

    def get(self, key: bytes) -> bytes | None:
        """A row's value, or None."""
        if key in self._pending:
            value = self._pending[key]
        else:
            with self._store.using(self._partition) as db:
                value = db.get(key)
        return None if value is None else value[STAMP_BYTES:]

    def scan(self, tag: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of the rows of a tag, in the order of their windows. No await while it runs."""
        if not any(key.startswith(tag) for key in self._pending):
            yield from self._scan_disk(tag)
            return
        rows: dict[bytes, bytes | None] = dict(self._scan_disk(tag))
        rows |= {k: None if v is None else v[STAMP_BYTES:] for k, v in self._pending.items() if k.startswith(tag)}
        yield from sorted((key, value) for key, value in rows.items() if value is not None)

    def _scan_disk(self, tag: bytes) -> Iterator[tuple[bytes, bytes]]:
        with self._store.using(self._partition) as db:
            for key, value in scan(db, tag):
                yield key, value[STAMP_BYTES:]

    def write(self, rows: Mapping[bytes, bytes | None], receipt: Receipt) -> None:
        """Put (or with None delete) rows, which are stamped: to the changelog, in this order."""
        for key, value in rows.items():
            if value is None:
                failpoint.reach("tombstone")
            self._pending[key] = value
            self._outbox.send(self.changelog, self._partition, key, value, receipt)

    def sizes(self) -> dict[str, int]:
        """Bytes that RocksDB holds in memory and on the disk, by what for."""
        with self._store.using(self._partition) as db:
            return {name: db.property_int_value(of) or 0 for name, of in _SIZES.items()}

    def settle(self, changelog_offset: int) -> None:
        """All that was written is committed, and in the changelog up to this offset: to the disk, at once."""
        failpoint.reach("before_put")
        self._store.put(self._partition, self._pending, changelog_offset)
        self._pending = {}
        failpoint.reach("after_put")
