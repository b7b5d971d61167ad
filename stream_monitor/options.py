"""The command line's own types of options, and the options that several commands take."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Finite(click.FloatRange):
    """A number in a range; `nan` and `inf` are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or click's error."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class ReplicationFactor(click.IntRange):
    """-1, or 1 to 32767."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or click's error."""
        number = int(super().convert(value, param, ctx))
        if number == 0:
            self.fail("it is -1 (the broker's default) or 1 to 32767", param, ctx)
        return number


ROLES = ("operator", "worker", "viewer", "notifier", "shipper", "reporter")
RATE = Finite(min=0, min_open=True, max=5_000)
RATE_HELP = "Records a second at noon (UTC); a third of it at night."
POSITIVE = Finite(min=0, min_open=True)


def config_option(command: _Command) -> _Command:
    """`--config`, which every command takes that reads a setting."""
    text = "The settings file.  [stream-monitor.toml here, else in the user's configuration folder]"
    return click.option("--config", metavar="FILE", help=text)(command)


def connection_options(command: _Command) -> _Command:
    """`--broker`, `--prefix` and `--config`, which every command takes that reads Kafka."""
    command = config_option(command)
    command = click.option("--prefix", help="First part of the topics' names.  [pipeline]")(command)
    return click.option("--broker", help="Bootstrap servers, host:port[,…].  [127.0.0.1:9092]")(command)


def partition_options(command: _Command) -> _Command:
    """How many partitions the topics are to have."""
    results = click.option(
        "--result-partitions", type=int, help="Of partials and metrics; fixed for a prefix.  [as declared]"
    )
    return click.option("--source-partitions", type=int, help="Of each logs topic.  [as declared]")(
        results(command)
    )
