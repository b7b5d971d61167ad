"""The command line: flags in, one room called, an exit code out.

Exit codes: 0, it worked; 1, it ran and found a problem; 2, wrong use. An error that a user can
cause is one line on stderr, never a traceback. A command only reads its flags here; what it does
stands in the room it calls, imported when it is called, so that `--help` stays quick.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from stream_monitor import __version__, manual, sources, terminal
from stream_monitor.kinds import KINDS
from stream_monitor.options import (
    POSITIVE,
    RATE,
    RATE_HELP,
    ROLES,
    Finite,
    ReplicationFactor,
    config_option,
    connection_options,
    partition_options,
)
from stream_monitor.plural import counted
from stream_monitor.settings import Settings
from stream_monitor.terminal import NAME, on_signals


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nBegin with:\n  stream-monitor demo      which needs no Kafka\n  stream-monitor doctor    on yours",
)
@click.version_option(__version__, prog_name=NAME)
def cli() -> None:
    """A Kafka-native monitor for data pipelines."""


def _settings(**flags: Any) -> Settings:
    """The settings of a command, told of variables that look like settings and are none."""
    settings = Settings.load(**flags)
    for line in sources.strangers(Settings.model_fields):
        terminal.say(f"warning: {line}")
    return settings


@cli.command()
@connection_options
@click.option("--kinds", help=f"Log kinds to read, separated by commas.  [{','.join(KINDS)}]")
@click.option("--datadir", metavar="PATH", help="Its tables; one folder a worker.  [data]")
@click.option("--grace", type=float, help="Seconds from a window's end until it closes.  [10]")
@click.option("--lateness", type=float, help="Seconds from a window's end until it retires.  [3600]")
@click.option("--flush-interval", type=float, help="Seconds between provisional results.  [1]")
@click.option("--checkpoint-interval", type=float, help="Seconds between checkpoints.  [5]")
@click.option("--idle-after", type=float, help="Seconds until a silent partition is idle.  [5]")
@click.option("--http-host", help="Where /healthz, /readyz and /metrics are.  [127.0.0.1]")
@click.option("--http-port", type=int, help="0: nowhere.  [6066]")
@click.option("--verbose", is_flag=True, default=None, help="Log what Faust and the Kafka client say, too.")
def worker(**flags: Any) -> int:
    """Run the Faust worker: logs in, metrics out. Several share the partitions."""
    from stream_monitor.worker import service

    return service.run(_settings(**flags))


@cli.group()
def topics() -> None:
    """The declared topics against the broker."""


@topics.command("plan")
@connection_options
@partition_options
def topics_plan(**flags: Any) -> int:
    """Print what apply would change. Exit code 1 if there is anything."""
    from stream_monitor import clients
    from stream_monitor import topics as room

    settings = _settings(**flags)
    clients.ensure_broker(settings)
    changes = room.plan(settings)
    click.echo("\n".join(map(str, changes)) or "all topics are as declared")
    return 1 if changes else 0


@topics.command("apply")
@connection_options
@partition_options
@click.option(
    "--replication-factor",
    type=ReplicationFactor(-1, 32767),
    default=-1,
    help="Of new topics; -1: the broker's default.",
)
def topics_apply(replication_factor: int, **flags: Any) -> int:
    """Make the topics what topics/*.yaml says."""
    from stream_monitor import clients
    from stream_monitor import topics as room

    settings = _settings(**flags)
    clients.ensure_broker(settings)
    changes = room.apply(settings, replication_factor=replication_factor)
    click.echo("\n".join(map(str, changes)) or "all topics are as declared")
    return 0


@cli.command()
@connection_options
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--speed", type=POSITIVE, help="Times as fast as recorded.  [at once]")
@click.option("--shift-to-now", is_flag=True, help="Move it in time, by whole minutes, so that it ends now.")
@click.option("--keyless", is_flag=True, help="Leave out keys and partitions.")
def replay(files: tuple[Path, ...], speed: float | None, shift_to_now: bool, keyless: bool, **flags: Any) -> int:
    """Send recorded topics (fixtures/*.jsonl) to Kafka."""
    from stream_monitor import clients
    from stream_monitor import replay as room

    room.check_files(files)
    settings = _settings(**flags)
    clients.ensure_broker(settings)
    stopped = on_signals()
    sent = room.replay(
        settings, files, speed=speed, shift_to_now=shift_to_now, keyless=keyless, progress=True, stopped=stopped
    )
    click.echo(f"{counted(sent, 'record')} sent")
    return 130 if stopped() else 0


@cli.command()
@connection_options
@click.option("--rate", type=RATE, default=50.0, show_default=True, help=RATE_HELP)
@click.option("--seed", type=int, default=1, show_default=True, help="Another one, another pipeline's luck.")
@click.option("--incident", help="airflow-failures, consumer-lag or model-drift: begins now, for ten minutes.")
@click.option("--seconds", type=POSITIVE, help="How long.  [until Ctrl-C]")
def simulate(rate: float, seed: int, incident: str | None, seconds: float | None, **flags: Any) -> int:
    """Send the logs of a plausible pipeline, as time goes by."""
    from stream_monitor import clients
    from stream_monitor import simulate as room

    room.check_incident(incident)
    settings = _settings(**flags)
    clients.ensure_broker(settings)
    sent = room.simulate(settings, rate=rate, seed=seed, incident=incident, seconds=seconds, stopped=on_signals())
    click.echo(f"{counted(sent, 'record')} sent")
    return 0


@cli.command()
@connection_options
@click.option(
    "--component", type=click.Choice(["all", *KINDS]), default="all", show_default=True, help="Of one kind."
)
@click.option("--hours", type=click.IntRange(1, 720), default=24, show_default=True, help="Up to now.")
@click.option("--output", type=click.Choice(["text", "json", "csv", "html"]), default="text", show_default=True)
@click.option("--server", is_flag=True, help="Again and again, until Ctrl-C.")
@click.option("--interval", type=Finite(min=1), help="Seconds; with --server.  [60]")
@click.option("--known-components", help="airflow:dag/task,kafka:group/topic,…  [those seen in the range]")
def report(component: str, hours: int, output: Any, server: bool, interval: float | None, **flags: Any) -> int:
    """What the metrics topics say of the last hours."""
    from stream_monitor import report as room

    if interval is not None and not server:
        raise click.UsageError("--interval goes with --server")
    if server and output == "html":
        raise click.UsageError("--output html is one file; it does not go with --server")
    settings = _settings(**flags)
    if server:
        return room.serve(
            settings, on_signals(), component=component, hours=hours, output=output, interval_s=interval or 60.0
        )
    return room.run(settings, component=component, hours=hours, output=output)


@cli.command()
@connection_options
@click.option("--known-components", help="airflow:dag/task,kafka:group/topic,…  [those seen in the range]")
@click.option("--serve", is_flag=True, help="In a browser, by textual-serve.")
@click.option("--host", help="With --serve: where.  [127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="With --serve.  [8000]")
def tui(serve: bool, host: str | None, port: int | None, **flags: Any) -> int:
    """The dashboard for a terminal. It reads; it writes nothing to Kafka."""
    from stream_monitor import tui as room

    if (host is not None or port is not None) and not serve:
        raise click.UsageError("--host and --port go with --serve")
    settings = _settings(**flags)
    if serve:
        return room.serve(settings, host or "127.0.0.1", port or 8000)
    return room.run(settings, on_signals())


@cli.command()
@connection_options
@click.option("--known-components", help="airflow:dag/task,kafka:group/topic,…  [those seen in the range]")
@click.option("--host", "web_host", help="Where it listens.  [127.0.0.1]")
@click.option("--port", "web_port", type=click.IntRange(1, 65535), help="On which port.  [8080]")
@click.option("--allow-host", "web_allow_host", help="Names by which it is reached, separated by commas.")
@click.option(
    "--https", "web_https", is_flag=True, default=None, help="A proxy with TLS is before it: the cookie is Secure."
)
@click.option(
    "--insecure", "web_insecure", is_flag=True, default=None, help="Beyond this machine without a token."
)
def web(**flags: Any) -> int:
    """The dashboard for browsers, and its API. It reads; it writes nothing to Kafka."""
    from stream_monitor import web as room

    return room.run(_settings(**flags), on_signals())


@cli.command()
@connection_options
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="The newest ones."
)
def dlq(follow: bool, limit: int, **flags: Any) -> int:
    """What was rejected, and why. One JSON object a line, with the place where it was read."""
    from stream_monitor import dlq as room

    return room.run(_settings(**flags), follow=follow, limit=limit, stopped=on_signals())


@cli.group()
def alerts() -> None:
    """The alert rules: validate them, send a test notification."""


@alerts.command("check")
@config_option
@click.argument("file", required=False, type=click.Path(path_type=Path))
def alerts_check(file: Path | None, config: str | None) -> int:
    """Validate a file of rules: file, line, what and why. Without FILE that of the settings, or what ships."""
    from stream_monitor import rules

    path = file or _settings(config=config).alert_rules or rules.default_path()
    found = rules.check(path)
    if isinstance(found, list):
        for problem in found:
            click.echo(str(problem))
        return 1
    click.echo(
        f"{path}: {counted(len(found.rules), 'rule')} and {counted(len(found.silences), 'silence')}: all is right"
    )
    return 0


@alerts.command("test")
@config_option
def alerts_test(config: str | None) -> int:
    """Send one message to everyone that the settings name. Exit code 1 where one does not take it."""
    from stream_monitor.notify import service

    return service.test(_settings(config=config), click.echo)


@cli.command()
@connection_options
def notify(**flags: Any) -> int:
    """Tell people and Alertmanager of alerts, until Ctrl-C."""
    from stream_monitor.notify import service

    return service.run(_settings(**flags), on_signals())


@cli.command()
@connection_options
@click.argument("groups", metavar="[GROUP]…", nargs=-1)
@click.option("--interval", type=Finite(min=1, max=3600), default=10.0, show_default=True, help="Seconds.")
def lag(groups: tuple[str, ...], interval: float, **flags: Any) -> int:
    """Report the lag of consumer groups, as the broker knows it, until Ctrl-C: also of those that have died.

    GROUP is a name or a pattern such as 'orders-*'; all groups, if absent.
    """
    from stream_monitor import lag as room

    return room.run(_settings(**flags), groups or ("*",), interval, on_signals())


@cli.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def init(folder: Path) -> int:
    """Write what a project starts with. Templates, logging configurations, alert rules and settings; overwrites
    nothing.
    """
    from stream_monitor import starter

    return starter.write(folder, click.echo)


@cli.command()
@connection_options
@click.option("--datadir", metavar="PATH", help="The worker's folder.  [data]")
@click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), help="What this user has to be allowed.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def doctor(roles: tuple[str, ...], output: Any, **flags: Any) -> int:
    """Say what is there, what is missing and what to do. Exit code 1 where anything fails."""
    from stream_monitor import doctor as room

    return room.run(_settings(**flags), roles=roles, output=output, stopped=on_signals())


@cli.command()
@connection_options
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--kind", type=click.Choice([*KINDS]), help="[told by each record's labels]")
@click.option("--field", "fields", multiple=True, metavar="NAME=VALUE", help="For records that do not say it.")
@click.option("--once", is_flag=True, help="To the ends that the files have now, and no further.")
@click.option("--datadir", metavar="PATH", help="Where it keeps its place.  [data]")
def ship(paths: tuple[str, ...], kind: str | None, fields: tuple[str, ...], once: bool, **flags: Any) -> int:
    """Follow log files into Kafka. Paths, folders, quoted globs; rotated and gzip'd ones, too."""
    from stream_monitor import clients
    from stream_monitor.shipping import ship as room

    given = room.fields_of(fields)
    settings = _settings(**flags)
    stopped = on_signals()
    clients.ensure_broker(settings, stopped)
    return room.run(settings, paths, kind=kind, fields=given, once=once, stopped=stopped)


@cli.command()
@click.option("--rate", type=RATE, default=50.0, show_default=True, help=RATE_HELP)
@click.option("--incident", help="airflow-failures, consumer-lag or model-drift, from the start.")
def demo(rate: float, incident: str | None) -> int:
    """Run everything on this machine. A stand-in for Kafka, a day of logs, a live pipeline, the worker, views."""
    from stream_monitor import demo as room

    return room.run(rate=rate, incident=incident, stopped=on_signals())


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the script that completes this command line in a shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, NAME, "_STREAM_MONITOR_COMPLETE").source())
    return 0


manual.add_to(cli)


def main() -> None:
    """Run the command line and exit with its code."""
    terminal.prepare_output()
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:  # the device is full; said already, and the interpreter would say it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = code or 1
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line. Returns the exit code; prints one line for what a user can cause."""
    return terminal.guarded(lambda: cli.main(arguments, prog_name=NAME, standalone_mode=False))
