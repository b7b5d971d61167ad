"""What can be wrong with files, records and brokers is said and stops nothing else."""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
import time
from pathlib import Path

import orjson
import pytest

from stream_monitor import topics
from stream_monitor.settings import Settings
from stream_monitor.shipping import tail as room
from stream_monitor.shipping.checkpoint import Checkpoint
from stream_monitor.shipping.ship import Shipper
from stream_monitor.shipping.tail import Tail
from tests.shipping.reading import messages
from tests.shipping.test_refusals import shrink
from tests.shipping.test_ship import lines, ship, unique
from tests.workers import wait_for


def shipped(settings, *paths):
    """(what it said, its complaints, its exit code) of `ship --once`."""
    process = ship(settings, "--once", *paths)
    output, errors = process.communicate(timeout=120)
    return output.strip(), errors, process.returncode


class Fixed:
    """A shipper in this process."""

    def __init__(self, settings, *patterns):
        self.is_over = threading.Event()
        self.shipper = Shipper(settings, list(map(str, patterns)), None, {}, self.is_over.is_set, once=False)
        self._thread = threading.Thread(target=self.shipper.run)

    def __enter__(self):
        self._thread.start()
        return self.shipper

    def __exit__(self, *_):
        self.is_over.set()
        self._thread.join()


def numbers(settings):
    return sorted(unique(messages(settings, "logs.airflow")).values())


