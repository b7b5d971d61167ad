"""The command line: what a user can get wrong is one clear line and the right exit code."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from confluent_kafka import KafkaError, KafkaException

from stream_monitor import broker, cli, clients, manual, offsets
from stream_monitor.broker import EmbeddedBroker, free_port
from stream_monitor.errors import MonitorError, UsageError
from stream_monitor.settings import Settings
from tests.workers import wait_for


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

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def here(capsys):
    """`run` without a process of its own: (exit code, stdout, stderr)."""
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}

    def call(*arguments):
        code = cli.run([*map(str, arguments)])
        return code, *capsys.readouterr()

    yield call
    for signum, handler in before.items():
        signal.signal(signum, handler)


def start(*arguments, **environment):
    """A command that goes on."""
    return subprocess.Popen(
        [sys.executable, "-m", "stream_monitor", *map(str, arguments)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # in the background it is ignored, too
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [("worker", "--http-port", 0), ("topics", "plan"), ("topics", "apply"), ("report",), ("dlq",),
     ("replay", "fixtures/bad_records.jsonl"), ("simulate",)],
)  # fmt: skip
@pytest.mark.slow
def test_no_broker(arguments, tmp_path):
    code, _, error = run(
        *arguments, "--broker", NOWHERE,
        STREAM_MONITOR_CONNECT_TIMEOUT="0.3", STREAM_MONITOR_DATADIR=str(tmp_path),
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
        (("report", "--component", "nosuch"), "nosuch"),
        (("report", "--output", "xml"), "xml"),
        (("worker", "--grace", "-1"), "grace"),
        (("worker", "--grace", "90", "--lateness", "60"), "lateness"),
        (("worker", "--kinds", "airflow,nosuch"), "kinds"),
        (("worker", "--grace", "nan"), "grace"),
        (("worker", "--prefix", "a b"), "letters, digits, . _ -, no spaces"),
        (("worker", "--datadir", ""), "setting datadir (--datadir): it is empty"),
        (("worker", "--broker", "kafka://x:1"), "host:port"),
        (("replay",), "FILES"),
        (("replay", "x", "--speed", "nan"), "speed"),
        (("simulate", "--rate", "0"), "rate"),
        (("simulate", "--rate", "nan"), "rate"),
        (("simulate", "--rate", "inf"), "rate"),
        (("simulate", "--rate", "1e12"), "rate"),
        (("simulate", "--seconds", "nan"), "seconds"),
        (("demo", "--rate", "nan"), "rate"),
        (("demo", "--incident", "flood"), "airflow-failures"),
        (("simulate", "--incident", "flood", "--broker", NOWHERE), "airflow-failures"),
        (("replay", "nowhere.jsonl", "--broker", NOWHERE), "cannot read nowhere.jsonl: No such file"),
        (("ship", "x", "--field", "bad", "--broker", NOWHERE), "--field 'bad': it is NAME=VALUE"),
        (("reprot",), "No such command 'reprot'. Did you mean report? See: stream-monitor --help"),
        (("xyz",), "No such command 'xyz'; see: stream-monitor --help"),
        (("report", "--hour", "3"), "Did you mean --hours? See: stream-monitor report --help"),
        (("topics", "apply", "--replication-factor", "-5"), "replication-factor"),
        (("topics", "apply", "--replication-factor", "0"), "-1 (the broker's default) or 1 to 32767"),
        (("topics", "apply", "--replication-factor", "99999"), "replication-factor"),
        (("report", "--interval", "5"), "--interval goes with --server"),
        (("tui", "--port", "80"), "--host and --port go with --serve"),
        (("tui",), "tui needs a terminal"),
        (("report", "--server", "--interval", "inf"), "interval"),
        (("report", "--known-components", "nonsense"), "'nonsense' is not kind:entity"),
        (("report", "--known-components", "airflow:a,nosuch:b"), "'nosuch:b' is not kind:entity"),
        (("dlq", "--limit", 10**30), "limit"),
    ],
)
def test_wrong_use(arguments, part, here):
    code, _, error = here(*arguments)
    assert code == 2
    assert part in one_line(error)


def test_a_wrong_environment_variable_is_named_and_no_flag_that_is_none(here, monkeypatch):
    monkeypatch.setenv("STREAM_MONITOR_SESSION_TIMEOUT", "soon")
    code, _, error = here("report")
    assert code == 2
    assert "(STREAM_MONITOR_SESSION_TIMEOUT)" in one_line(error)
    assert "--session-timeout" not in error


def test_half_a_certificate_names_the_variables(here, monkeypatch):
    monkeypatch.setenv("STREAM_MONITOR_SSL_KEY", "key.pem")
    code, _, error = here("report")
    assert code == 2
    assert "both STREAM_MONITOR_SSL_CERTIFICATE and STREAM_MONITOR_SSL_KEY" in one_line(error)


def test_no_secret_is_ever_in_a_message(here, monkeypatch):
    monkeypatch.setenv("STREAM_MONITOR_SASL_PASSWORD", "hunter2")
    code, _, error = here("worker", "--grace", "100", "--lateness", "90")
    assert (code, one_line(error)) == (2, "stream-monitor: grace (100 s) must be shorter than lateness (90 s)")
    with pytest.raises(UsageError) as wrong:
        Settings.load(sasl_password=["hunter2"])
    assert "sasl_password" in str(wrong.value)
    assert "hunter2" not in str(wrong.value)


@pytest.mark.parametrize("arguments", [(), ("topics",)])
def test_without_a_command_the_help_is_printed_as_it_is(arguments, here):
    code, _, error = here(*arguments)
    assert code == 2
    assert error.splitlines()[0].startswith("Usage: stream-monitor")
    assert len(error.splitlines()) > 8


def test_what_a_client_raises_is_one_line(here, monkeypatch):
    def gone(*_):
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    monkeypatch.setattr(clients, "ensure_broker", gone)
    for arguments in (("report",), ("dlq",), ("topics", "plan"), ("replay", __file__)):
        code, _, error = here(*arguments)
        assert code == 1
        assert "the broker failed: " in one_line(error)


def test_a_signal_is_seen_and_one_that_is_ignored_stays_so(here):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, too
    stopped = cli.on_signals()
    os.kill(os.getpid(), signal.SIGINT)
    assert not stopped()
    os.kill(os.getpid(), signal.SIGHUP)
    assert stopped()


@pytest.mark.parametrize(
    ("arguments", "expected"), [(("report",), 130), (("report", "--server"), 0), (("dlq",), 130)]
)
@pytest.mark.slow
def test_ctrl_c_while_it_waits_for_a_broker(arguments, expected):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent.settimeout(20)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        process = start(*arguments, "--broker", address, STREAM_MONITOR_CONNECT_TIMEOUT="60")
        try:
            connection, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=5)
            connection.close()
        finally:
            process.kill()
    assert process.returncode == expected
    assert "Traceback" not in error


def test_ctrl_c_ends_a_replay_at_a_pace_and_says_what_was_sent(embedded, make_settings, tmp_path):
    settings = make_settings(embedded)
    file = tmp_path / "two.jsonl"
    file.write_text("".join(f'{{"topic":"logs.ml","timestamp":{at},"value":{{}}}}\n' for at in (0, 3_600_000)))
    process = start("replay", file, "--speed", 1, "--broker", embedded, "--prefix", settings.prefix)
    try:
        wait_for(lambda: sum(offsets.ends(settings, ("logs.ml",)).values()) == 1, 20)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, out, error) == (130, "1 record sent\n", "")


def test_a_full_disk_is_one_line(embedded, make_settings):
    settings = make_settings(embedded, apply=False)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "stream_monitor", "topics", "plan", "--broker", embedded, "--prefix",
             settings.prefix], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "No space left" in one_line(done.stderr)


def test_a_reader_that_goes_away_is_no_failure(embedded, make_settings):
    settings = make_settings(embedded)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "stream_monitor", "report", "--broker", embedded, "--prefix", settings.prefix],
        stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_that_knows_only_ascii(embedded, make_settings):
    settings = make_settings(embedded)
    place = ("--broker", embedded, "--prefix", settings.prefix)
    code, out, error = run("report", *place, PYTHONIOENCODING="ascii")
    assert (code, error) == (0, "")
    assert out.isascii()


def test_a_datadir_that_is_a_file(embedded, make_settings, tmp_path):
    settings = make_settings(embedded)
    (tmp_path / "file").write_text("")
    place = ("--broker", embedded, "--prefix", settings.prefix, "--http-port", 0)
    code, _, error = run("worker", *place, "--datadir", tmp_path / "file")
    assert code == 1
    assert str(tmp_path / "file") in one_line(error)


def test_the_stand_in_s_program_is_changed_only_where_it_may_not_be_run(monkeypatch):
    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refused)
    assert broker._program().is_file()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(MonitorError, match=r"chmod \+x"):
        broker._program()


def test_missing_topics(embedded, tmp_path):
    for arguments in (("worker", "--http-port", 0, "--datadir", tmp_path), ("report",), ("dlq",)):
        code, _, error = run(*arguments, "--broker", embedded, "--prefix", "nothing.here")
        assert code == 1
        assert "if the prefix nothing.here is the right one" in one_line(error)
        assert "stream-monitor topics apply --prefix nothing.here" in one_line(error)


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
    from tests.workers import WorkerProcess

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
    for command in ("worker", "report", "replay", "simulate", "topics", "dlq", "demo", "tui"):
        assert f"  {command} " in out


def every_command():
    return [(path, each) for path, each in manual.commands(cli.cli) if not isinstance(each, click.Group)]


@pytest.mark.parametrize(("path", "command"), every_command(), ids=[path for path, _ in every_command()])
def test_the_help_of_each_command_has_examples_that_are_right(path, command, here):
    code, out, _ = here(*path.split(), "--help")
    assert code == 0
    assert "Exit codes: 0:" in out
    assert manual.EXAMPLES.get(path), f"say in stream_monitor/manual.py how {path} is used"
    for example in manual.EXAMPLES[path]:
        assert f"  {example}\n" in out
        words = shlex.split(re.search(r"stream-monitor (.*?)\)?\"?(?: [|>] .*)?$", example)[1])
        assert words[: len(path.split())] == path.split()
        command.make_context(path, words[len(path.split()) :])


@pytest.mark.parametrize(
    ("words", "found"),
    [("stream-monitor top", "plain,topics"), ("stream-monitor topics apply --r", "plain,--replication-factor")],
)
def test_a_shell_completes_commands_and_options(words, found):
    at = str(words.count(" "))
    _, out, _ = run(_STREAM_MONITOR_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=at)
    assert found in out.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_calls_us(shell, here):
    code, out, _ = here("completion", shell)
    assert code == 0
    assert f"_STREAM_MONITOR_COMPLETE={shell}_complete" in out


@pytest.mark.parametrize(
    ("package", "arguments"), [("pydantic", ("--help",)), ("yaml", ("alerts", "check"))], ids=["start", "later"]
)
def test_a_package_that_is_missing_is_one_line(package, arguments, tmp_path):
    (tmp_path / f"{package}.py").write_text(f'raise ModuleNotFoundError("No module named {package}")')
    code, _, error = run(*arguments, PYTHONPATH=str(tmp_path))
    assert code == 1
    assert f"No module named {package}; the installation lacks a package: pip install" in one_line(error)


def test_a_python_that_is_too_old_is_one_line(monkeypatch):
    from stream_monitor import __main__

    monkeypatch.setattr(__main__.sys, "version_info", (3, 9, 1))
    with pytest.raises(SystemExit, match=r"it needs Python 3\.11 or newer, and this is 3\.9$"):
        __main__.main()
