"""The command line: what a user can get wrong is one clear line and the right exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from stream_monitor.broker import EmbeddedBroker, free_port


def run(*arguments, **environment):
    """(exit code, stdout, stderr) of one command."""
    done = subprocess.run(
        [sys.executable, "-m", "stream_monitor", *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def one_line(text):
    lines = [line for line in text.splitlines() if " INFO " not in line]
    assert len(lines) == 1, text
    assert lines[0].startswith("stream-monitor: ")
    assert "Traceback" not in text
    return lines[0]


NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize(
    "arguments",
    [("worker", "--http-port", 0), ("topics", "plan"), ("topics", "apply"), ("report",), ("dlq",),
     ("replay", "fixtures/bad_records.jsonl"), ("simulate",)],
)  # fmt: skip
def test_no_broker(arguments, tmp_path):
    code, _, error = run(
        *arguments, "--broker", NOWHERE,
        STREAM_MONITOR_CONNECT_TIMEOUT="1", STREAM_MONITOR_DATADIR=str(tmp_path),
    )  # fmt: skip
    assert code == 1
    assert "no Kafka broker answers at 127.0.0.1:1" in one_line(error)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("nonsense",), "nonsense"),
        (("report", "--nonsense"), "--nonsense"),
        (("report", "--hours", "0"), "1<=x<=720"),
        (("report", "--hours", "721"), "1<=x<=720"),
        (("report", "--hours", "many"), "many"),
        (("report", "--component", "spark"), "spark"),
        (("report", "--output", "xml"), "xml"),
        (("worker", "--grace", "-1"), "grace"),
        (("worker", "--grace", "90", "--lateness", "60"), "lateness"),
        (("worker", "--kinds", "airflow,spark"), "kinds"),
        (("worker", "--prefix", "a b"), "prefix"),
        (("worker", "--broker", "kafka://x:1"), "host:port"),
        (("replay",), "FILES"),
        (("simulate", "--rate", "0"), "rate"),
        (("demo", "--incident", "flood"), "airflow-failures"),
    ],
)
def test_wrong_use(arguments, part):
    code, _, error = run(*arguments)
    assert code == 2
    assert part in one_line(error)


def test_a_wrong_environment_variable_is_named():
    code, _, error = run("report", STREAM_MONITOR_SESSION_TIMEOUT="soon")
    assert code == 2
    assert "STREAM_MONITOR_SESSION_TIMEOUT" in one_line(error)


def test_missing_topics(embedded, tmp_path):
    for arguments in (("worker", "--http-port", 0, "--datadir", tmp_path), ("report",), ("dlq",)):
        code, _, error = run(*arguments, "--broker", embedded, "--prefix", "nothing.here")
        assert code == 1
        assert "topics apply" in one_line(error)


def test_topics_plan_and_apply(embedded):
    place = ("--broker", embedded, "--prefix", "cli.topics")
    assert run("topics", "plan", *place)[0] == 1
    assert run("topics", "apply", *place)[0] == 0
    assert run("topics", "plan", *place) == (0, "all topics are as declared\n", "")


def test_a_port_in_use(embedded, make_settings, tmp_path):
    settings = make_settings(embedded)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, error = run(
            "worker", "--broker", embedded, "--prefix", settings.prefix, "--datadir", tmp_path, "--http-port", port
        )
        assert code == 1
        assert f"127.0.0.1:{port}" in one_line(error)
        with pytest.raises(Exception, match="in use"):
            EmbeddedBroker(port).start()


def test_a_file_that_is_none(embedded, tmp_path, make_settings):
    settings = make_settings(embedded)
    place = ("--broker", embedded, "--prefix", settings.prefix)
    (tmp_path / "bad.jsonl").write_text('{"topic":"logs.ml","timestamp":1,"value":{}}\nnot json\n')
    code, _, error = run("replay", tmp_path / "bad.jsonl", *place)
    assert code == 2
    assert "bad.jsonl:2: not JSON" in one_line(error)
    code, _, error = run("replay", tmp_path / "none.jsonl", *place)
    assert code == 2
    assert "none.jsonl" in one_line(error)


def test_an_empty_range_says_so(embedded, make_settings):
    settings = make_settings(embedded)
    code, out, error = run("report", "--broker", embedded, "--prefix", settings.prefix)
    assert (code, error) == (0, "")
    assert "There is no data in this range" in out


def test_a_second_worker_on_one_datadir_or_on_the_stand_in_is_refused(embedded, make_settings, tmp_path):
    from tests.workers import WorkerProcess, wait_for

    settings = make_settings(embedded)
    with WorkerProcess(settings, tmp_path / "one") as worker:
        wait_for(lambda: "ready" in worker.log.read_text(), 30, worker)
        place = ("--broker", embedded, "--prefix", settings.prefix, "--http-port", free_port())
        code, _, error = run("worker", *place, "--datadir", tmp_path / "two")
        assert code == 1
        assert "takes one worker" in one_line(error)
        assert worker.stop() == 0


def test_help_is_quick_to_read():
    code, out, _ = run("--help")
    assert code == 0
    for command in ("worker", "report", "replay", "simulate", "topics", "dlq", "demo"):
        assert f"  {command} " in out
