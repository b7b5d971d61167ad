"""The generated reference: `python -m stream_monitor.reference` writes docs/reference/settings.md, cli.md,
topics.md and metrics-record.md, the tables of docs/reference/alerts.md, and alerts/rules.schema.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import BaseModel

from stream_monitor import command_pages, rules, topic_pages
from stream_monitor.core import measure
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings

_ROOT = Path(__file__).resolve().parent.parent
PAGE = _ROOT / "docs" / "reference" / "settings.md"
CLI_PAGE = _ROOT / "docs" / "reference" / "cli.md"
ALERTS_PAGE = _ROOT / "docs" / "reference" / "alerts.md"
RULES_SCHEMA = _ROOT / "alerts" / "rules.schema.json"
_HEAD = ("", "| setting | default | meaning |", "|---|---|---|")
_GENERATED = "<!-- generated from the code: stream_monitor/reference.py -->"


_SETTINGS_HEAD = """\
# Settings

Generated from `stream_monitor/settings.py`. A command's flag wins over the environment, the environment over the
settings file, the file over the default. Times are in seconds.

A setting's environment variable is `STREAM_MONITOR_` and its name in capitals: `STREAM_MONITOR_BROKER`. A variable
that starts so and is no setting is named in a warning.

The settings file is TOML, one setting a line under its name, without sections:

```toml
broker = "kafka-1:9093,kafka-2:9093"
security_protocol = "SASL_SSL"
sasl_username = "stream-monitor"
sasl_password_file = "/run/secrets/kafka-password"
ssl_ca = "ca.pem"                      # a relative path starts at the folder of this file
kinds = ["airflow", "ml"]
```

`--config FILE` names it, else `STREAM_MONITOR_CONFIG`; then it must be there (an empty name: none is read). Else
it is `stream-monitor.toml` in the current folder, else the one in `$XDG_CONFIG_HOME/stream-monitor/`. One file
is read. A key that is no setting is an error.

A secret is given by its own setting or by the one that ends in `_file`. No message, help or report shows it. The
shipping handler in your own processes reads the environment and what `configure` is given, not the file.

| setting | default | meaning |
|---|---|---|"""


def settings_page() -> str:
    """The settings as a table, from the code."""
    lines = [_SETTINGS_HEAD]
    for name, field in Settings.model_fields.items():
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        default = "" if field.default in (None, ()) else f"`{_shown(field.default)}`"
        meaning = str(field.description) + (f" ({' · '.join(choices)})" if choices else "")
        lines.append(f"| `{name}` | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def alerts_page(text: str) -> str:
    """The page on alerts with its generated part made anew."""
    return text.partition(_GENERATED)[0] + _GENERATED + "\n" + "\n".join(_alerts_tables()) + "\n"


def _alerts_tables() -> list[str]:
    lines = ["", "## Settings of a rule", *_HEAD]
    lines += _fields(rules.RuleModel)
    lines += [
        "",
        "`burn_rate`:",
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
        *_fields(rules.BurnModel),
    ]
    lines += ["", "A tier:", *_HEAD, *_fields(rules.TierModel)]
    lines += [
        "",
        "A silence:",
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
        *_fields(rules.SilenceModel),
    ]
    lines += ["", "## Measures", "", "| kind | measures |", "|---|---|"]
    for name, kind in KINDS.items():
        lines.append(f"| {name} | {', '.join(f'`{each}`' for each in measure.names(kind))} |")
    lines += ["", "## The rules that ship", "", "| rule | kind | severity | says |", "|---|---|---|---|"]
    for rule in rules.load(None).rules:
        lines.append(f"| {rule.name} | {rule.kind or 'all'} | {rule.severity} | {rule.summary} |")
    return lines


def _fields(model: type[BaseModel]) -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        plain = (str, int, float)
        default = f"`{field.default}`" if isinstance(field.default, plain) and field.default not in ("", 0) else ""
        if name in ("over", "stale_after") and field.default:
            default = {60_000: "`1m`", 3_600_000: "`1h`"}.get(field.default, default)
        rows.append(f"| `{field.alias or name}` | {default} | {field.description} |")
    return rows


def rules_schema() -> str:
    """The JSON Schema of the rules' file."""
    return json.dumps(rules.schema(), indent=1, ensure_ascii=False) + "\n"


def _shown(default: object) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8")
    ALERTS_PAGE.write_text(alerts_page(ALERTS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    CLI_PAGE.write_text(command_pages.page(), encoding="utf-8")
    RULES_SCHEMA.write_text(rules_schema(), encoding="utf-8")
    for name, page in topic_pages.pages().items():
        (PAGE.parent / name).write_text(page, encoding="utf-8")
