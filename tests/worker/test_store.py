"""Damage to a database is found: by a scan, when it is opened, and where rows are missing."""

from __future__ import annotations

import random

import pytest
from faust.stores.rocksdb import RocksDBOptions
from rocksdict import WriteBatch

from stream_monitor.worker.store import _COUNT_KEY, FAUST_OFFSET_KEY, ROCKSDB_OPTIONS, _is_whole, scan, supersedes


def filled(path, rows=20_000):
    """A database with as many rows as it says, in several table files."""
    rng = random.Random(1)
    db = RocksDBOptions(**ROCKSDB_OPTIONS).open(path)
    for start in range(0, rows, 500):
        batch = WriteBatch(raw_mode=True)
        for number in range(start, start + 500):
            batch.put(b"r%08d" % number, rng.randbytes(200))
        batch.put(_COUNT_KEY, str(start + 500).encode())
        batch.put(FAUST_OFFSET_KEY, str(start).encode())
        db.write(batch)
    db.flush()
    return db


def test_a_scan_gives_a_prefix_in_order(tmp_path):
    db = filled(tmp_path / "db", 500)
    db.put(b"q", b"")
    db.put(b"s", b"")
    keys = [key for key, _ in scan(db, b"r")]
    assert keys == [b"r%08d" % number for number in range(500)]


def test_a_damaged_block_ends_no_scan_in_silence(tmp_path):
    db = filled(tmp_path / "db")
    assert _is_whole(db)
    db.close()
    file = max((tmp_path / "db").glob("*.sst"), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 8] = bytes(byte ^ 255 for byte in data[middle : middle + 8])
    file.write_bytes(bytes(data))
    db = RocksDBOptions(**ROCKSDB_OPTIONS).open(tmp_path / "db")
    with pytest.raises(Exception, match="Corruption"):
        list(scan(db, b"r"))
    with pytest.raises(Exception, match="Corruption"):
        _is_whole(db)


def test_rows_that_are_gone_are_missed(tmp_path):
    db = filled(tmp_path / "db", 1000)
    db.delete(b"r%08d" % 7)
    assert not _is_whole(db)


def test_an_empty_database_is_whole(tmp_path):
    assert _is_whole(RocksDBOptions(**ROCKSDB_OPTIONS).open(tmp_path / "db"))


def test_which_record_of_a_key_is_kept():
    low, high = (1).to_bytes(8, "big") + b"old", (2).to_bytes(8, "big") + b"new"
    assert supersedes(high, low)
    assert supersedes(low, low)
    assert not supersedes(low, high)
    assert supersedes(None, high)
    assert supersedes(low, None)
