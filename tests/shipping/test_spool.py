"""The spool against a list: nothing is lost but what was evicted, nothing comes twice, order stays."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.shipping import spool as room
from stream_monitor.shipping.frame import Item
from stream_monitor.shipping.orphans import Orphans
from stream_monitor.shipping.spool import Spool


def item(number, size=10):
    return Item(1_705_314_600_000 + number, "p.logs.ml", f"k{number % 3}", b"%d " % number + b"x" * size)


def ended(spool):
    """What the kernel does with a spool's descriptors when its process is killed."""
    spool.forget()


def rest(root, max_bytes=10_000_000):
    """All that the spools of ended processes hold, in order; they stay."""
    found, orphans = [], Orphans(root, max_bytes)
    while spool := orphans.next():
        while batch := spool.next(7):
            found += batch
        spool.forget()
    return found


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 20)),
        st.tuples(st.just("next"), st.integers(1, 20)),
        st.tuples(st.just("take"), st.integers(1, 20)),
        st.tuples(st.just("acknowledge"), st.integers(0, 30)),
        st.tuples(st.sampled_from(["save", "tidy"]), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
def test_a_spool_is_a_list_and_a_kill_keeps_what_is_not_acknowledged(steps):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "SEGMENT_BYTES", 500)
        spool = Spool.create(Path(folder), 10_000_000)
        written = read = acked = saved = 0
        for step, count in steps:
            if step == "append":
                assert spool.append([item(written + n) for n in range(count)]) == written
                written += count
            elif step == "next":
                got = spool.next(count)
                assert got == [(n, item(n)) for n in range(read, read + len(got))]
                assert got or read == written
                read += len(got)
            elif step == "take" and spool.is_read:
                spool.append([item(written + n) for n in range(count)])
                written += count
                spool.take(written)
                read = written
            elif step == "acknowledge":
                acked = min(read, acked + count)
                spool.acknowledge(acked)
            elif step == "tidy":
                spool.tidy()
                assert spool.is_tidy == (acked == written)
            elif step == "save":
                spool.save()
                saved = acked
            assert spool.is_read == (read == written)
        ended(spool)
        left = rest(Path(folder))
        numbers = [number for number, _ in left]
        assert numbers == list(range(written - len(numbers), written))
        assert len(numbers) >= written - acked
        assert len(numbers) <= written - saved
        assert left == [(n, item(n)) for n in numbers]


@given(st.integers(1, 60), st.integers(0, 400))
def test_a_cut_tail_gives_a_prefix_and_damage_costs_one_frame(count, cut):
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool.create(Path(folder), 10_000_000)
        spool.append([item(n) for n in range(count)])
        ended(spool)
        (path,) = Path(folder).rglob("*.log")
        data = path.read_bytes()
        path.write_bytes(data[: max(0, len(data) - cut)])
        short = rest(Path(folder))
        assert short == [(n, item(n)) for n in range(len(short))]
        flipped = bytearray(data)
        flipped[min(cut, len(data) - 1)] ^= 0xFF
        path.write_bytes(flipped)
        damaged = rest(Path(folder))
        assert len(damaged) == count - 1
        assert set(damaged) < {(n, item(n)) for n in range(count)}


