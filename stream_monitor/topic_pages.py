"""The reference of the topics, made of topics/*.yaml and topics/*.schema.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from stream_monitor.data import data_dir

_METRICS = "metrics.schema.json"
_GROUPS = (
    ("Public", "What others rely on.", ("logs.", "metrics.", "alerts", "dlq")),
    ("Internal", "The workers' own; their records may change with a release.", ("partials", "state.")),
)
_HEAD = (
    "Generated from `topics/*.yaml` and `topics/*.schema.json`. Every name has the prefix and a dot before it;",
    "`{kind}` stands for each kind of log. `stream-monitor topics apply` makes what is declared here.",
)


def pages() -> dict[str, str]:
    """File in docs/reference → text."""
    return {"topics.md": _topics_page(), "metrics-record.md": _metrics_page()}


def _topics_page() -> str:
    lines = ["# Topics", "", *_HEAD]
    declared = {path: yaml.safe_load(path.read_text(encoding="utf-8")) for path in _files("*.yaml")}
    for title, what, starts in _GROUPS:
        lines += ["", f"## {title}", "", what]
        for start in starts:
            for path, topic in declared.items():
                if topic["name"].startswith(start):
                    lines += _topic(path, topic)
    return "\n".join(lines) + "\n"


def _topic(path: Path, topic: dict[str, Any]) -> Iterator[str]:
    comment = [line[2:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    partitions = topic.get("partitions", f"as many as `{topic.get('partitions_of')}`")
    yield from ("", f"### {topic['name']}", "", *comment, "", "| | |", "|---|---|")
    yield f"| partitions | {partitions} |"
    yield f"| key | {topic['key']} |"
    yield from (f"| `{name}` | {_shown(name, value)} |" for name, value in (topic.get("config") or {}).items())
    schema = topic.get("schema")
    if schema == _METRICS:
        yield "| value | [a metrics record](metrics-record.md) |"
    elif schema is not None:
        yield f"| value | [{schema}](../../topics/{schema}), below |"
        yield from ("", *_fields(json.loads((data_dir("topics") / schema).read_text(encoding="utf-8"))))


def _shown(name: str, value: str) -> str:
    """Long times also in a unit that is read at once."""
    if not name.endswith(".ms"):
        return f"`{value}`"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if int(value) >= size:
            return f"`{value}` ({int(value) / size:g} {unit})"
    return f"`{value}`"


def _metrics_page() -> str:
    schema = json.loads((data_dir("topics") / _METRICS).read_text(encoding="utf-8"))
    names = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in _files("metrics.*.yaml"))
    topics = ", ".join(f"`{topic['name']}`" for topic in names)
    return "\n".join(
        [
            "# A metrics record",
            "",
            f"Generated from [{_METRICS}](../../topics/{_METRICS}): the value of a record in {topics}.",
            "",
            "Its key is the canonical JSON of kind, labels and window start in ms, such as",
            '`["ml",["ml.predictor","v1.2.3"],1705314600000]`; it is partitioned by the first two. Per key the',
            "highest (`revision`, `final`) wins. A field that is not required is absent where there is no data.",
            "[How to read them](../how-to/consume-metrics.md).",
            "",
            *_fields(schema),
            "",
        ]
    )


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    yield from ("| field | type | required | meaning |", "|---|---|---|---|")
    yield from _rows(schema, "")


def _rows(schema: dict[str, Any], where: str) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = f"{where}{name}"
        must = "yes" if name in required else ""
        meaning = " ".join(part for part in (field.get("description", ""), _bounds(field)) if part)
        yield f"| `{path}` | {_type(field)} | {must} | {meaning.replace('|', chr(92) + '|')} |"
        yield from _rows(field, f"{path}.")
        for inner, suffix in ((field.get("items"), "[]."), (field.get("additionalProperties"), ".<name>.")):
            if isinstance(inner, dict):
                yield from _rows(inner, f"{path}{suffix}")


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return "one of " + ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    kind = field.get("type", "any")
    found = " or ".join(kind) if isinstance(kind, list) else kind
    if found == "array" and "type" in field.get("items", {}):
        return f"array of {field['items']['type']}"
    return field.get("format") or found


def _bounds(field: dict[str, Any]) -> str:
    found = [
        f"{word} {field[name]}"
        for name, word in (("minimum", "at least"), ("maximum", "at most"))
        if name in field
    ]
    found += [f"at most {field['maxLength']} characters"] if "maxLength" in field else []
    return f"({', '.join(found)})" if found else ""


def _files(pattern: str) -> list[Path]:
    return sorted(data_dir("topics").glob(pattern))
