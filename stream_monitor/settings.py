"""Every setting of stream-monitor, in one place.

A setting is a field below; its environment variable is `STREAM_MONITOR_` and the field's name in capitals, its key
in the TOML file is the field's name. A command's flag (`--broker`, `--prefix`) wins over the environment, the
environment over the file, the file over the default; `sources.py` reads them. `Settings(…)` itself reads nothing.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)

from stream_monitor import sources
from stream_monitor.errors import UsageError
from stream_monitor.kinds import KINDS

_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _split(value: Any) -> Any:
    """`a, b` → `("a", "b")`; whatever is no text stays as it is."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value):
        raise ValueError(
            f"letters, digits, . _ -, no spaces; at most 100, a letter or digit first; not {value[:120]!r}"
        )
    return value


def _folder(value: Any) -> Any:
    """An empty text would be the current folder."""
    if value == "":
        raise ValueError("it is empty; give a folder")
    return value


def _kinds(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in KINDS:
            raise ValueError(f"there is no kind {name[:120]!r}; there are: {', '.join(KINDS)}")
    return names


def _components(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        kind, _, entity = name.partition(":")
        if kind not in KINDS or not entity:
            raise ValueError(
                f"{name[:120]!r} is not kind:entity, such as "
                "airflow:dag/task, kafka:group/topic or ml:service/version"
            )
    return names


class Settings(BaseModel):
    """The settings, validated. Times are in seconds unless the name says `_ms`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    _file: Path | None = PrivateAttr(default=None)

    # --- Kafka -----------------------------------------------------------------------------------
    broker: Annotated[str, Field(min_length=1, description="Bootstrap servers, host:port[,host:port…]")] = (
        "127.0.0.1:9092"
    )
    prefix: Annotated[str, AfterValidator(_prefix), Field(description="First part of every topic's name")] = (
        "pipeline"
    )
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Field(description="How to speak to the broker"),
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"], Field(description="With SASL_*")
    ] = "SCRAM-SHA-512"
    sasl_username: Annotated[str | None, Field(description="With PLAIN and SCRAM")] = None
    sasl_password: Annotated[SecretStr | None, Field(description="With PLAIN and SCRAM")] = None
    sasl_password_file: Annotated[Path | None, Field(description="A file that holds `sasl_password`")] = None
    sasl_oauth_token_url: Annotated[
        str | None, Field(description="With OAUTHBEARER: where tokens are had, by the client-credentials grant")
    ] = None
    sasl_oauth_client_id: Annotated[str | None, Field(description="With OAUTHBEARER")] = None
    sasl_oauth_client_secret: Annotated[SecretStr | None, Field(description="With OAUTHBEARER")] = None
    sasl_oauth_client_secret_file: Annotated[
        Path | None, Field(description="A file that holds `sasl_oauth_client_secret`")
    ] = None
    sasl_oauth_scope: Annotated[str | None, Field(description="With OAUTHBEARER, where it is asked for")] = None
    sasl_oauth_extensions: Annotated[
        str | None, Field(description="With OAUTHBEARER: SASL extensions, `name=value,…`")
    ] = None
    sasl_oauth_ca: Annotated[
        Path | None, Field(description="CA certificates for the token URL, PEM; the system's if unset")
    ] = None
    ssl_ca: Annotated[Path | None, Field(description="CA certificates, PEM; the system's if unset")] = None
    ssl_certificate: Annotated[Path | None, Field(description="Client certificate, PEM")] = None
    ssl_key: Annotated[Path | None, Field(description="Client key, PEM")] = None
    ssl_key_password: Annotated[SecretStr | None, Field(description="Of the client key")] = None
    ssl_key_password_file: Annotated[Path | None, Field(description="A file that holds `ssl_key_password`")] = None
    request_timeout: Annotated[
        float, Field(ge=1, le=300, description="How long one request to the broker may take")
    ] = 30.0
    connect_timeout: Annotated[
        float,
        Field(gt=0, le=600, description="How long a command waits for a broker to answer at all"),
    ] = 10.0

    source_partitions: Annotated[
        int | None,
        Field(
            ge=1,
            le=10_000,
            description="Of each logs topic, with `topics`; may grow. As in topics/*.yaml if unset",
        ),
    ] = None
    result_partitions: Annotated[
        int | None,
        Field(
            ge=1,
            le=10_000,
            description="Of partials and metrics, with `topics`; fixed for a prefix. As in topics/*.yaml if unset",
        ),
    ] = None

    # --- The worker ------------------------------------------------------------------------------
    kinds: Annotated[
        tuple[str, ...],
        BeforeValidator(_split),
        AfterValidator(_kinds),
        Field(min_length=1, description="The log kinds that the worker reads, separated by commas"),
    ] = tuple(KINDS)
    group_instance_id: Annotated[
        str | None, Field(description="Static membership: a restart keeps its partitions")
    ] = None
    datadir: Annotated[
        Path,
        BeforeValidator(_folder),
        Field(description="Where the worker keeps its tables; one folder a worker"),
    ] = Path("data")
    session_timeout: Annotated[
        float, Field(ge=6, le=300, description="A silent worker loses its partitions after this")
    ] = 15.0
    grace: Annotated[
        float,
        Field(ge=0, le=3600, description="A window closes this long after its end, in event time"),
    ] = 10.0
    lateness: Annotated[
        float,
        Field(ge=60, le=86400, description="A window takes late records this long after its end"),
    ] = 3600.0
    future_tolerance: Annotated[
        float,
        Field(ge=0, le=3600, description="A log this far ahead of its record's Kafka timestamp is rejected"),
    ] = 300.0
    max_series: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="Series that a source partition may have at a time; the others are counted as `__other__`",
        ),
    ] = 5000
    flush_interval: Annotated[
        float, Field(gt=0, le=60, description="How often provisional results are published")
    ] = 1.0
    checkpoint_interval: Annotated[
        float, Field(gt=0, le=300, description="How often state is saved and offsets are committed")
    ] = 5.0
    idle_after: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="A partition read to its end and silent for this long is idle",
        ),
    ] = 5.0
    alert_rules: Annotated[Path | None, Field(description="The alert rules' file; those that ship if unset")] = (
        None
    )
    verbose: Annotated[
        bool, Field(description="The worker's log tells what Faust and the Kafka client say, too")
    ] = False
    failpoint: Annotated[
        str | None, Field(description="For tests of crashes: where to die, `name` or `name:times`")
    ] = None
    http_host: Annotated[str, Field(description="Where health and Prometheus metrics are served")] = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535, description="0: do not serve")] = 6066

    # --- Notifications ---------------------------------------------------------------------------
    notify_urls: Annotated[
        SecretStr | None,
        Field(description="Apprise URLs, separated by spaces: whom `notify` tells. They hold secrets"),
    ] = None
    notify_urls_file: Annotated[Path | None, Field(description="A file that holds `notify_urls`")] = None
    alertmanager_url: Annotated[
        str | None, Field(description="An Alertmanager that `notify` tells, `http://host:9093`")
    ] = None
    notify_severity: Annotated[
        Literal["info", "warning", "critical"], Field(description="The least that is told")
    ] = "info"
    notify_group_wait: Annotated[
        float, Field(ge=0, le=600, description="How long the first alert of a group waits for the others")
    ] = 5.0
    notify_per_hour: Annotated[
        int, Field(ge=1, le=100_000, description="Messages an hour and Apprise URL; over it they grow together")
    ] = 60

    # --- Shipping (stream_monitor.shipping reads these by itself, in other people's processes) ------
    log_dir: Annotated[
        Path,
        BeforeValidator(_folder),
        Field(description="Root of the log files that the configurations in `logging/` write"),
    ] = Path("logs")

    # --- The web view ----------------------------------------------------------------------------
    web_host: Annotated[str, Field(min_length=1, description="Where `web` listens")] = "127.0.0.1"
    web_port: Annotated[int, Field(ge=1, le=65535, description="Of `web`")] = 8080
    web_token: Annotated[
        SecretStr | None,
        Field(min_length=16, description="Who knows it may use `web`; needed beyond this machine"),
    ] = None
    web_token_file: Annotated[Path | None, Field(description="A file that holds `web_token`")] = None
    web_insecure: Annotated[
        bool, Field(description="`web` listens beyond this machine, and everybody who reaches it may use it")
    ] = False
    web_allow_host: Annotated[
        tuple[str, ...],
        BeforeValidator(_split),
        Field(description="Names by which `web` is reached, besides addresses, localhost and this machine's name"),
    ] = ()
    web_https: Annotated[
        bool,
        Field(description="A proxy with TLS is before `web`: its cookie is `Secure`, and goes by https alone"),
    ] = False
    web_clients: Annotated[
        int, Field(ge=1, le=10_000, description="Browsers that may listen to `web` at a time")
    ] = 200

    # --- Views -----------------------------------------------------------------------------------
    known_components: Annotated[
        tuple[str, ...],
        BeforeValidator(_split),
        AfterValidator(_components),
        Field(description="Entities that should be active (`airflow:dag/task`…), separated by commas"),
    ] = ()

    @classmethod
    def load(cls, *, config: str | os.PathLike[str] | None = None, **flags: Any) -> Settings:
        """Flags that are not None over the environment over the file. Raises UsageError with one clear line.

        `config` names the file; see `sources.gather` for where it is looked for otherwise.
        """
        given = sources.gather(cls.model_fields, _PATHS, flags, config)
        try:
            settings = cls(**given.values)
        except ValidationError as error:
            raise UsageError(_first_line(error, given.places)) from None
        settings._file = given.file
        return settings

    def environment(self) -> dict[str, str]:
        """What was set, as environment variables for a process of ours. Secrets are in it."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return {sources.variable(name): _text(value) for name, value in given.items() if value is not None}

    @property
    def file(self) -> Path | None:
        """The settings file that was read."""
        return self._file

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in sorted(SECRETS):
            path = values.get(f"{name}_file")
            if path and values.get(name) is None:
                values = {**values, name: sources.read_secret(Path(path), f"{name}_file")}
        return values

    @model_validator(mode="after")
    def _grace_before_lateness(self) -> Settings:
        if self.grace >= self.lateness:
            raise ValueError(f"grace ({self.grace:g} s) must be shorter than lateness ({self.lateness:g} s)")
        return self

    def topic(self, name: str) -> str:
        """`logs.ml` → `<prefix>.logs.ml`."""
        return f"{self.prefix}.{name}"

    @property
    def group_id(self) -> str:
        """The consumer group of the workers: one for a prefix, because the state is the prefix's."""
        return f"{self.prefix}.monitor"


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _first_line(error: ValidationError, places: dict[str, str]) -> str:
    """What is wrong with which setting, and where it was given. No secret, and no other setting, is in it."""
    first = error.errors(include_url=False)[0]
    ours = first["type"] == "value_error"  # says itself what it did not like
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name = str(first["loc"][0])
    hidden = ours or name in SECRETS or name not in Settings.model_fields
    shown = "" if hidden else f", not {str(first['input'])[:120]!r}"
    return f"setting {name} ({places.get(name, 'not given')}): {message}{shown}"


def _named(kind: type) -> frozenset[str]:
    """The settings whose values are of a type, if they are given."""
    fields = Settings.model_fields.items()
    return frozenset(name for name, field in fields if kind in (field.annotation, *get_args(field.annotation)))


_PATHS = _named(Path)
SECRETS = _named(SecretStr)
"""The settings that nothing may show."""