@pytest.mark.parametrize("length", [b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00"])
def test_behind_a_damaged_length_it_goes_on_and_what_is_lost_is_counted(length, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "SEGMENT_BYTES", 2000)
    spool = Spool.create(tmp_path, 10_000_000)
    for n in range(0, 100, 5):
        spool.append([item(n + i) for i in range(5)])
    paths = sorted(tmp_path.rglob("*.log"))
    data = paths[0].read_bytes()
    second = data.index(b"\xff\xfeSM", 4)
    paths[0].write_bytes(data[: second + 4] + length + data[second + 8 :])
    torn = paths[1].read_bytes()
    paths[1].write_bytes(torn[:-3])
    ended(spool)
    left = Orphans(tmp_path, 10_000_000).next()
    found = []
    while batch := left.next(7):
        found += batch
    lost = {1, int(paths[2].stem) - 1}
    assert found == [(n, item(n)) for n in range(100) if n not in lost]
    assert left.damaged == 2


def test_a_small_spool_is_small(tmp_path):
    spool = Spool.create(tmp_path, 100_000)
    for n in range(1000):
        spool.append([item(n, 500)])
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.log")) == spool.size_bytes <= 100_000


def opened_in(folder):
    """This process's open files there."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile, by another thread
            found.append(descriptor.readlink())
    return [path for path in found if path.is_relative_to(folder)]


def test_any_number_of_orphans_is_adopted_with_one_descriptor_at_a_time(tmp_path):
    for n in range(60):
        spool = Spool.create(tmp_path, 10_000_000)
        spool.append([item(n)])
        ended(spool)
        os.utime(spool.folder / "lock", (1e9 + n, 1e9 + n))
    found, orphans = [], Orphans(tmp_path, 10_000_000)
    assert orphans.dropped() == 0
    while spool := orphans.next():
        found += spool.next(10)
        assert spool.next(10) == []
        spool.acknowledge(found[-1][0] + 1)
        assert len(opened_in(tmp_path)) <= 5
        spool.close()
    assert [number for number, _ in found] == [0] * 60
    assert [log for _, log in found] == [item(n) for n in range(60)]
    assert not list(tmp_path.iterdir())


def test_what_was_set_aside_comes_last_and_after_a_while(tmp_path):
    for n in range(3):
        spool = Spool.create(tmp_path, 10_000_000)
        spool.append([item(n)])
        if n < 2:
            spool.set_aside()
            os.utime(spool.folder / "aside", (1e9, 1e9) if n else None)
        ended(spool)
    assert rest(tmp_path) == [(0, item(2)), (0, item(1))]


def test_of_orphans_that_are_too_many_the_oldest_go_and_are_counted(tmp_path):
    for n in range(4):
        spool = Spool.create(tmp_path, 10_000_000)
        spool.append([item(10 * n + i, 100) for i in range(10)])
        ended(spool)
        os.utime(spool.folder / "lock", (1e9 + n, 1e9 + n))
    assert Orphans(tmp_path, 4000).dropped() == 20
    assert [log for _, log in rest(tmp_path)] == [item(n, 100) for n in range(20, 40)]


def test_the_oldest_go_when_it_is_full_and_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "SEGMENT_BYTES", 1000)
    spool = Spool.create(tmp_path, 5000)
    for n in range(1000):
        spool.append([item(n)])
    assert spool.size_bytes <= 5000
    kept = []
    while batch := spool.next(100):
        kept += [number for number, _ in batch]
    assert kept == list(range(spool.evicted, 1000))
    assert spool.evicted > 800
    spool.acknowledge(1000)
    spool.close()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_spool_as_it_was(tmp_path, monkeypatch):
    spool = Spool.create(tmp_path, 10_000_000)
    spool.append([item(0)])
    write = os.write

    def half(out, data):
        return write(out, data[: len(data) // 2])

    monkeypatch.setattr(room.os, "write", half)
    with pytest.raises(OSError, match="No space left"):
        spool.append([item(1)])
    monkeypatch.undo()
    assert spool.reserve(1) == 1  # number 1 was lost; 2 comes after it
    assert spool.append([item(2)]) == 2
    assert spool.next(10) == [(0, item(0)), (2, item(2))]
    assert spool.damaged == 0


def test_a_living_process_keeps_its_spool(tmp_path):
    code = (
        "import sys, pathlib; from stream_monitor.shipping.spool import *\n"
        "spool = Spool.create(pathlib.Path(sys.argv[1]), 10**7)\n"
        "spool.append([Item(5, 'p.logs.ml', 'k', b'v')]); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        assert rest(tmp_path) == []
        process.kill()
        process.wait()
        assert rest(tmp_path) == [(0, Item(5, "p.logs.ml", "k", b"v"))]


def test_what_another_run_left_is_dropped_with_its_count(tmp_path):
    spool = Spool.create(tmp_path, 10_000_000)
    spool.append([item(n) for n in range(50)])
    spool.take(50)
    spool.acknowledge(20)
    spool.save()
    ended(spool)
    left = Orphans(tmp_path, 10_000_000).next()
    assert left.drop() == 30
    assert not list(tmp_path.iterdir())
