"""The command line: flags in, one room called, an exit code out.

Exit codes: 0, it worked; 1, it ran and found a problem; 2, wrong use. An error that a user can
cause is one line on stderr, never a traceback. A command only reads its flags here; what it does
stands in the room it calls, imported when it is called, so that `--help` stays quick.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from stream_monitor import __version__
from stream_monitor.errors import MonitorError

_Command = TypeVar("_Command", bound=Callable[..., Any])


def connection_options(command: _Command) -> _Command:
    """`--broker` and `--prefix`, which every command takes."""
    command = click.option("--prefix", help="First part of the topics' names.  [pipeline]")(command)
    return click.option("--broker", help="Bootstrap servers, host:port[,…].  [127.0.0.1:9092]")(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="stream-monitor")
def cli() -> None:
    """A Kafka-native monitor for data pipelines."""


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line. Returns the exit code; prints one line for what a user can cause."""
    try:
        code = cli.main(arguments, prog_name="stream-monitor", standalone_mode=False)
    except MonitorError as error:
        return _fail(str(error), error.exit_code)
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    click.echo("stream-monitor: " + " ".join(message.split()), err=True)
    return code
