"""A partition of a table: RocksDB here, its changelog in Kafka. The one door to Faust's tables.

Faust assigns, restores and opens the tables; reading and writing them goes through PartitionState, because
Faust's own per-key path costs 30 µs a row, deletes a key from whichever partition has it, and gives a
commit no way to wait for the changelog. Rows of a checkpoint go to RocksDB in one batch, then to the
changelog in the same order.

Keys sort by window: a tag (what the row is), the window's start (8 bytes, big-endian), the series key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from faust.stores.rocksdb import Store
from faust.types import TP
from rocksdict import WriteBatch

from stream_monitor.worker.outbox import Outbox, Receipt

META_KEY = b"\x00meta"
FAUST_OFFSET_KEY = Store.offset_key

ROCKSDB_OPTIONS = {
    "block_cache_size": 2 << 20,
    "write_buffer_size": 1 << 20,
    "max_write_buffer_number": 2,
    "target_file_size_base": 8 << 20,
    "max_open_files": 128,
}
"""Of each partition of each table; Faust's default is a 2 GiB cache and three buffers of 64 MiB."""


def row_key(tag: bytes, start_ms: int, series: bytes) -> bytes:
    """Rows of a tag come in the order of their windows."""
    return tag + start_ms.to_bytes(8, "big") + series


def key_parts(tag: bytes, key: bytes) -> tuple[int, bytes]:
    """(window start in ms, series key) of a row's key."""
    end = len(tag) + 8
    return int.from_bytes(key[len(tag) : end], "big"), key[end:]


class PartitionState:
    """Reads and writes one partition of one table, which Faust has restored."""

    def __init__(self, table: Any, partition: int, outbox: Outbox) -> None:
        self._table = table
        self._partition = partition
        self._outbox = outbox
        self.changelog: str = table.changelog_topic.get_topic_name()
        self._db: Any = table.data._db_for_partition(partition)

    def get(self, key: bytes) -> bytes | None:
        """A row's value, or None."""
        value: bytes | None = self._db.get(key)
        return value

    def scan(self, tag: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of the rows of a tag, in the order of their windows. No await while it runs."""
        for key, value in self._db.items(from_key=tag):
            if not key.startswith(tag):
                return
            yield key, value

    def write(self, rows: Mapping[bytes, bytes | None], receipt: Receipt) -> None:
        """Put (or with None delete) rows: to disk at once and together, and to the changelog."""
        batch = WriteBatch(raw_mode=True)
        for key, value in rows.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        self._db.write(batch)
        for key, value in rows.items():
            self._outbox.send(self.changelog, self._partition, key, value, receipt)

    def remember_changelog_offset(self, offset: int) -> None:
        """What is on disk holds the changelog up to this offset; a restart restores from there."""
        if offset >= 0:
            self._table.data.set_persisted_offset(TP(self.changelog, self._partition), offset)
