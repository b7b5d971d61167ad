"""docs/reference/cli.md, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from stream_monitor import manual
from stream_monitor.cli import cli
from stream_monitor.terminal import NAME

_HEAD = f"""\
# The command line

Generated from `stream_monitor/cli.py` and `manual.py`. Each command says the same with `--help`.

{manual.ENVIRONMENT} The [settings](settings.md) are in one table.

An error that a user can cause is one line on stderr. Exit codes: {manual.EXIT_CODES}

Completion: `stream-monitor completion bash`, `zsh` or `fish` prints a script; its examples say where to put it."""


def page() -> str:
    """The page, as Markdown."""
    parts = [_HEAD]
    for path, command in manual.commands(cli):
        if not isinstance(command, click.Group):
            parts.append("\n".join(_command(path, command)))
    return "\n\n".join(parts) + "\n"


def _command(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"{NAME} {path}")
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## {path}"
    yield ""
    yield " ".join((command.help or "").split())
    yield ""
    yield f"`{NAME} {path} {usage}`"
    rows = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    told = [row for row in rows if row is not None and "--help" not in row[0]]
    if told:
        yield from ("", "| option | meaning |", "|---|---|")
        for option, meaning in told:
            yield f"| `{option.replace('|', '·')}` | {' '.join(meaning.split()).replace('|', '·')} |"
    if manual.EXAMPLES.get(path):
        yield from ("", "```text", *manual.EXAMPLES[path], "```")
