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
_OF_BROKER = "/bootstrap: "
"""Stands in what librdkafka says of one broker, behind the address."""
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
    def sasl_oauth_token_url(self) -> str | None: ...
    @property
    def sasl_oauth_client_id(self) -> str | None: ...
    @property
    def sasl_oauth_client_secret(self) -> Hidden | None: ...
    @property
    def sasl_oauth_scope(self) -> str | None: ...
    @property
    def sasl_oauth_extensions(self) -> str | None: ...
    @property
    def sasl_oauth_ca(self) -> Path | None: ...
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
        config |= _sasl(settings)
    if settings.security_protocol.endswith("SSL"):
        config |= _tls(settings)
    return config


def _sasl(settings: Endpoint) -> dict[str, Any]:
    """Who we are. With OAUTHBEARER librdkafka fetches the tokens by itself."""
    if settings.sasl_mechanism != "OAUTHBEARER":
        return {
            "sasl.mechanism": settings.sasl_mechanism,
            "sasl.username": settings.sasl_username,
            "sasl.password": _shown(settings.sasl_password),
        }
    config = {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": settings.sasl_oauth_token_url,
        "sasl.oauthbearer.client.id": settings.sasl_oauth_client_id,
        "sasl.oauthbearer.client.secret": _shown(settings.sasl_oauth_client_secret),
        "sasl.oauthbearer.scope": settings.sasl_oauth_scope,
        "sasl.oauthbearer.extensions": settings.sasl_oauth_extensions,
        "https.ca.location": _https_ca(settings),
    }
    return {name: value for name, value in config.items() if value is not None}


def _https_ca(settings: Endpoint) -> str | None:
    """The system's certificates, where no others are asked for: librdkafka's own guess is one distribution's."""
    system = ssl.get_default_verify_paths()
    found = settings.sasl_oauth_ca or system.cafile or system.capath
    return None if found is None else str(found)


def _tls(settings: Endpoint) -> dict[str, Any]:
    files = {
        "ssl.ca.location": settings.ssl_ca,
        "ssl.certificate.location": settings.ssl_certificate,
        "ssl.key.location": settings.ssl_key,
    }
    config: dict[str, Any] = {name: str(path) for name, path in files.items() if path is not None}
    if settings.ssl_key_password is not None:
        config["ssl.key.password"] = settings.ssl_key_password.get_secret_value()
    return config


def _shown(secret: Hidden | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


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


def code(error: KafkaException) -> int | None:
    """The code of a client's exception; None where it has none."""
    first = error.args[0] if error.args else None
    return first.code() if isinstance(first, KafkaError) else None


def reason(error: KafkaException) -> str:
    """What a client's exception says, for a person."""
    first = error.args[0] if error.args else error
    return str(first.str() if isinstance(first, KafkaError) else first)


def _why(settings: Settings, failures: list[KafkaError]) -> str:
    for failure in failures:
        if failure.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
            return f"the broker at {settings.broker} refused the connection: {_cause(failure.str())}"
    if KafkaError._ALL_BROKERS_DOWN in [failure.code() for failure in failures]:
        told = [failure.str() for failure in failures if _OF_BROKER in failure.str()]
        cause = (
            _cause(told[0]) if told else f"it hangs up; is security_protocol {settings.security_protocol} right?"
        )
    else:
        cause = "no answer"
    return (
        f"no Kafka broker answers at {settings.broker} within {settings.connect_timeout:g} s ({cause}); "
        "start it, or say where it is with --broker or STREAM_MONITOR_BROKER"
    )


def _cause(text: str) -> str:
    """`sasl_ssl://host:1/bootstrap: Connect to … failed: … (after 0ms in state CONNECT)` → what is between."""
    return text.partition(_OF_BROKER)[2].partition(" (after ")[0][:300] or text[:300]


def _check_addresses(broker: str) -> None:
    for address in broker.split(","):
        host, colon, port = address.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536) or "/" in host or " " in host:
            raise UsageError(f"broker address {address.strip()!r}: it is host:port, several separated by commas")


