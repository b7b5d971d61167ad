"""The rules' file: what is wrong with it, at which line; the schema agrees; no text makes it fail otherwise."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor import rules
from stream_monitor.cli import run
from stream_monitor.core.rule import Absent, BurnRate, Threshold
from stream_monitor.core.window import HOUR_MS, MINUTE_MS
from stream_monitor.errors import UsageError

SCHEMA = jsonschema.Draft202012Validator(rules.schema())
GOOD = """\
rules:
  - name: A
    kind: ml
    measure: latency_ms.p99
    above: 500
    for: 5m
  - {name: B, burn_rate: {objective: 0.99}}
  - {name: C, match: {service: [a, "b*"]}, absent_for: 1h30m}
silences:
  - match: {rule: A}
    until: 2030-01-01T00:00:00Z
    reason: works
"""


def checked(tmp_path, text):
    path = tmp_path / "rules.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return rules.check(path)


def test_a_good_file(tmp_path):
    found = checked(tmp_path, GOOD)
    a, b, c = found.rules
    assert a.condition == Threshold("latency_ms.p99", above=500.0)
    assert (a.for_ms, a.kind) == (5 * MINUTE_MS, "ml")
    assert isinstance(b.condition, BurnRate)
    assert [tier.factor for tier in b.condition.tiers] == [14.4, 6, 1]
    assert c.condition == Absent(90 * MINUTE_MS)
    assert c.match == {"service": ("a", "b*")}
    assert found.silences[0].until_ms > found.silences[0].since_ms
    assert found.group_by == ("kind", "rule")
    SCHEMA.validate(yaml.safe_load(GOOD.replace("until: 2030-01-01T00:00:00Z", "until: '2030-01-01T00:00:00Z'")))


def test_what_ships_is_right_and_fits_the_schema():
    assert len(rules.load(None).rules) >= 10
    SCHEMA.validate(yaml.safe_load(rules.default_path().read_text()))


RULE = "rules:\n  - name: A\n    kind: ml\n"
WRONG = [
    ("", 1, "not a mapping"),
    ("rules: [", 1, "not YAML"),
    (b"\xff\xfe\x00", 1, "not"),
    ("rules:\n  - name: A\n", 2, "exactly one condition"),
    (RULE + "    measure: records\n    above: 1\n    absent_for: 5m\n", 2, "exactly one condition"),
    (RULE + "    measure: latenzy.p99\n    above: 1\n", 2, "ml has no 'latenzy.p99'; it has: records,"),
    ("rules:\n  - name: A\n    measure: latency_ms.p99\n    above: 1\n", 2, "airflow has no 'latency_ms.p99'"),
    (RULE + "    measure: records\n", 2, "either above or below"),
    (RULE + "    measure: latency_ms.p99\n    above: 1\n    over: 5m\n", 2, "of a minute"),
    (RULE + "    measure: records\n    above: 5\n    clear: 9\n", 2, "past the limit"),
    (RULE + "    measure: records\n    above: x\n", 5, "above"),
    (RULE + "    measure: records\n    above: .nan\n", 5, "finite"),
    (RULE + "    measure: records\n    above: 1\n    for: 5 minutes\n", 6, "such as 90s, 5m"),
    (RULE + "    measure: records\n    above: 1\n    over: 90s\n", 6, "whole minutes"),
    (RULE + "    measure: records\n    abov: 1\n", 5, "there is no such setting"),
    (RULE + "    match: {dag_id: x}\n    measure: records\n    above: 1\n", 2, "no label 'dag_id'"),
    (RULE + "    measure: records\n    above: 1\n    summary: '{nobody}'\n", 2, "there is no {nobody}"),
    (RULE + "    measure: records\n    above: 1\n    summary: '{value:zz}'\n", 2, "summary"),
    (RULE + "    measure: records\n    above: 1\n    severity: page\n", 6, "severity"),
    (RULE + "    status_is: [ill]\n", 2, "'ill' is none of"),
    (RULE + "    absent_for: soon\n", 2, "such as 90s"),
    (RULE + "    burn_rate: {objective: 1.5}\n", 4, "less than 1"),
    (RULE + "    measure: records\n    above: 1\n    above: 2\n", 6, "twice"),
    ("rules:\n  - {name: A, absent_for: 5m}\n  - {name: A, absent_for: 5m}\n", 3, "two rules 'A'"),
    ("rules: []\nsilences:\n  - match: {rule: A}\n    reason: r\n", 3, "until"),
    ("rules: []\nsilences:\n  - {match: {rule: A}, reason: r, until: 2030-01-01T00:00:00}\n", 3, "with an offset"),
]


@pytest.mark.parametrize(("text", "line", "what"), WRONG)
def test_what_is_wrong_and_where(tmp_path, text, line, what):
    found = checked(tmp_path, text)
    assert isinstance(found, list)
    assert any(problem.line == line and what in problem.what for problem in found), [str(p) for p in found]
    for problem in found:
        assert "\n" not in str(problem)


def test_all_that_is_wrong_is_told_and_a_worker_names_the_first(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n  - {name: A}\n  - {name: B}\n")
    assert [problem.line for problem in rules.check(path)] == [2, 3]
    with pytest.raises(UsageError, match=r"rules\.yaml:2: .*and 1 more: stream-monitor alerts check"):
        rules.load(path)
    with pytest.raises(UsageError, match="cannot be read"):
        rules.load(tmp_path / "nowhere.yaml")


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_whatever_the_file_holds_it_is_a_list_of_problems(tmp_path_factory, text):
    found = checked(
        tmp_path_factory.mktemp("r"), text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    )
    assert found


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(list(rules.RuleModel.model_fields)), JUNK)
def test_whatever_a_setting_is_it_is_a_rule_or_a_problem(tmp_path_factory, name, junk):
    name = "for" if name == "for_" else name
    rule = {"name": "A", "kind": "ml", "measure": "records", "above": 1, name: junk}
    found = checked(tmp_path_factory.mktemp("r"), json.dumps({"rules": [rule]}))
    assert isinstance(found, rules.RuleSet) or all(problem.line >= 1 for problem in found)


def test_durations():
    assert rules.duration_ms("1h30m") == 90 * MINUTE_MS
    assert rules.duration_ms("3d") == 72 * HOUR_MS
    for wrong in ("", "5", "m", "5 m", "-5m", "1.5h", 5, None, "99w"):
        with pytest.raises(ValueError, match=r"duration|longer"):
            rules.duration_ms(wrong)


def test_the_command(tmp_path, capsys):
    path = tmp_path / "rules.yaml"
    path.write_text(GOOD)
    assert run(["alerts", "check", str(path)]) == 0
    assert "3 rules and 1 silences are right" in capsys.readouterr().out
    path.write_text("rules:\n  - {name: A}\n")
    assert run(["alerts", "check", str(path)]) == 1
    assert f"{path}:2: rules[0]" in capsys.readouterr().out
    assert run(["alerts", "check"]) == 0
    assert run(["alerts", "test"]) == 2
    assert "nobody to notify" in capsys.readouterr().err