class TestFiles:
    def test_what_is_no_log_stops_no_other(self, embedded, make_settings, tmp_path):
        settings, folder = make_settings(embedded), tmp_path / "logs"
        folder.mkdir()
        os.mkfifo(folder / "pipe.log")
        (folder / "folder.log").mkdir()
        (folder / "nowhere.log").symlink_to(folder / "missing")
        (folder / "a.log.gz").write_bytes(b"this is no gzip")
        (folder / "b.log.gz").write_bytes(gzip.compress(lines(5, 8).encode())[:-5] + b"crc!!")
        for name in ("a.log.gz", "b.log.gz"):
            os.utime(folder / name, (1e9, 1e9))
        Path(os.fsdecode(bytes(folder) + b"/caf\xe9.log")).write_text(lines(0, 3))
        (folder / "deep.log").write_text('{"dag_id":"d","n":3,"x":' + "[" * 900 + "]" * 900 + "}\n" + lines(4, 5))
        for prefix in ("", "again"):
            output, errors, code = shipped(settings, folder)
            assert output == ("0 records sent" if prefix else "8 records sent"), errors
            assert "a.log.gz is cut off or damaged" in errors
            assert "Traceback" not in errors
            assert code == 1
        assert numbers(settings) == list(range(8))

    def test_of_a_cut_gzip_what_can_be_read_is_sent_and_the_rest_is_said(
        self, embedded, make_settings, tmp_path, monkeypatch
    ):
        settings, path = make_settings(embedded), tmp_path / "old.log.gz"
        whole = gzip.compress(lines(0, 20_000).encode())
        path.write_bytes(whole[: len(whole) // 2])
        monkeypatch.setattr(room, "_PACKED_S", 0.0)
        shipper = Shipper(settings, [str(path)], None, {}, lambda: False, once=True)
        shipper.run()
        sent = shipper.counts["sent"]
        assert 5000 < sent < 15_000
        assert shipper.counts[f"unreadable {path}"] == 1
        assert numbers(settings) == list(range(sent))

    def test_a_gzip_is_read_when_it_is_whole_and_is_the_copy_that_it_is(self, embedded, make_settings, tmp_path):
        """As gzip makes it: the packed one grows beside the original, which goes at the end."""
        settings, path = make_settings(embedded), tmp_path / "app.log"
        path.write_text(lines(0, 3000))
        with Fixed(settings, tmp_path / "*.log*") as shipper:
            wait_for(lambda: shipper.counts["sent"] == 3000, 60)
            packed = gzip.compress(path.read_bytes())
            with (tmp_path / "app.log.gz").open("wb", buffering=0) as file:
                for begin in range(0, len(packed), len(packed) // 3 + 1):
                    file.write(packed[begin : begin + len(packed) // 3 + 1])
                    time.sleep(1.3)
            path.unlink()
            time.sleep(1.5)
            path.write_text(lines(3000, 3010))
            wait_for(lambda: len(numbers(settings)) == 3010, 60)
        assert shipper.counts["sent"] == 3010

    def test_files_that_begin_alike_are_not_copies_of_each_other(self, embedded, make_settings, tmp_path):
        settings = make_settings(embedded)
        for name, number in (("a.log", 1), ("b.log", 2), ("c.json", 3)):
            (tmp_path / name).write_text(lines(0, 1) + lines(number, number + 1))
        assert shipped(settings, tmp_path)[0] == "6 records sent"
        (tmp_path / "a.log.1").write_text((tmp_path / "a.log").read_text())
        (tmp_path / "a-20240115.log").write_text((tmp_path / "a.log").read_text())
        assert shipped(settings, tmp_path / "a*")[0] == "0 records sent"

    def test_a_last_line_without_an_end_is_sent_when_nobody_writes_any_more(
        self, embedded, make_settings, tmp_path
    ):
        settings, path = make_settings(embedded), tmp_path / "app.log"
        path.write_text("2024-01-15 10:30:00 INFO dag_id=d one\n2024-01-15 10:30:01 INFO dag_id=d two")
        os.utime(path, (1e9, 1e9))
        assert shipped(settings, path)[0] == "2 records sent"

    def test_many_files_are_open_a_few_at_a_time(self, embedded, make_settings, tmp_path, monkeypatch):
        settings, count = make_settings(embedded), 60
        monkeypatch.setattr("stream_monitor.shipping.ship._MOST_OPEN", 10)
        for n in range(count):
            (tmp_path / f"{n}.log").write_text(lines(n, n + 1))

        def held():
            found = 0
            for link in Path("/proc/self/fd").iterdir():
                with contextlib.suppress(OSError):
                    found += link.readlink().is_relative_to(tmp_path) and link.readlink().suffix == ".log"
            return found

        with Fixed(settings, tmp_path / "[0-9]*.log") as shipper:
            wait_for(lambda: shipper.counts["sent"] == count, 60)
            assert held() <= 10
            for n in range(count):  # renamed to where no pattern leads, after the last line
                with (tmp_path / f"{n}.log").open("a") as file:
                    file.write(lines(count + n, count + n + 1))
                (tmp_path / f"{n}.log").rename(tmp_path / f"old{n}.log")
            wait_for(lambda: shipper.counts["sent"] == 2 * count, 60)
            assert held() <= 10
        assert numbers(settings) == list(range(2 * count))

    def test_a_file_that_was_rotated_away_is_kept_until_it_is_read(
        self, embedded, make_settings, tmp_path, monkeypatch
    ):
        settings, path = make_settings(embedded), tmp_path / "app.log"
        monkeypatch.setattr("stream_monitor.shipping.ship._LET_GO_S", 0.0)
        monkeypatch.setattr("stream_monitor.shipping.ship._SCAN_S", 0.0)
        monkeypatch.setattr("stream_monitor.shipping.ship.BATCH", 100)
        path.write_text(lines(0, 3000))
        with Fixed(settings, path) as shipper:
            wait_for(lambda: shipper.counts["sent"] >= 100, 60)
            path.unlink()  # it is open still
            wait_for(lambda: shipper.counts["sent"] == 3000, 60)
            wait_for(lambda: not shipper._tails, 60)
        assert numbers(settings) == list(range(3000))

    def test_an_entry_lives_as_long_as_its_file_is_followed(self, tmp_path, monkeypatch):
        path, checkpoint = tmp_path / "app.log", Checkpoint(tmp_path / "state.json")
        path.write_text(lines(0, 3))
        tail = Tail(path, checkpoint)
        while tail.read(9, is_last=True):
            pass
        tail.has_sent = True
        later = time.time() + 30 * 86_400
        monkeypatch.setattr(time, "time", lambda: later)
        tail.advance()
        checkpoint.save()
        assert [entry.offset for entry in checkpoint.entries] == [path.stat().st_size]


class TestBrokers:
    def test_another_cluster_and_another_prefix_get_everything(self, kafka, embedded, make_settings, tmp_path):
        path = tmp_path / "app.log"
        path.write_text(lines(0, 5))
        one = make_settings(embedded)
        there = make_settings(kafka)
        same = Settings(broker=kafka, prefix=one.prefix, datadir=one.datadir)
        topics.apply(same, replication_factor=1)
        for settings in (one, there, same):
            assert shipped(settings, path)[0] == "5 records sent"
            assert shipped(settings, path)[0] == "0 records sent"

    def test_what_is_too_large_is_refused_alone_counted_and_said(self, kafka, make_settings, tmp_path):
        settings, path = make_settings(kafka), tmp_path / "app.log"
        shrink(settings, "logs.airflow", 20_000)
        with path.open("w") as file:
            for n in range(600):
                text = os.urandom(20_000).hex() if n % 200 == 100 else "x"
                file.write(orjson.dumps({"dag_id": "d", "n": n, "text": text}).decode() + "\n")
        output, errors, code = shipped(settings, path)
        assert (output, code) == ("597 records sent", 1)
        assert "3 records lost: too large, and refused by the broker" in errors
        assert numbers(settings) == [n for n in range(600) if n % 200 != 100]
        assert shipped(settings, path)[0] == "0 records sent"

    def test_what_the_hint_says_works(self, embedded, make_settings, tmp_path):
        settings, path = make_settings(embedded), tmp_path / "app.log"
        path.write_text("".join(f'{{"n":{n}}}\n' for n in range(5)))
        output, errors, code = shipped(settings, path)
        assert (output, code) == ("0 records sent", 1)
        assert "5 records skipped" in errors
        assert "--field NAME=VALUE adds what is missing" in errors
        assert shipped(settings, path, "--field", "dag_id=d") == ("5 records sent", "", 0)
        assert shipped(settings, path, "--field", "dag_id=d")[0] == "0 records sent"


def test_a_record_that_nobody_thought_of_is_counted_and_said(
    embedded, make_settings, tmp_path, monkeypatch, capsys
):
    settings, path = make_settings(embedded), tmp_path / "app.log"
    path.write_text(lines(0, 5))
    shipper = Shipper(settings, [str(path)], None, {}, lambda: False, once=True)
    clean = shipper._redaction.clean
    monkeypatch.setattr(shipper._redaction, "clean", lambda value: 1 / 0 if b'"n":2' in value else clean(value))
    shipper.run()
    assert (shipper.counts["sent"], shipper.counts["failed"]) == (4, 1)
    assert f"{path}, byte {2 * len(lines(0, 1))}: ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("extra", [b"", b"\0" * 1000, gzip.compress(b"more\n")], ids=["alone", "padded", "two"])
def test_gzip_is_read_in_any_order_of_places(extra, tmp_path):
    from stream_monitor.shipping.source import Gzip

    text = b"".join(b"%d\n" % n for n in range(200_000))
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(text) + extra)
    whole = gzip.decompress(path.read_bytes())
    with path.open("rb") as raw:
        source = Gzip(raw)
        for offset, size in ((0, 10), (1_000_000, 500_000), (5, 5), (len(whole) - 3, 10), (len(whole), 1)):
            assert source.read_at(offset, size) == whole[offset : offset + size]
        assert not source.is_cut
