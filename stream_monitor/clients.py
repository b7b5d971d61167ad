"""Every Kafka client of the project gets its connection here, from the same settings.

`client_config` is librdkafka's dictionary; `faust_options` says the same to Faust. Address, SASL and TLS stand in
no other file.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ClusterMetadata

from stream_monitor.errors import BrokerUnavailableError, StoppedError, UsageError

if TYPE_CHECKING:
    from stream_monitor.settings import Settings

log = logging.getLogger(__name__)

_LOOK_S = 0.1
"""How often a wait looks whether it should go on."""
_quiet = logging.getLogger("stream_monitor.librdkafka")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class Hidden(Protocol):
    """A secret."""

    def get_secret_value(self) -> str:
        """What is hidden."""


class Endpoint(Protocol):
    """What a connection needs to know: `Settings`, or a shipping process's `Connection`."""

    @property
    def broker(self) -> str: ...
    @property
    def security_protocol(self) -> str: ...
    @property
    def sasl_mechanism(self) -> str: ...
    @property
    def sasl_username(self) -> str | None: ...
    @property
    def sasl_password(self) -> Hidden | None: ...
    @property
    def ssl_ca(self) -> Path | None: ...
    @property
    def ssl_certificate(self) -> Path | None: ...
    @property
    def ssl_key(self) -> Path | None: ...
    @property
    def ssl_key_password(self) -> Hidden | None: ...
    @property
    def request_timeout(self) -> float: ...
    @property
    def connect_timeout(self) -> float: ...


def client_config(settings: Endpoint) -> dict[str, Any]:
    """librdkafka's configuration for reaching the broker. Raises UsageError for half a pair of settings."""
    _check_addresses(settings.broker)
    _check_pairs(settings)
    config: dict[str, Any] = {
        "bootstrap.servers": settings.broker,
        "client.id": "stream-monitor",
        "security.protocol": settings.security_protocol,
        "socket.timeout.ms": round(settings.request_timeout * 1000),
        "socket.connection.setup.timeout.ms": max(1000, round(settings.connect_timeout * 1000)),  # its least
        "reconnect.backoff.max.ms": 2000,
        "broker.address.family": "any",
        "logger": _quiet,
    }
    if settings.security_protocol.startswith("SASL"):
        assert settings.sasl_password is not None
        config |= {
            "sasl.mechanism": settings.sasl_mechanism,
            "sasl.username": settings.sasl_username,
            "sasl.password": settings.sasl_password.get_secret_value(),
        }
    tls = {
        "ssl.ca.location": settings.ssl_ca,
        "ssl.certificate.location": settings.ssl_certificate,
        "ssl.key.location": settings.ssl_key,
    }
    config |= {name: str(path) for name, path in tls.items() if path is not None}
    if settings.ssl_key_password is not None:
        config["ssl.key.password"] = settings.ssl_key_password.get_secret_value()
    return config


def producer(settings: Endpoint, **extra: Any) -> Producer:
    """An idempotent producer (acks from all, lz4). `extra` is librdkafka's and wins."""
    return Producer(
        {
            **client_config(settings),
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            **extra,
        }
    )


def consumer(settings: Settings, **extra: Any) -> Consumer:
    """A consumer that commits nothing by itself. `extra` is librdkafka's and wins."""
    return Consumer(
        {
            **client_config(settings),
            "group.id": f"{settings.prefix}.reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            **extra,
        }
    )


def admin(settings: Settings) -> AdminClient:
    """For topics and their configuration."""
    return AdminClient(client_config(settings))


def ensure_broker(settings: Settings, stopped: Callable[[], bool] = lambda: False) -> ClusterMetadata:
    """What the broker says of its topics, as soon as it answers.

    Raises BrokerUnavailableError, one line, within `connect_timeout`, and StoppedError soon after `stopped()`.
    """
    failures: list[KafkaError] = []
    config: dict[str, Any] = {**client_config(settings), "error_cb": failures.append}
    try:
        client = AdminClient(config)
    except KafkaException as error:  # a TLS file that is none, for one
        raise UsageError(f"the connection's settings are wrong: {reason(error)}") from None
    try:
        return _answer(client, settings.connect_timeout, stopped)
    except KafkaException as error:
        client.poll(0)
        raise BrokerUnavailableError(_why(settings, [*failures, error.args[0]])) from None


