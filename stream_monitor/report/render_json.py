"""The report as JSON, one object on one line."""

from __future__ import annotations

from typing import Any

import orjson


def render_json(report: dict[str, Any]) -> str:
    """The report itself. Described in docs/reference/report.md."""
    return orjson.dumps(report).decode() + "\n"