def _check_pairs(settings: Endpoint) -> None:
    if settings.security_protocol.startswith("SASL"):
        _check_user(settings)
    if (settings.ssl_certificate is None) != (settings.ssl_key is None):
        raise UsageError(
            "a client certificate needs its key: "
            "set both STREAM_MONITOR_SSL_CERTIFICATE and STREAM_MONITOR_SSL_KEY, or neither"
        )
    for path in (settings.ssl_ca, settings.ssl_certificate, settings.ssl_key, settings.sasl_oauth_ca):
        if path is not None and not path.is_file():
            raise UsageError(f"the TLS file {path} is not there")


def _check_user(settings: Endpoint) -> None:
    if settings.sasl_mechanism != "OAUTHBEARER":
        if not (settings.sasl_username and settings.sasl_password):
            raise UsageError(
                f"security protocol {settings.security_protocol} needs a user: "
                "set STREAM_MONITOR_SASL_USERNAME and STREAM_MONITOR_SASL_PASSWORD (or …_PASSWORD_FILE)"
            )
        return
    if not (settings.sasl_oauth_token_url and settings.sasl_oauth_client_id and settings.sasl_oauth_client_secret):
        raise UsageError(
            "SASL mechanism OAUTHBEARER needs a client: set STREAM_MONITOR_SASL_OAUTH_TOKEN_URL, "
            "…_OAUTH_CLIENT_ID and …_OAUTH_CLIENT_SECRET (or …_CLIENT_SECRET_FILE)"
        )
    if not settings.sasl_oauth_token_url.startswith(("https://", "http://")):
        raise UsageError(
            "setting sasl_oauth_token_url (STREAM_MONITOR_SASL_OAUTH_TOKEN_URL): an address with https://"
        )


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
    context = _ssl_context(settings) if protocol.endswith("SSL") else None
    if protocol == "SSL":
        return faust.SSLCredentials(context=context)
    if not protocol.startswith("SASL"):
        return None
    if settings.sasl_mechanism == "OAUTHBEARER":
        return faust.OAuthCredentials(oauth_cb=_token_provider(settings), ssl_context=context)
    return faust.SASLCredentials(
        username=settings.sasl_username,
        password=_shown(settings.sasl_password),
        ssl_context=context,
        mechanism=settings.sasl_mechanism,
    )


def _token_provider(settings: Settings) -> Any:
    """aiokafka, which Faust uses, fetches no tokens: it asks for one whenever it connects."""
    from aiokafka.abc import AbstractTokenProvider

    from stream_monitor.oauth import TokenProvider

    AbstractTokenProvider.register(TokenProvider)
    assert settings.sasl_oauth_token_url is not None
    assert settings.sasl_oauth_client_id is not None
    return TokenProvider(
        settings.sasl_oauth_token_url,
        settings.sasl_oauth_client_id,
        _shown(settings.sasl_oauth_client_secret) or "",
        scope=settings.sasl_oauth_scope,
        extensions=settings.sasl_oauth_extensions,
        ca=settings.sasl_oauth_ca,
        timeout_s=settings.request_timeout,
    )


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    """What librdkafka has of the same settings, for aiokafka. Raises UsageError for a TLS file that is none."""
    try:
        context = ssl.create_default_context(cafile=str(settings.ssl_ca) if settings.ssl_ca else None)
        if settings.ssl_certificate is not None:
            password = _shown(settings.ssl_key_password) or ""  # without one OpenSSL asks the terminal
            context.load_cert_chain(str(settings.ssl_certificate), str(settings.ssl_key), password)
    except (ssl.SSLError, OSError) as error:
        raise UsageError(f"the connection's settings are wrong: a TLS file cannot be used: {error}") from None
    return context
