"""Log files into Kafka: every record once, whatever becomes of the file and of the process."""

from __future__ import annotations

import gzip
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor import cli
from stream_monitor.kinds import KINDS
from stream_monitor.shipping.checkpoint import Checkpoint
from stream_monitor.shipping.line import labels_of, pieces, record
from stream_monitor.shipping.ship import BATCH
from stream_monitor.shipping.tail import Tail
from tests.shipping.reading import header, messages
from tests.workers import wait_for

LINE = st.sampled_from(
    [b"2024-01-15 10:30:00,123 ERROR app failed\n", b'{"dag_id":"d"}\n', b"Traceback (most recent call last):\n",
     b'  File "x.py", line 1\n', b"ValueError: no\n", b"\n", b"INFO a b\n", b"[2024-01-15T10:30:00Z] x\n"]
)  # fmt: skip


class TestLines:
    @given(st.lists(LINE, max_size=30), st.integers(0, 1000))
    def test_pieces_are_the_file_in_order(self, lines, offset):
        found = list(pieces(lines, offset))
        assert b"".join(piece.text for piece in found) == b"".join(lines)
        assert [piece.offset for piece in found][:1] == [offset][: len(found)]
        assert all(one.end == two.offset for one, two in itertools.pairwise(found))

    @pytest.mark.parametrize(
        ("text", "fields"),
        [
            ('{"dag_id":"d","event":"done"}', {"dag_id": "d", "event": "done", "message": "done"}),
            (
                ("2024-01-15 10:30:00,123 ERROR app - dag_id=etl task_id=load failed duration=2.5\n"
                "Traceback (most recent call last):\n  File x\nValueError: no"),
                {"timestamp": "2024-01-15 10:30:00,123", "level": "ERROR", "dag_id": "etl", "task_id": "load",
                 "message": "ERROR app - dag_id=etl task_id=load failed duration=2.5",
                 "stack_trace": "Traceback (most recent call last):\n  File x\nValueError: no"},
            ),
            (
                '[2024-01-15T10:30:00.5+01:00] INFO consumer_group="a b" topic=t partition=3 consumer_lag=7',
                {"timestamp": "2024-01-15T10:30:00.5+01:00", "level": "INFO", "consumer_group": "a b",
                 "topic": "t", "partition": 3, "consumer_lag": 7,
                 "message": 'INFO consumer_group="a b" topic=t partition=3 consumer_lag=7'},
            ),
            ("WARN service=s model_version=v latency_ms=4.5 x.topic=no",
             {"level": "WARN", "service": "s", "model_version": "v", "latency_ms": 4.5,
              "message": "WARN service=s model_version=v latency_ms=4.5 x.topic=no"}),
            ("  the rest of something", None),
            ("", None),
        ],
    )  # fmt: skip
    def test_records(self, text, fields):
        (piece,) = pieces([part + b"\n" for part in text.encode().split(b"\n")], 0)
        assert record(piece, {}) == fields

    def test_a_stack_trace_names_its_exception_to_the_worker(self):
        (piece,) = pieces([b"2024-01-15 10:30:00,123 ERROR dag_id=d x\n", b"Traceback\n", b"KeyError: 'a'\n"], 0)
        lines = KINDS["airflow"].decode([orjson.dumps(record(piece, {}))], np.array([0])).lines
        assert lines.exceptions == {0: "KeyError"}
        assert lines.timestamp_ms.tolist() == [1705314600123]

    def test_airflow_says_much_by_where_a_file_is(self):
        path = Path("/logs/dag_id=etl/run_id=manual__1/task_id=load/attempt=2.log")
        assert labels_of(path) == {"dag_id": "etl", "run_id": "manual__1", "task_id": "load", "try_number": 2}
        assert labels_of(Path("/logs/app.log")) == {}


