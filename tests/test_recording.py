"""Recorded topics: a line that is none is named by file and line, with what is wrong."""

from __future__ import annotations

import pytest

from stream_monitor import recording
from stream_monitor.errors import UsageError

GOOD = '{"topic":"logs.ml","timestamp":1,"value":{}}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "not JSON"),
        ("[1]", "not an object"),
        ("7", "not an object"),
        ('{"timestamp":1,"value":{}}', "topic is missing"),
        ('{"topic":"logs.ml","timestamp":1}', "value is missing"),
        (
            '{"topic":"logs.nosuch","timestamp":1,"value":{}}',
            "topic: one of logs.airflow, ",
        ),
        ('{"topic":"partials","timestamp":1,"value":{}}', "topic: one of"),
        ('{"topic":7,"timestamp":1,"value":{}}', "topic: one of"),
        ('{"topic":"logs.ml","timestamp":1.5,"value":{}}', "timestamp: a whole number"),
        ('{"topic":"logs.ml","timestamp":-1,"value":{}}', "timestamp: a whole number"),
        ('{"topic":"logs.ml","timestamp":1e30,"value":{}}', "timestamp: a whole number"),
        ('{"topic":"logs.ml","timestamp":1,"value":{},"partition":-1}', "partition: a whole number from 0"),
        ('{"topic":"logs.ml","timestamp":1,"value":{},"partition":true}', "partition: a whole number from 0"),
        ('{"topic":"logs.ml","timestamp":1,"value":{},"key":7}', "key: a text or null"),
        ('{"topic":"logs.ml","timestamp":1,"value":{},"headers":7}', "headers: a list of pairs"),
        ('{"topic":"logs.ml","timestamp":1,"value":{},"headers":["ab"]}', "headers: a list of pairs"),
        ('{"topic":"logs.ml","timestamp":1,"value":{},"headers":{"a":1}}', "headers: a list of pairs"),
        ('{"topic":"logs.ml","timestamp":1,"value_base64":"%"}', "value_base64: "),
        ('{"topic":"logs.ml","timestamp":1,"value_base64":7}', "value_base64: "),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    file = tmp_path / "x.jsonl"
    file.write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(UsageError) as error:
        list(recording.read(file))
    assert str(error.value).startswith(f"{file}:2: {message}")
