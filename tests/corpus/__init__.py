"""The kept corpus of the fuzzers: of all that was tried, the shortest input for each way in which it can come out.

logs.jsonl      values of a log topic, by kind: judged by the independent oracle (fixtures/expect.py)
partials.jsonl  values of the partials topic, with what they are
topics.jsonl    texts of a topic's YAML, with what is said of them

`python -m tests.corpus` looks for more (seeded) and adds what comes out in a new way; tests/test_corpus.py replays
all of it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stream_monitor import topics, wire
from stream_monitor.core.record import Kind
from stream_monitor.errors import UsageError

FOLDER = Path(__file__).parent
KAFKA_MS = 1_705_314_600_000


def way_of_log(kind: Kind, value: bytes | None) -> str:
    """How a log's value comes out: why it is rejected, or which columns it fills."""
    lines, _, rejected = kind.decode([value], np.array([KAFKA_MS]))
    if rejected:
        return f"{rejected[0][1].reason}: {_shape(rejected[0][1].detail)}"
    flags = [bool(column[0]) for column in (lines.is_error, lines.counted, lines.failed, lines.volume_micro)]
    seen = [not bool(np.isnan(column[0])) for column in (*lines.values, *lines.gauges)]
    zeros = [bool(column[0] == 0) for column in (*lines.values, *lines.gauges)]
    labels = [min(len(column[0]), 201) // 100 for column in lines.labels]
    others = [bool(lines.timestamp_ms[0] != KAFKA_MS), bool(lines.exceptions), bool((lines.classes or [0])[0])]
    return f"folded: {[flags, seen, zeros, labels, others]}"


def way_of_partial(value: bytes) -> str:
    """What a value of the partials topic is, or why it is none."""
    try:
        return type(wire.partials_in(value)).__name__
    except (wire.ForeignRecordError, wire.UnknownVersionError) as error:
        return f"{type(error).__name__}: {_shape(str(error))}"


def way_of_topic(text: str, folder: Path) -> str:
    """What is said of a topic's YAML."""
    path = folder / "fuzzed.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        topics._read(path)
    except UsageError as error:
        return _shape(str(error))
    return "a topic"


def _shape(message: str) -> str:
    """A message without what depends on the input."""
    return re.sub(r"`\$[^`]*`|'[^']*'|\"[^\"]*\"|[0-9]+|0x[0-9a-f]+", "_", message)[:80]


def kept(name: str) -> Iterator[dict[str, Any]]:
    """The rows of a corpus file; `value` is bytes (or None) where it was."""
    path = FOLDER / f"{name}.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        row = json.loads(line)
        if "value_base64" in row:
            raw = row.pop("value_base64")
            row["value"] = None if raw is None else base64.b64decode(raw)
        yield row


def keep(name: str, rows: list[dict[str, Any]]) -> None:
    """Write a corpus file, in an order of its own."""
    lines = []
    for row in rows:
        if not isinstance(row["value"], str):
            raw = row["value"]
            row = {k: v for k, v in row.items() if k != "value"}  # noqa: PLW2901
            row["value_base64"] = None if raw is None else base64.b64encode(raw).decode()
        lines.append(json.dumps(row, sort_keys=True))
    (FOLDER / f"{name}.jsonl").write_text("\n".join(sorted(lines)) + "\n")
