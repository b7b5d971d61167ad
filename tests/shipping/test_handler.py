"""The Kafka handler on Apache Kafka: what arrives when its process exits, forks, is killed, or finds no broker."""

from __future__ import annotations

import logging
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import orjson
import pytest

from stream_monitor import topics
from stream_monitor.errors import UsageError
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.shipping import KafkaHandler
from stream_monitor.shipping.buffer import Buffer
from stream_monitor.shipping.connection import Connection
from stream_monitor.shipping.formatter import MAX_BYTES, SIZE, capture
from stream_monitor.shipping.frame import frames
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


def made(logger, tmp_path, **options):
    handler = KafkaHandler(broker=NOWHERE, spool_dir=tmp_path, flush_timeout=0.1, **options)
    logger.addHandler(handler)
    return handler


def full(_out, _data):
    raise OSError(28, "No space left on device")


def kept(root):
    """All that spools hold whose processes have ended or are still at it, oldest first."""
    found = sorted(root.rglob("*.log"), key=lambda path: ((path.parent / "lock").stat().st_mtime_ns, path))
    return [frame.item for path in found for frame in frames(path, 0)]


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
        monkeypatch.setattr("stream_monitor.shipping.lane.WINDOW", 512)
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
        wait_for(lambda: handler.counts["in_flight"] == 1 and not handler.counts["queued"], 10)
        assert len(kept(tmp_path)) == 2
        assert handler.counts["in_flight"] == 1  # the first is under way, the second behind it

    def test_a_full_disk_and_no_broker_at_the_end_are_counted_and_said(
        self, logger, tmp_path, caplog, monkeypatch
    ):
        monkeypatch.setattr("stream_monitor.shipping.spool._write", full)
        handler = made(logger, tmp_path, fields={"dag_id": "d"})
        with caplog.at_level(logging.WARNING, "stream_monitor.shipping"):
            for number in range(700):
                logger.info("%d", number)
            handler.close()
        assert handler.lost.total() == 700
        assert "700 log records were lost on their way to 127.0.0.1:1: closed 700" in caplog.text
        assert "the spool takes nothing: No space left on device" in caplog.text
        assert not list(tmp_path.rglob("*.log"))

    @pytest.mark.slow
    def test_who_logs_while_it_is_closed_makes_no_second_sender_and_loses_nothing(self, logger, tmp_path):
        handler = made(logger, tmp_path, fields={"dag_id": "d"})
        senders, count, is_over = set(), [0] * 4, threading.Event()

        def log(thread):
            while not is_over.is_set() or count[thread] < 2000:
                logger.info("%d of thread %d", count[thread], thread)
                count[thread] += 1
                time.sleep(0.0001)

        threads = [threading.Thread(target=log, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            time.sleep(0.05)
            handler.close()
            running = [t for t in threading.enumerate() if t.name == "stream-monitor-shipping"]
            senders.add(sum(t is not None for t in running))
        is_over.set()
        for thread in threads:
            thread.join()
        handler.close()
        assert senders <= {0, 1}
        assert not handler.lost
        assert handler.counts["queued"] == 0
        told = [item.value for item in kept(tmp_path)]
        assert len(told) == sum(count)
        for thread in range(4):
            marks = [f'"message":"{n} of thread {thread}"'.encode() for n in range(count[thread])]
            mine = [value for value in told if b"of thread %d" % thread in value]
            assert all(mark in value for mark, value in zip(marks, mine, strict=True))

    def test_where_no_thread_can_be_started_any_more_the_disk_gets_it(self, logger, tmp_path, monkeypatch):
        """Python 3.12, in an atexit handler after this one's."""
        handler = made(logger, tmp_path, fields={"dag_id": "d"})

        def start(_):
            raise RuntimeError("can't create new thread at interpreter shutdown")

        monkeypatch.setattr(threading.Thread, "start", start)
        begun = time.monotonic()
        for number in range(20):
            logger.info("late %d", number)
        assert time.monotonic() - begun < 10  # flush_timeout once, not for each
        assert [f"late {n}".encode() in item.value for n, item in enumerate(kept(tmp_path))] == [True] * 20
        assert handler.counts["queued"] == handler.lost.total() == 0

    @pytest.mark.slow
    def test_a_close_right_after_a_flush_in_vain_waits_no_second_time(self, logger, tmp_path):
        """As logging.config does, with a lock that all of logging needs."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            handler = KafkaHandler(broker=address, spool_dir=tmp_path, flush_timeout=3, fields={"dag_id": "d"})
            logger.addHandler(handler)
            logger.info("x")
            begun = time.monotonic()
            handler.flush()
            handler.close()
            assert 3 <= time.monotonic() - begun < 5
        assert len(kept(tmp_path)) == 1

    def test_a_long_line_of_a_custom_formatter_is_cut(self, logger, tmp_path):
        handler = made(logger, tmp_path, fields={"dag_id": "d"})
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.info("x" * 5_000_000)
        logger.info("\u20ac" * 5_000_000)
        logger.info("p=1 " * 50_000 + "password=x " * 50_000)
        logger.info("next")
        wait_for(lambda: handler.counts["in_flight"] == 4, 10)
        found = [item.value for item in kept(tmp_path)]
        assert all(len(value) <= MAX_BYTES for value in found)
        assert [b"left out" in value for value in found] == [True, True, True, False]

    @pytest.mark.parametrize("record", [logging.makeLogRecord({}), logging.LogRecord.__new__(logging.LogRecord)])
    def test_a_bare_record_raises_nothing(self, logger, tmp_path, record):
        handler = made(logger, tmp_path, fields={"dag_id": "d"})
        handler.handle(record)
        logger.info("x")
        wait_for(lambda: handler.counts["in_flight"] + handler.lost["failed"] == 2, 10)

    def test_the_count_of_bytes_does_not_drift_and_knows_what_is_added(self):
        queue = Buffer(1_000_000, 1_000_000_000)
        record = logging.makeLogRecord({"msg": "x" * 100})
        record.extra = "y" * 1_000_000
        captured = capture(record)
        assert captured[SIZE] > 1_000_000

        def put():
            for _ in range(5000):
                queue.put(captured.copy())

        threads = [threading.Thread(target=put) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            queue.take(7)
        queue.take(1_000_000)
        assert queue.size_bytes == 0

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
