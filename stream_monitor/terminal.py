"""The terminal's side of a command: signals, and one line on stderr for whatever a user can cause."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stream_monitor.errors import MonitorError
from stream_monitor.near import nearest

NAME = "stream-monitor"
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LACKS = "the installation lacks a package: pip install --force-reinstall stream-monitor"


def log_to_stderr() -> None:
    """What a command that runs on says: its log lines, from INFO on."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)


def on_signals() -> Callable[[], bool]:
    """From now on SIGINT, SIGTERM and SIGHUP do nothing but make the returned function say True.

    One that is ignored stays so (nohup).
    """
    seen: list[int] = []
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, lambda number, _: seen.append(number))
    return lambda: bool(seen)


def prepare_output() -> None:
    """Printing never fails for the terminal's encoding, nor where there is no stdout at all."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (until the end)
    elif hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")


def guarded(command: Callable[[], Any]) -> int:
    """Run a command; returns its exit code. What it raises that a user can cause is one line, and a code."""
    try:
        code = command()
    except MonitorError as error:
        return _fail(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.UsageError as error:
        return _fail(_wrong_use(error), 2)
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except SystemExit as ending:
        if isinstance(ending.__context__, BrokenPipeError):  # click's exit where the reader has gone
            return 0
        raise
    except ModuleNotFoundError as error:
        return _fail(f"{error.msg}; {LACKS}", 1)
    except OSError as error:
        what = error.strerror or str(error)
        return _fail(f"{error.filename}: {what}" if error.filename else what, 1)
    except Exception as error:
        reason = _kafka_reason(error)
        if reason is None:
            raise
        return _fail(f"the broker failed: {reason}", 1)
    return code if isinstance(code, int) else 0


def _wrong_use(error: click.UsageError) -> str:
    """What click says, and which `--help` has the right use."""
    said = error.format_message()
    if error.ctx is None:
        return said
    if said.startswith("No such command") and isinstance(error.ctx.command, click.Group):
        near = nearest(said.split("'")[1], error.ctx.command.commands)
        said = f"{said.rstrip('.')}. Did you mean {near}?" if near else said
    between = " See:" if said.endswith("?") else "; see:"
    return f"{said.rstrip('.')}{between} {error.ctx.command_path} --help"


def _kafka_reason(error: Exception) -> str | None:
    """What a Kafka client said; None where it was none."""
    from confluent_kafka import KafkaException

    from stream_monitor.clients import reason

    return reason(error) if isinstance(error, KafkaException) else None


def _fail(message: str, code: int) -> int:
    say(message)
    return code


def say(message: str) -> None:
    """One line on stderr."""
    with contextlib.suppress(OSError):  # the terminal has gone
        click.echo(f"{NAME}: " + " ".join(message.split()), err=True)
