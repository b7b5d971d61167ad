"""What `--help` says of a command below its options: examples, what it reads, its exit codes."""

from __future__ import annotations

from collections.abc import Iterator

import click

EXAMPLES = {
    "worker": (
        "stream-monitor worker --datadir /var/lib/stream-monitor",
        "STREAM_MONITOR_KINDS=ml stream-monitor worker --broker kafka-1:9092 --http-port 0",
    ),
    "topics plan": ("stream-monitor topics plan", "stream-monitor topics plan --prefix staging"),
    "topics apply": (
        "stream-monitor topics apply --replication-factor 3",
        "stream-monitor topics apply --source-partitions 12",
    ),
    "replay": (
        "stream-monitor replay fixtures/example_ml_logs.jsonl --shift-to-now",
        "stream-monitor replay yesterday.jsonl --speed 60 --prefix backfill",
    ),
    "simulate": (
        "stream-monitor simulate --rate 200",
        "stream-monitor simulate --incident consumer-lag --seconds 600",
    ),
    "report": (
        "stream-monitor report --hours 24",
        "stream-monitor report --component ml --output json --hours 1",
        "stream-monitor report --server --interval 60",
    ),
    "tui": ("stream-monitor tui", "stream-monitor tui --serve --port 8000"),
    "web": ("stream-monitor web", "STREAM_MONITOR_WEB_TOKEN=… stream-monitor web --host 0.0.0.0 --port 8080"),
    "dlq": ("stream-monitor dlq --limit 20", "stream-monitor dlq --follow | jq .reason"),
    "alerts check": ("stream-monitor alerts check", "stream-monitor alerts check my-rules.yaml"),
    "alerts test": ("STREAM_MONITOR_NOTIFY_URLS=mailto://… stream-monitor alerts test",),
    "notify": ("STREAM_MONITOR_ALERTMANAGER_URL=http://127.0.0.1:9093 stream-monitor notify",),
    "lag": ("stream-monitor lag", "stream-monitor lag 'orders-*' payments --interval 30"),
    "init": ("stream-monitor init .", "stream-monitor init my-pipeline"),
    "doctor": ("stream-monitor doctor", "stream-monitor doctor --role worker --output json"),
    "ship": (
        "stream-monitor ship /var/log/app",
        "stream-monitor ship --kind ml --field service=scorer --once 'logs/*.jsonl.gz'",
    ),
    "demo": ("stream-monitor demo", "stream-monitor demo --incident model-drift"),
    "completion": (
        'eval "$(stream-monitor completion bash)"',
        "stream-monitor completion zsh > ~/.zfunc/_stream-monitor",
        "stream-monitor completion fish > ~/.config/fish/completions/stream-monitor.fish",
    ),
}
"""By command: command lines that work."""

ENVIRONMENT = (
    "Every setting is an environment variable, too (STREAM_MONITOR_BROKER, …), and a key of stream-monitor.toml; "
    "a flag wins over the environment, the environment over the file."
)
EXIT_CODES = "0: it worked. 1: it ran and found a problem. 2: wrong use. 130: a signal ended it."


def add_to(group: click.Group) -> None:
    """Give every command of a group its lines below the options."""
    for path, command in commands(group):
        if not isinstance(command, click.Group):
            command.epilog = _epilog(path, command)


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """(path, command) of all commands and groups, as they are written: `topics`, `topics plan`, …"""
    for name, command in group.commands.items():
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")


def reads_settings(command: click.Command) -> bool:
    """It takes `--config`."""
    return any(parameter.name == "config" for parameter in command.params)


def _epilog(path: str, command: click.Command) -> str:
    """click wraps paragraphs, but for those that begin with a \\b."""
    parts = []
    if EXAMPLES.get(path):
        parts.append("\b\nExamples:\n" + "\n".join(f"  {line}" for line in EXAMPLES[path]))
    if reads_settings(command):
        parts.append(f"Environment: {ENVIRONMENT}")
    parts.append(f"Exit codes: {EXIT_CODES}")
    return "\n\n".join(parts)
