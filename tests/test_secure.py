"""Against an Apache Kafka that asks who is there, and lets each do what docs/how-to/connect-securely.md names."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import NewTopic

from stream_monitor import clients, lag, offsets, replay, topics
from stream_monitor.errors import BrokerUnavailableError, MonitorError, UsageError
from stream_monitor.settings import Settings
from stream_monitor.shipping import KafkaHandler
from stream_monitor.sources import variable
from stream_monitor.testing.brokers import NoKafkaError
from tests import secure
from tests.driver import prediction
from tests.expected import FIXTURES, differences, fixture_windows
from tests.test_worker import check_against_oracle, yesterday_ms
from tests.workers import WorkerProcess, committed, everything, metrics, wait_for

ROLES = ("operator", "worker", "viewer", "notifier", "shipper", "reporter")
PASSWORDS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.manual]


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with started(tmp_path_factory.mktemp("secure")) as node:
        yield node


@contextmanager
def started(folder, **options):
    try:
        node = secure.SecureKafka(folder, ROLES, **options)
    except NoKafkaError as error:
        if os.environ.get("STREAM_MONITOR_REQUIRE_KAFKA"):
            pytest.fail(f"needs Apache Kafka: {error}")
        pytest.skip(f"needs Apache Kafka: {error}")
    try:
        yield node
    finally:
        node.node.close()


@pytest.fixture(scope="module")
def tokens(broker):
    with secure.token_url(broker.server) as found:
        yield found


def by_token(broker, url):
    """How `worker` connects with OAuth."""
    return {
        "security_protocol": "SASL_SSL", "ssl_ca": str(broker.ca), "sasl_mechanism": "OAUTHBEARER",
        "sasl_oauth_token_url": url, "sasl_oauth_ca": str(broker.ca), "sasl_oauth_client_id": "worker",
        "sasl_oauth_client_secret": "worker-secret", "sasl_oauth_scope": "kafka",
    }  # fmt: skip


@pytest.fixture
def ways(broker, tokens):
    """By mechanism: how `worker` connects."""
    oauth = by_token(broker, tokens[0])
    found = {name: {"broker": broker.node.address, **broker.connection("worker", name)} for name in PASSWORDS}
    found |= {"OAUTHBEARER": {"broker": broker.node.address, **oauth}, "certificate": broker.by_certificate()}
    return found


@pytest.fixture
def made(broker):
    """Its topics, for tests that go by themselves."""
    topics.apply(Settings(broker=broker.node.address, **broker.connection(secure.ADMIN)), replication_factor=1)


def environment(connection):
    return {variable(name): value for name, value in connection.items()}


def command(*arguments, **connection):
    """(exit code, stdout, stderr) of a command of ours."""
    done = subprocess.run(
        [sys.executable, "-m", "stream_monitor", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=120, check=False, env={**os.environ, **environment(connection)},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def run_worker(connection, datadir, **flags):
    settings = Settings(datadir=datadir, http_port=0, **connection)
    return settings, WorkerProcess(settings, **environment(connection))


def test_the_whole_pipeline_with_the_rights_of_the_page_and_no_other(broker, tmp_path, ways):
    users = {role: {"broker": broker.node.address, **broker.connection(role)} for role in ROLES}
    code, _, error = command("topics", "apply", "--replication-factor", "1", **users["operator"])
    assert code == 1
    assert "TOPIC_AUTHORIZATION_FAILED" in error or "Authorization failed" in error
    assert error.count("\n") == 1
    broker.allow(*ROLES)
    code, out, error = command("topics", "apply", "--replication-factor", "1", **users["operator"])
    assert (code, error, out.count("create")) == (0, "", 15)
    assert command("topics", "plan", **users["operator"])[:2] == (0, "all topics are as declared\n")

    shift_ms = yesterday_ms()
    replay.replay(Settings(**users["shipper"]), FIXTURES, shift_ms=shift_ms)
    settings, worker = run_worker(users["worker"], tmp_path / "data")
    with worker:
        check_against_oracle(settings, shift_ms, worker)
        assert worker.stop() == 0
    viewer = Settings(**users["viewer"])
    assert differences(metrics(viewer), fixture_windows(shift_ms)) == []
    code, out, _ = command("report", "--hours", "48", "--output", "json", **users["viewer"])
    assert code == 0
    assert '"records"' in out
    assert command("dlq", **users["viewer"])[0] == 0
    code, _, error = command("topics", "plan", **users["viewer"])
    assert code == 1
    assert "uthorization failed" in error
    for role in ROLES:
        code, out, error = command("doctor", "--role", role, **users[role])
        assert (code, error) == (0, ""), out
        assert f"rights     as {role}, this user may" in out
        assert command("doctor", "--role", "operator" if role != "operator" else "worker", **users[role])[0] == 1
    for user in ("viewer", "notifier"):
        with pytest.raises((MonitorError, KafkaException)):
            replay.replay(Settings(**users[user]), FIXTURES[:1])


def test_the_reporter_sees_the_groups_that_it_may_describe_and_no_other(broker):
    broker.allow("reporter")
    admin, mighty = broker.admin(), Settings(broker=broker.node.address, **broker.connection(secure.ADMIN))
    names = ("orders.made", "payments.made")
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        future.result(timeout=30)
    for group, topic in (("orders-mail", names[0]), ("orders-bank", names[1]), ("payments-mail", names[1])):
        consumer = clients.consumer(mighty, **{"group.id": group})
        consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
        consumer.close()
    settings = Settings(broker=broker.node.address, **broker.connection("reporter"))
    found = lag.look(clients.admin(settings), settings, ["*"])
    assert [*found] == [lag.Place("orders-mail", "orders.made", 0)]


def test_the_notifier_needs_no_more_than_its_rights(broker, made):
    broker.allow("notifier")
    users = {"broker": broker.node.address, **broker.connection("notifier")}
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_monitor", "notify"], stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment(users), "STREAM_MONITOR_ALERTMANAGER_URL": "http://127.0.0.1:1"},
    )  # fmt: skip
    try:
        group = "pipeline.notify"
        admin = broker.admin()
        wait_for(lambda: has_members(admin, group), 60)
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()


def has_members(admin, group):
    try:
        return bool(admin.describe_consumer_groups([group])[group].result(30).members)
    except KafkaException:  # a broker that has just started is nobody's coordinator yet
        return False


@pytest.mark.parametrize("way", ["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER", "certificate"])
def test_the_worker_by_every_way_to_say_who_it_is(way, ways, broker, made, tmp_path, tokens):
    broker.allow("worker", "shipper")
    before = len(tokens[1])
    shipper = Settings(broker=broker.node.address, **broker.connection("shipper"))
    settings, worker = run_worker(ways[way], tmp_path / "data")
    there = sum(offsets.ends(settings, ("logs.ml",)).values())
    producer = clients.producer(shipper)
    for n in range(50):
        producer.produce(shipper.topic("logs.ml"), prediction(time.time_ns() // 1_000_000 + n))
    assert producer.flush(30) == 0
    with worker:
        wait_for(lambda: committed(settings, "logs.ml") == there + 50, 90, worker)
        assert worker.stop() == 0
    asked = tokens[1][before:]
    assert bool(asked) == (way == "OAUTHBEARER")
    assert all(form["scope"] == ["kafka"] for form in asked)


def test_a_broker_that_ends_sessions_interrupts_nothing(tmp_path):
    """As at a token's end: librdkafka says anew who it is on its connection, aiokafka makes another connection."""
    often = {"connections.max.reauth.ms": "3000"}
    with started(tmp_path, properties=often) as broker, secure.token_url(broker.server) as (url, _):
        admin = Settings(broker=broker.node.address, **broker.connection(secure.ADMIN))
        topics.apply(admin, replication_factor=1)
        broker.allow("worker", "shipper")
        shipper = Settings(broker=broker.node.address, **broker.connection("shipper"))
        producer = clients.producer(shipper)
        connection = {"broker": broker.node.address, **by_token(broker, url)}
        settings, worker = run_worker(connection, tmp_path / "data")
        with worker:
            for n in range(150):
                producer.produce(shipper.topic("logs.ml"), prediction(time.time_ns() // 1_000_000 + n))
                producer.flush(30)
                time.sleep(0.1)
            wait_for(lambda: committed(settings, "logs.ml") == 150, 90, worker)
            assert worker.stop() == 0
        log = worker.log.read_text()
        assert "KafkaConnectionError" in log, "no session was ended"
        assert "is away" not in log


def test_the_shipping_handler_by_the_same_names(broker, made, tmp_path):
    broker.allow("worker", "shipper")
    (tmp_path / "password").write_text("shipper-secret\n")
    admin = Settings(broker=broker.node.address, **broker.connection(secure.ADMIN))
    before = len(everything(admin, "logs.ml"))
    connection = {**broker.connection("shipper"), "broker": broker.node.address}
    del connection["sasl_password"]
    connection["sasl_password_file"] = str(tmp_path / "password")
    handler = KafkaHandler(kind="ml", spool_dir=tmp_path / "spool", flush_timeout=30, **connection)
    logger = logging.getLogger("secure-shipping")
    logger.addHandler(handler)
    logger.error("hello", extra={"service": "s", "model_version": "v"})
    assert handler.wait_delivered(60)
    logger.removeHandler(handler)
    handler.close()
    assert len(everything(admin, "logs.ml")) == before + 1


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("change", "part"),
        [
            (
                {"sasl_password": "hunter2"},
                "Authentication failed during authentication due to invalid credentials",
            ),
            ({"ssl_ca": None}, "broker certificate could not be verified"),
            ({"security_protocol": "PLAINTEXT"}, "it hangs up; is security_protocol PLAINTEXT right?"),
        ],
    )
    def test_is_one_line_that_says_it(self, change, part, ways, broker):
        settings = Settings(**{**ways["SCRAM-SHA-512"], "connect_timeout": 2, **change})
        with pytest.raises(BrokerUnavailableError) as wrong:
            clients.ensure_broker(settings)
        assert part in str(wrong.value)
        assert "hunter2" not in str(wrong.value)

    def test_with_the_token(self, ways):
        settings = Settings(**{**ways["OAUTHBEARER"], "connect_timeout": 2, "sasl_oauth_client_secret": "hunter2"})
        with pytest.raises(BrokerUnavailableError, match="invalid_client"):
            clients.ensure_broker(settings)

    @pytest.mark.parametrize("password", [None, "wrong"])
    def test_a_locked_key_asks_nobody(self, password, broker):
        settings = Settings(**{**broker.by_certificate(), "ssl_key_password": password})
        with pytest.raises(UsageError):
            clients.ensure_broker(settings)
        with pytest.raises(UsageError, match="a TLS file cannot be used"):
            clients.faust_options(settings)
