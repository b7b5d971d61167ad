"""The Kafka handler on Apache Kafka: what arrives when its process exits, forks, is killed, or finds no broker."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys
import time

import numpy as np
import orjson
import pytest

from stream_monitor import topics
from stream_monitor.errors import UsageError
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.shipping import KafkaHandler
from stream_monitor.shipping.connection import Connection
from tests.shipping.reading import header, messages, numbers
from tests.workers import wait_for

NOWHERE = "127.0.0.1:1"


def application(name, settings, spool, **options):
    command = [sys.executable, "-m", "tests.shipping.applications", name, settings.broker, settings.prefix, spool]
    return subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(name, settings, spool):
    process = application(name, settings, spool)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output, errors


APPLICATIONS = ("exits_at_once", "forks", "pools", "crowds")


@pytest.fixture(scope="module")
def shipped(kafka, tmp_path_factory):
    """What arrived of the applications that exit, by their names; and what is left in the spool they share."""
    settings = Settings(broker=kafka, prefix=f"shipped{time.time_ns()}")
    topics.apply(settings, replication_factor=1)
    spool = tmp_path_factory.mktemp("spool")
    processes = [application(name, settings, spool) for name in APPLICATIONS]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    found = messages(settings)
    by_name = {n: [m for m in found if m.key().decode().startswith(f"{n}/")] for n in APPLICATIONS}
    return by_name, list(spool.rglob("*.log"))


class TestOnKafka:
    def test_a_process_that_exits_at_once_delivers_first(self, shipped):
        found = shipped[0]["exits_at_once"]
        assert numbers(found) == {f"v{n}": list(range(n, 500, 3)) for n in range(3)}
        lines = KINDS["ml"].decode([message.value() for message in found], np.full(500, 0))
        assert not lines.rejected
        assert len(found) == 500

    def test_headers_are_those_of_cloudevents(self, shipped):
        for message in shipped[0]["exits_at_once"]:
            assert re.fullmatch(r"[0-9a-f]{32}-\d+", header(message, "ce_id"))
            assert re.fullmatch(r"/[^/]+/\d+", header(message, "ce_source"))
            assert header(message, "ce_type") == "log.ml"
            assert header(message, "ce_specversion") == "1.0"
            assert header(message, "ce_time") == orjson.loads(message.value())["timestamp"]

    def test_parent_and_children_of_a_fork_deliver_their_own(self, shipped):
        found = shipped[0]["forks"]
        assert numbers(found) == {
            "parent": list(range(200)), "child": list(range(100)), "grandchild": list(range(100)),
        }  # fmt: skip
        assert len({header(message, "ce_source") for message in found}) == 3
        assert len(found) == 400

    def test_the_children_of_a_pool_deliver(self, shipped):
        found = numbers(shipped[0]["pools"])
        assert sorted(found["pool"]) == list(range(50))
        assert found["parent"] == [0]

    def test_threads_keep_their_order_and_a_record_that_logs_ends(self, shipped):
        found = shipped[0]["crowds"]
        keys = [message.key().decode() for message in found]
        assert keys.count("crowds/chatty") == 1
        assert 1 <= keys.count("crowds/nested") <= 3
        threads = [message for message in found if b"thread" in message.key()]
        assert numbers(threads) == {f"thread{n}": list(range(500)) for n in range(4)}

    def test_nothing_stays_in_the_spool(self, shipped):
        assert shipped[1] == []

    def test_a_topic_that_is_missing_is_named_and_waited_for(self, kafka, make_settings, tmp_path):
        settings = make_settings(kafka, apply=False)
        process = application("finds_no_topic", settings, tmp_path / "spool")
        assert process.stdout.readline() == "logged\n"
        assert f"{settings.topic('logs.ml')}" in (said := process.stderr.readline())
        assert "stream-monitor topics apply" in said
        topics.apply(settings, replication_factor=1)
        output, errors = process.communicate("\n", timeout=60)
        assert output == "True\n", errors
        assert numbers(messages(settings)) == {f"v{n}": list(range(n, 400, 3)) for n in range(3)}

    def test_killed_without_a_broker_and_delivered_by_the_next_process(self, kafka, make_settings, tmp_path):
        """The broker's address changes meanwhile, and with it a folder's name: the test need not start one."""
        settings = make_settings(kafka)
        away = Settings(broker=NOWHERE, prefix=settings.prefix)
        process = application("waits_to_be_killed", away, tmp_path)
        said = [int(process.stdout.readline()) for _ in range(10)][-1]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        run("exits_at_once", away, tmp_path)  # does not wait: the disk has it all
        (folder,) = tmp_path.iterdir()
        folder.rename(tmp_path / Connection(broker=kafka).address_id)
        process = application("finds_no_topic", settings, tmp_path)
        process.communicate("\n", timeout=60)
        check_order(messages(settings), said)


def check_order(found, said):
    """Three runs: every one in order by key; of the killed one all that it had said, and no hole."""
    by_run = {}
    for message in found:
        by_run.setdefault(header(message, "ce_source"), []).append(message)
    killed, at_once, last = (numbers(run) for run in by_run.values())
    flat = sorted(number for of_key in killed.values() for number in of_key)
    assert flat == list(range(len(flat)))
    assert len(flat) >= said
    assert all(of_key == sorted(of_key) for of_key in killed.values())
    assert at_once == {f"v{n}": list(range(n, 500, 3)) for n in range(3)}
    assert last == {f"v{n}": list(range(n, 400, 3)) for n in range(3)}


@pytest.fixture
def logger():
    """A logger of the test's own, and the handlers that it was given are closed."""
    logger = logging.getLogger("tests.shipping")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()


