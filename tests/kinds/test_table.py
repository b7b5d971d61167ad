"""The table KINDS: light rows, and files that are imported when they are asked for."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import orjson
import pytest

from stream_monitor import topics
from stream_monitor.kinds import KINDS
from stream_monitor.shipping.line import Piece, record
from stream_monitor.tui.pane import TABS


@pytest.mark.parametrize("name", KINDS)
class TestEveryKind:
    def test_the_row_and_the_file_say_the_same(self, name):
        row, kind = KINDS.rows[name], KINDS[name]
        assert (kind.name, kind.labels) == (name, row.labels)
        assert 1 <= row.required <= len(row.labels)
        assert kind.measures
        assert row.title.strip()

    def test_a_line_of_text_has_its_labels_and_numbers(self, name):
        row = KINDS.rows[name]
        pairs = [*(f"{label}=x" for label in row.labels), *(f"{number}=1" for number in row.numbers)]
        text = f"2024-01-15 10:30:00 INFO {' '.join(pairs)}\n".encode()
        fields = record(Piece(0, len(text), text), {})
        assert {label: fields[label] for label in row.labels} == dict.fromkeys(row.labels, "x")
        assert {number: fields[number] for number in row.numbers} == dict.fromkeys(row.numbers, 1)
        assert not KINDS[name].decode([orjson.dumps(fields)], np.zeros(1, dtype=np.int64)).rejected

    def test_its_name_is_nobody_elses(self, name):
        assert re.fullmatch("[a-z][a-z0-9_]*", name)
        assert TABS.count(name) == 1
        assert name not in ("all", "monitor", "partials")

    def test_its_topics_are_declared(self, name):
        declared = {topic.name: topic for topic in topics.declared()}
        assert declared[f"state.{name}"].partitions_of == f"logs.{name}"
        assert declared[f"state.{name}"].partitions == declared[f"logs.{name}"].partitions
        assert declared[f"state.{name}"].config["cleanup.policy"] == "compact"


def test_names_and_rows_import_nothing():
    asked = (
        "from stream_monitor.kinds import KINDS; assert 'ml' in KINDS; print([*KINDS], KINDS.rows, 'x' in KINDS)"
    )
    shown = "import sys; print('numpy' in sys.modules, 'stream_monitor.kinds.ml' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", f"{asked}; {shown}"], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "False False"


def test_who_is_not_there():
    assert KINDS.get("nosuch") is None
    with pytest.raises(KeyError, match="nosuch"):
        KINDS["nosuch"]


def test_state_topics_have_names_of_their_own():
    names = [topic.name for topic in topics.declared()]
    assert len(names) == len(set(names))
    assert not {"alerts", "merge"} & KINDS.keys()
