"""The generated reference: `python -m stream_monitor.reference` writes docs/reference/settings.md."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args, get_origin

from stream_monitor.settings import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "settings.md"


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


def _shown(default: object) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8")