class Follower:
    """Tails over a checkpoint in a folder, as `ship` uses them; a crash forgets all since the last checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sent = folder, []
        self.begin()

    def begin(self):
        self.checkpoint = Checkpoint(self.folder / "state.json")
        self.tails = {}

    def crash(self):
        for tail in self.tails.values():
            tail.close()
        self.checkpoint.close()
        self.begin()

    def go(self, *, keeps=True):
        for path in sorted(self.folder.glob("app.log*"), key=lambda path: path.stat().st_mtime_ns):
            status = path.stat()
            if (status.st_dev, status.st_ino) not in self.tails:
                self.tails[status.st_dev, status.st_ino] = Tail(path, self.checkpoint)
        for tail in self.tails.values():
            while found := tail.read(7, is_last=True):
                self.sent += [(f"{tail.entry.identity}-{p.offset}", orjson.loads(p.text)["n"]) for p in found]
        if keeps:
            for tail in self.tails.values():
                tail.has_sent = True
                tail.advance()
            self.checkpoint.save()


class TestTails:
    @given(st.randoms(use_true_random=False))
    @pytest.mark.slow
    def test_every_line_once_through_rotation_truncation_gzip_and_crashes(self, chance):
        """A repeat has the same id, and an id never stands for two lines."""
        import tempfile

        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            follower, path, written = Follower(folder), folder / "app.log", 0
            for _ in range(25):
                step = chance.choice(
                    ["write", "write", "write", "go", "go", "fail", "crash", "rename", "copy", "gzip"]
                )
                if step == "write":
                    with path.open("a") as file:
                        for _ in range(chance.randrange(1, 40)):
                            file.write(f'{{"n":{written}}}\n')
                            written += 1
                elif step in ("go", "fail"):
                    follower.go(keeps=step == "go")
                    if step == "fail":
                        follower.crash()
                elif step == "crash":
                    follower.crash()
                elif path.exists() and path.stat().st_size:
                    follower.go()  # what is copied was read before: nothing else can be promised of it
                    self.rotate(folder, path, step)
            follower.go()
            assert sorted({n for _, n in follower.sent}) == list(range(written))
            by_id = {}
            for ce_id, n in follower.sent:
                assert by_id.setdefault(ce_id, n) == n
            assert len(by_id) == written

    @staticmethod
    def rotate(folder, path, step):
        aside = folder / f"app.log.{time.time_ns()}"
        if step == "rename":
            path.rename(aside)
        elif step == "copy":
            shutil.copy2(path, aside)
            os.truncate(path, 0)
        else:
            with gzip.open(f"{aside}.gz", "wb") as packed:
                packed.write(path.read_bytes())
            path.unlink()

    def test_a_line_that_is_being_written_waits(self, tmp_path):
        path = tmp_path / "app.log"
        path.write_text('{"n":0}\n{"n":1')
        tail = Tail(path, Checkpoint(tmp_path / "state.json"))
        assert [piece.text for piece in tail.read(9, is_last=False)] == []  # more may belong to the first
        assert [piece.text for piece in tail.read(9, is_last=True)] == [b'{"n":0}\n']
        with path.open("a") as file:
            file.write('1}\n{"n":2}\n')
        assert [piece.text for piece in tail.read(9, is_last=False)] == [b'{"n":11}\n']


def ship(settings, *paths, **options):
    command = [sys.executable, "-m", "stream_monitor", "ship", "--broker", settings.broker, "--prefix",
               settings.prefix, "--datadir", settings.datadir, *paths]  # fmt: skip
    return subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines(start, end, kind="airflow"):
    labels = {"airflow": '"dag_id":"d"', "ml": '"service":"s","model_version":"v"'}[kind]
    return "".join(f'{{{labels},"n":{n}}}\n' for n in range(start, end))


def unique(found):
    """By ce_id: the number in the record. A repeat says the same."""
    by_id = {}
    for message in found:
        number = orjson.loads(message.value())["n"]
        assert by_id.setdefault(header(message, "ce_id"), number) == number
    return by_id


def test_killed_in_the_middle_and_started_again(kafka, make_settings, tmp_path):
    """Rotation and kills while a writer goes on; nothing is lost, and a kill repeats at most one batch."""
    settings, folder, chance = make_settings(kafka), tmp_path / "logs", random.Random(1)
    folder.mkdir()
    path, total, kills = folder / "app.log", 40_000, 2
    (folder / "old.log.gz").write_bytes(gzip.compress(lines(total, total + 1000).encode()))
    process = ship(settings, folder / "*.log*")
    for begin in range(0, total, 2000):
        with path.open("a") as file:
            file.write(lines(begin, begin + 2000))
        if begin % 20_000 == 18_000:
            time.sleep(chance.random())
            process.send_signal(signal.SIGKILL)
            process.communicate()
            path.rename(folder / f"app.log.{begin}")
            process = ship(settings, folder / "*.log*")
    wait_for(lambda: len(unique(messages(settings, "logs.airflow"))) == total + 1000, 60)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert output.endswith("records sent\n")
    found = messages(settings, "logs.airflow")
    assert sorted(unique(found).values()) == list(range(total + 1000))
    assert len(found) - len(unique(found)) <= kills * BATCH
    again = ship(settings, "--once", folder / "*.log*")
    assert again.communicate(timeout=30)[0] == "0 records sent\n"


def test_kinds_are_told_apart_and_what_is_none_is_said(kafka, make_settings, tmp_path):
    settings, path = make_settings(kafka), tmp_path / "app.log"
    path.write_text(lines(0, 3) + lines(3, 5, "ml") + '{"n":5}\n{"password":"hunter2","dag_id":"d","n":6}\n')
    process = ship(settings, "--once", path)
    output, errors = process.communicate(timeout=60)
    assert (output, process.returncode) == ("6 records sent\n", 1)
    assert "1 record skipped: of no kind (airflow: dag_id; kafka: consumer_group" in errors
    airflow = messages(settings, "logs.airflow")
    assert sorted(unique(airflow).values()) == [0, 1, 2, 6]
    assert sorted(unique(messages(settings, "logs.ml")).values()) == [3, 4]
    assert not [message for message in airflow if b"hunter2" in message.value()]
    assert {message.key() for message in airflow} == {b"d"}
    other = ship(settings, "--once", path)
    assert other.communicate(timeout=30)[0] == "0 records sent\n"
    with path.open("a") as file:
        file.write('{"n":7}\n')
    assert (
        ship(settings, "--once", "--field", "dag_id=given", path).communicate(timeout=30)[0] == "1 record sent\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        ((), 2, "PATH"),
        (("x", "--kind", "nosuch"), 2, "nosuch"),
        (("x", "--once", "--field", "nonsense"), 2, "NAME=VALUE"),
        (("/nowhere/x.log", "--once"), 2, "no log file at /nowhere/x.log"),
    ],
)
def test_wrong_use(arguments, code, part, embedded, make_settings, capsys, monkeypatch):
    settings = make_settings(embedded)
    monkeypatch.setattr(cli, "on_signals", lambda: lambda: False)
    place = ["--broker", settings.broker, "--prefix", settings.prefix, "--datadir", str(settings.datadir)]
    assert cli.run(["ship", *arguments, *place]) == code
    error = capsys.readouterr().err
    assert part in error
    assert len(error.strip().splitlines()) == 1
    assert not settings.datadir.exists()


def test_it_waits_for_a_file_that_is_not_there_yet_and_says_so(embedded, make_settings, tmp_path):
    settings, path = make_settings(embedded), tmp_path / "later.log"
    process = ship(settings, path)
    assert process.stderr.readline() == f"stream-monitor: no log file at {path} yet; it waits for one\n"
    path.write_text(lines(0, 3))
    wait_for(lambda: len(messages(settings, "logs.airflow")) == 3, 60)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60) == ("3 records sent\n", "")
    assert process.returncode == 0


def test_two_at_once_do_not_share_a_place(tmp_path):
    one = Checkpoint(tmp_path / "p.json")
    with pytest.raises(Exception, match="another ship keeps its place"):
        Checkpoint(tmp_path / "p.json")
    one.close()
    (tmp_path / "p.json").write_text("nonsense")
    with pytest.raises(Exception, match="is damaged; delete it"):
        Checkpoint(tmp_path / "p.json")
