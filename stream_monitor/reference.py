"""The generated reference: `python -m stream_monitor.reference` writes docs/reference/settings.md, the tables of
docs/reference/alerts.md, and alerts/rules.schema.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import BaseModel

from stream_monitor import rules
from stream_monitor.core import measure
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings

_ROOT = Path(__file__).resolve().parent.parent
PAGE = _ROOT / "docs" / "reference" / "settings.md"
ALERTS_PAGE = _ROOT / "docs" / "reference" / "alerts.md"
RULES_SCHEMA = _ROOT / "alerts" / "rules.schema.json"
_HEAD = ("", "| setting | default | meaning |", "|---|---|---|")
_GENERATED = "<!-- generated from the code: stream_monitor/reference.py -->"


def settings_page() -> str:
    """The settings as a table, from the code."""
    lines = [
        "# Settings",
        "",
        "Generated from `stream_monitor/settings.py`. A flag wins over the environment, the environment over the",
        "default. Times are in seconds.",
        "",
        "| environment variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        default = "" if field.default is None else f"`{_shown(field.default)}`"
        meaning = str(field.description) + (f" ({' · '.join(choices)})" if choices else "")
        lines.append(f"| `STREAM_MONITOR_{name.upper()}` | {default} | {meaning} |")
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
    RULES_SCHEMA.write_text(rules_schema(), encoding="utf-8")
