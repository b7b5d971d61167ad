"""A real Apache Kafka for tests and benches: named, in Docker, or from the jars; in this order.

STREAM_MONITOR_TEST_BROKER=host:port    that one
a Docker engine that answers            testcontainers, apache/kafka 4.x
Java and Maven                          Apache Kafka's jars, one KRaft node on free ports
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from stream_monitor import clients
from stream_monitor.broker import EmbeddedBroker, die_with_parent, free_port
from stream_monitor.errors import MonitorError
from stream_monitor.settings import Settings

IMAGE = "apache/kafka:4.1.0"
_POM = Path(__file__).parent / "kafka.pom.xml"
_CHECKOUT = Path(__file__).resolve().parent.parent.parent
_START_TRIES = 30
"""Of 2 s each."""
_MAVEN_S = 600

_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.voters": "1@127.0.0.1:{controller}",
    "listeners": "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
    "advertised.listeners": "PLAINTEXT://127.0.0.1:{port}",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "log.dirs": "{data}",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "2",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    "log.cleaner.backoff.ms": "500",
}


class NoKafkaError(Exception):
    """No Apache Kafka can be had here; says why."""


class JarsKafka:
    """One KRaft node from the jars, on free ports of 127.0.0.1. Can be stopped and started on its data.

    `properties` are the broker's and win; `{port}`, `{controller}` and `{data}` stand for what is chosen here.
    `format_with` are flags of the storage tool, `connection` the settings by which it is reached.
    """

    def __init__(
        self,
        properties: Mapping[str, str] | None = None,
        format_with: Sequence[str] = (),
        connection: Mapping[str, Any] | None = None,
    ) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._connection = dict(connection or {})
        self._folder = Path(tempfile.mkdtemp(prefix="stream-monitor-kafka-"))
        self._config = self._folder / "server.properties"
        chosen = {"port": self.port, "controller": free_port(), "data": self._folder / "data"}
        lines = [
            f"{name}={value.format(**chosen)}" for name, value in {**_PROPERTIES, **(properties or {})}.items()
        ]
        self._config.write_text("\n".join(lines))
        self._process: subprocess.Popen[bytes] | None = None
        self._classpath = f"{_jars()}/*"
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        cluster = cluster.replace("-", "A", 1) if cluster.startswith("-") else cluster  # no option
        tool = ("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._config), *format_with)
        if self._java(*tool).wait():
            raise NoKafkaError(f"Kafka's data folder could not be made: {self.log()[-500:]}")

    def _java(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as output:
            return subprocess.Popen(  # noqa: S603  (our own command, no shell)
                [shutil.which("java") or "java", "-Xms512m", "-Xmx512m", "-cp", self._classpath, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                preexec_fn=die_with_parent,
            )

    def log(self) -> str:
        """What the node has said."""
        return (self._folder / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Of the running node."""
        assert self._process is not None
        return self._process.pid

    @property
    def data(self) -> Path:
        """The folder of its log files."""
        return self._folder / "data"

    def start(self) -> None:
        """Start the node; return when it answers."""
        self._process = self._java("kafka.Kafka", str(self._config))
        settings = Settings(broker=self.address, connect_timeout=2, **self._connection)
        for _ in range(_START_TRIES):  # no deadline: a machine that stood still meanwhile is no reason to give up
            if self._process.poll() is not None:
                break
            with contextlib.suppress(MonitorError):
                clients.ensure_broker(settings)
                return
            time.sleep(0.2)
        self.stop()
        raise NoKafkaError(f"Kafka did not start: {self.log()[-500:]}")

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """End the node; its data stay."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signum)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self) -> None:
        """End the node and forget its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _jars() -> Path:
    """The folder of the jars, fetched by Maven the first time."""
    ours = (_CHECKOUT / "pyproject.toml").is_file()
    cache = _CHECKOUT / ".cache" if ours else platformdirs.user_cache_path("stream-monitor")
    lib = cache / "kafka" / "lib"
    if not list(lib.glob("kafka_2.13-4.*.jar")):
        maven = shutil.which("mvn")
        if maven is None or not shutil.which("java"):
            raise NoKafkaError("neither Docker nor Java with Maven is here")
        done = subprocess.run(  # noqa: S603  (our own command, no shell)
            [maven, "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", f"-DoutputDirectory={lib}"],
            capture_output=True, text=True, timeout=_MAVEN_S, check=False,
        )  # fmt: skip
        if done.returncode:
            raise NoKafkaError(f"Maven could not fetch Kafka's jars: {done.stdout[-300:]}")
    return lib


@contextlib.contextmanager
def _container() -> Iterator[str]:
    """Apache's own image, one KRaft node, on a free port of this host."""
    from testcontainers.core.container import DockerContainer

    port = free_port()
    container = DockerContainer(IMAGE).with_bind_ports(9092, port)
    settings = {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
    }
    for name, value in settings.items():
        container = container.with_env(f"KAFKA_{name}", value)
    with container:
        clients.ensure_broker(Settings(broker=f"127.0.0.1:{port}", connect_timeout=60))
        yield f"127.0.0.1:{port}"


def _docker_answers() -> bool:
    try:
        import docker

        docker.from_env().ping()
    except Exception:  # noqa: BLE001  (whatever is wrong with it, it is not there)
        return False
    return True


@contextlib.contextmanager
def kafka() -> Iterator[str]:
    """The address of an Apache Kafka. Raises NoKafkaError where none can be had."""
    named = os.environ.get("STREAM_MONITOR_TEST_BROKER")
    if named:
        yield named
    elif _docker_answers():
        with _container() as address:
            yield address
    else:
        node = JarsKafka()
        node.start()
        try:
            yield node.address
        finally:
            node.close()


@contextlib.contextmanager
def any_broker() -> Iterator[str]:
    """The address of an Apache Kafka where one can be had, else that of the embedded stand-in."""
    with contextlib.ExitStack() as stack:
        try:
            address = stack.enter_context(kafka())
        except NoKafkaError:
            address = stack.enter_context(EmbeddedBroker()).address
        yield address