def _answer(client: AdminClient, seconds: float, stopped: Callable[[], bool]) -> ClusterMetadata:
    """The metadata, asked for in a thread of its own: a signal reaches no thread that waits in librdkafka."""
    future: Future[ClusterMetadata] = Future()

    def ask() -> None:
        try:
            future.set_result(client.list_topics(timeout=seconds))
        except Exception as error:  # noqa: BLE001  (whoever waits gets it)
            future.set_exception(error)

    Thread(target=ask, daemon=True).start()
    while True:
        try:
            return future.result(timeout=_LOOK_S)
        except TimeoutError:
            if stopped():
                raise StoppedError("stopped while it waited for the broker") from None


def reason(error: KafkaException) -> str:
    """What a client's exception says, for a person."""
    first = error.args[0] if error.args else error
    return str(first.str() if isinstance(first, KafkaError) else first)


def _why(settings: Settings, failures: list[KafkaError]) -> str:
    for failure in failures:
        if failure.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
            return f"the broker at {settings.broker} refused the connection: {failure.str()[:300]}"
    return (
        f"no Kafka broker answers at {settings.broker} within {settings.connect_timeout:g} s; "
        "start it, or say where it is with --broker or STREAM_MONITOR_BROKER"
    )


def _check_addresses(broker: str) -> None:
    for address in broker.split(","):
        host, colon, port = address.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536) or "/" in host or " " in host:
            raise UsageError(f"broker address {address.strip()!r}: it is host:port, several separated by commas")


def _check_pairs(settings: Endpoint) -> None:
    if settings.security_protocol.startswith("SASL") and not (settings.sasl_username and settings.sasl_password):
        raise UsageError(
            f"security protocol {settings.security_protocol} needs a user: "
            "set STREAM_MONITOR_SASL_USERNAME and STREAM_MONITOR_SASL_PASSWORD"
        )
    if (settings.ssl_certificate is None) != (settings.ssl_key is None):
        raise UsageError(
            "a client certificate needs its key: "
            "set both STREAM_MONITOR_SSL_CERTIFICATE and STREAM_MONITOR_SSL_KEY, or neither"
        )
    for path in (settings.ssl_ca, settings.ssl_certificate, settings.ssl_key):
        if path is not None and not path.is_file():
            raise UsageError(f"the TLS file {path} is not there")


def faust_options(settings: Settings) -> dict[str, Any]:
    """The same connection as keyword arguments of a Faust application."""
    _check_pairs(settings)
    options: dict[str, Any] = {
        "broker": [f"kafka://{address.strip()}" for address in settings.broker.split(",")],
        "broker_client_id": "stream-monitor",
        "broker_request_timeout": max(settings.request_timeout, settings.session_timeout + 5),
    }
    credentials = _faust_credentials(settings)
    if credentials is not None:
        options["broker_credentials"] = credentials
    return options


def _faust_credentials(settings: Settings) -> Any:
    import faust

    protocol = settings.security_protocol
    context = _ssl_context(settings) if protocol in ("SSL", "SASL_SSL") else None
    if protocol == "SSL":
        return faust.SSLCredentials(context=context)
    if protocol.startswith("SASL"):
        assert settings.sasl_password is not None
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            ssl_context=context,
            mechanism=settings.sasl_mechanism,
        )
    return None


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(settings.ssl_ca) if settings.ssl_ca else None)
    if settings.ssl_certificate is not None:
        password = settings.ssl_key_password
        context.load_cert_chain(
            str(settings.ssl_certificate),
            str(settings.ssl_key),
            password.get_secret_value() if password else None,
        )
    return context