def made(logger, tmp_path, **options):
    handler = KafkaHandler(broker=NOWHERE, spool_dir=tmp_path, flush_timeout=0.1, **options)
    logger.addHandler(handler)
    return handler


class TestWithoutABroker:
    def test_memory_is_bounded_and_what_is_lost_is_counted_and_said(self, logger, tmp_path, caplog):
        handler = KafkaHandler(broker=NOWHERE, spool_dir=None, queue_records=100, flush_timeout=0.1)
        logger.addHandler(handler)
        handler._starting.acquire()  # nobody drains
        for number in range(1000):
            logger.info("x", extra={"dag_id": "d", "n": number})
        assert handler.counts["queued"] == 100
        assert handler.lost == {"queue_full": 900}
        handler._starting.release()
        with caplog.at_level(logging.WARNING, "stream_monitor.shipping"):
            logger.info("x", extra={"dag_id": "d"})
            wait_for(lambda: "were lost" in caplog.text, 10)
        assert "901 log records were lost on their way to 127.0.0.1:1: queue_full 901" in caplog.text
        assert caplog.text.count("were lost") == 1

    def test_bytes_count_too(self, logger, tmp_path):
        handler = made(logger, tmp_path, queue_bytes=50_000)
        handler._starting.acquire()
        for _ in range(100):
            logger.info("%s", "x" * 10_000, extra={"dag_id": "d"})
        assert handler.counts["queued"] == 5

    @pytest.mark.slow
    def test_a_full_spool_lets_the_oldest_go(self, logger, tmp_path, monkeypatch):
        monkeypatch.setattr("stream_monitor.shipping.spool.SEGMENT_BYTES", 20_000)
        monkeypatch.setattr("stream_monitor.shipping.window.WINDOW", 512)
        handler = made(logger, tmp_path, spool_bytes=100_000)
        for number in range(3000):
            logger.info("x", extra={"dag_id": "d", "n": number})
            if number % 500 == 0:
                wait_for(lambda: not handler.counts["queued"], 10)
        wait_for(lambda: handler.lost["spool_full"] > 1000, 10)
        assert handler.counts["spool_bytes"] <= 120_000
        assert set(handler.lost) == {"spool_full"}

    def test_what_belongs_to_no_series_is_not_shipped(self, logger, tmp_path):
        handler = made(logger, tmp_path, kind="ml")
        logger.info("nothing")
        logger.info("airflow's", extra={"dag_id": "d"})
        logger.info("", extra={"service": "s", "model_version": "v"})
        wait_for(lambda: handler.counts["skipped"] == 2 and handler.counts["in_flight"] == 1, 10)

    def test_records_that_nobody_thought_of_end_no_thread(self, logger, tmp_path, monkeypatch):
        handler = made(logger, tmp_path, kind="ml")
        deep = "x"
        for _ in range(300):
            deep = [deep]
        for extra in ({"service": "caf\udce9"}, {"service": "s" * 100_000}, {"service": "s", "token_s": deep}):
            logger.info("token", extra={"model_version": "v", **extra})
        logger.info("fine", extra={"service": "s", "model_version": "v"})
        wait_for(lambda: handler.counts["in_flight"] + handler.lost["failed"] == 4, 10)
        assert handler.counts["in_flight"] >= 3
        monkeypatch.setattr(handler._sender, "_item", lambda _: 1 / 0)
        logger.info("", extra={"service": "s", "model_version": "v"})
        wait_for(lambda: not handler.counts["queued"], 10)
        assert not handler._sender.has_ended
        assert handler.lost["failed"] >= 1

    def test_a_custom_formatter_is_used_and_redacted(self, logger, tmp_path):
        handler = made(logger, tmp_path, fields={"dag_id": "d"})
        handler.setFormatter(logging.Formatter("%(levelname)s password=%(message)s"))
        logger.info("hunter2")
        wait_for(lambda: handler.counts["in_flight"] == 1, 10)
        (spooled,) = tmp_path.rglob("*.log")
        assert b"INFO password=[redacted]" in spooled.read_bytes()

    def test_our_own_lines_never_enter(self, logger, tmp_path):
        handler = made(logger, tmp_path, fields={"dag_id": "d"})
        for name in ("stream_monitor.shipping", "stream_monitor.librdkafka"):
            handler.handle(logging.makeLogRecord({"name": name, "msg": "x", "levelname": "INFO"}))
        assert handler.counts["queued"] == 0

    def test_it_starts_again_after_a_close(self, logger, tmp_path):
        handler = made(logger, tmp_path, fields={"dag_id": "d"})
        logger.info("one")
        handler.close()
        logger.info("two")
        wait_for(lambda: handler.counts["in_flight"] == 2, 10)  # the first came back from the spool

    @pytest.mark.parametrize(
        ("options", "part"),
        [
            ({"kind": "nosuch"}, "kind 'nosuch'"),
            ({"broker": "nonsense"}, "host:port"),
            ({"prefix": "a b"}, "setting prefix"),
            ({"security_protocol": "TLS"}, "setting security_protocol"),
            ({"security_protocol": "SASL_SSL"}, "needs a user"),
            ({"spool_bytes": 0}, "above 0"),
            ({"redact_patterns": ["("]}, "a pattern to redact"),
            ({"request_timeout": "soon"}, "setting request_timeout"),
            ({"bootstrap": "x"}, "no setting 'bootstrap'"),
        ],
    )
    def test_what_is_set_wrongly_is_one_clear_line(self, options, part):
        with pytest.raises(UsageError, match=re.escape(part)):
            KafkaHandler(**options)

    def test_a_spool_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match=r"spool folder .* cannot be made: Not a directory"):
            KafkaHandler(spool_dir=tmp_path / "file" / "spool")


def test_settings_are_those_of_the_project(monkeypatch):
    for name, field in Connection.__dataclass_fields__.items():
        assert Settings.model_fields[name].default == field.default
    monkeypatch.setenv("STREAM_MONITOR_BROKER", "kafka-1:9092")
    monkeypatch.setenv("STREAM_MONITOR_SASL_PASSWORD", "hunter2")
    connection = Connection.load(prefix="mine")
    assert (connection.broker, connection.prefix) == ("kafka-1:9092", "mine")
    assert "hunter2" not in repr(connection)
    assert connection.sasl_password.get_secret_value() == "hunter2"


def test_importing_it_is_light():
    code = "import sys, stream_monitor.shipping as s; s.KafkaHandler(spool_dir=None); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"numpy", "pydantic", "pydantic_settings", "faust", "msgspec", "click", "rich", "yaml"}
    assert "stream_monitor.settings" not in loaded
