"""The rules' file: what is wrong with it, at which line; the schema agrees; no text makes it fail otherwise."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor import rules, wire
from stream_monitor.cli import run
from stream_monitor.core.alert import Transition
from stream_monitor.core.rule import Absent, BurnRate, Rule, Threshold
from stream_monitor.core.window import HOUR_MS, MINUTE_MS
from stream_monitor.errors import UsageError
from stream_monitor.kinds import KINDS

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
    (RULE + "    measure: latenzy.p99\n    above: 1\n", 4, "ml has no 'latenzy.p99'; it has: records,"),
    ("rules:\n  - name: A\n    measure: latency_ms.p99\n    above: 1\n", 3, "airflow has no 'latency_ms.p99'"),
    (RULE + "    measure: records\n", 4, "either above or below"),
    (RULE + "    measure: latency_ms.p99\n    above: 1\n    over: 5m\n", 6, "of a minute"),
    (RULE + "    measure: records\n    above: 5\n    clear: 9\n", 6, "past the limit"),
    (RULE + "    measure: records\n    above: x\n", 5, "above"),
    (RULE + "    measure: records\n    above: .nan\n", 5, "finite"),
    (RULE + "    measure: records\n    above: 1\n    for: 5 minutes\n", 6, "such as 90s, 5m"),
    (RULE + "    measure: records\n    above: 1\n    over: 90s\n", 6, "whole minutes"),
    (RULE + "    measure: records\n    abov: 1\n", 5, "there is no such setting"),
    (RULE + "    match: {dag_id: x}\n    measure: records\n    above: 1\n", 4, "no label 'dag_id'"),
    (RULE + "    measure: records\n    above: 1\n    summary: '{nobody}'\n", 6, "there is no {nobody}"),
    (RULE + "    measure: records\n    above: 1\n    summary: '{value:zz}'\n", 6, "summary"),
    (RULE + "    measure: records\n    above: 1\n    severity: page\n", 6, "severity"),
    (RULE + "    status_is: [ill]\n", 4, "'ill' is none of"),
    (RULE + "    absent_for: soon\n", 4, "such as 90s"),
    (RULE + "    burn_rate: {objective: 1.5}\n", 4, "less than 1"),
    (RULE + "    measure: records\n    above: 1\n    above: 2\n", 6, "twice"),
    ("rules:\n  - {name: A, absent_for: 5m}\n  - {name: A, absent_for: 5m}\n", 3, "two rules 'A'"),
    ("rules: []\nsilences:\n  - match: {rule: A}\n    reason: r\n", 3, "until"),
    ("rules: []\nsilences:\n  - {match: {rule: A}, reason: r, until: 2030-01-01T00:00:00}\n", 3, "with an offset"),
    # what never holds, or means something else than it says
    (RULE + "    measure: error_rate\n    above: 20\n", 5, "between 0 and 1"),
    (RULE + "    measure: confidence.mean\n    below: 60\n", 5, "between 0 and 1"),
    (RULE + "    measure: records\n    above: true\n", 5, "a number, not True"),
    (RULE + "    measure: records\n    above: 1\n    stale_after: 0s\n", 6, "at least 1m"),
    (RULE + "    measure: records\n    above: 1\n    relative_to: 1h\n", 6, "at least 2h"),
    (RULE + "    measure: records\n    above: 1\n    match: {service: []}\n", 6, "a list of texts"),
    (RULE + "    measure: records\n    above: 1\n    match: {service: no}\n", 6, "in quotes"),
    (RULE + "    measure: latency_ms.p99\n    above: 1\n    min_errors: 2\n", 6, "of a minute"),
    (RULE + "    absent_for: 0s\n", 4, "at least 1m"),
    (RULE + "    absent_for: 1w\n", 4, "forgotten"),
    (RULE + "    absent_for: 5m\n    for: 5m\n", 5, "not with absent_for"),
    (RULE + "    status_is: stop\n", 4, "'stop' is none of failing, drifting, unsure, slow of ml"),
    (RULE + "    status_is: silent\n", 4, "use absent_for"),
    (RULE + "    burn_rate: {objective: 0.9}\n", 4, "it would never fire"),
    (RULE + "    burn_rate: {objective: 0.99, tiers: [{over: 5m, and_over: 1h, factor: 2}]}\n", 4, "shorter"),
    # what would break a summary, or Alertmanager, when the alert fires
    (RULE + "    absent_for: 5m\n    summary: '{entity:d}'\n", 5, "takes no format"),
    (RULE + "    absent_for: 5m\n    summary: '{value!s:.1f}'\n", 5, "takes no format"),
    (RULE + "    absent_for: 5m\n    summary: '{value:>999999999}'\n", 5, "such as .1f"),
    (RULE + "    absent_for: 5m\n    summary: '{value:.99999999f}'\n", 5, "such as .1f"),
    (RULE + "    absent_for: 5m\n    labels: {'a b': x}\n", 5, "no name of a label"),
    (RULE + "    absent_for: 5m\n    labels: {severity: page}\n", 5, "use the setting severity"),
    (RULE + "    absent_for: 5m\n    runbook_url: 'javascript:x'\n", 5, "https://"),
    # what was meant
    (RULE + "    absent_for: 5m\n    sevrity: critical\n", 5, "did you mean 'severity'?"),
    (RULE + "    absent_for: 5m\n    severity: criticl\n", 5, "did you mean 'critical'?"),
    (RULE + "    measure: latency.p99\n    above: 1\n", 4, "did you mean 'latency_ms.p99'?"),
    ("rules:\n  - {name: A, kind: kafak, absent_for: 5m}\n", 2, "did you mean 'kafka'?"),
    (RULE + "    match: {servise: x}\n    absent_for: 5m\n", 4, "did you mean 'service'?"),
    (RULE + "    burn_rate: {objectiv: 0.99}\n", 4, "did you mean 'objective'?"),
    ("rules: []\nsilence: []\n", 2, "did you mean 'silences'?"),
    (RULE + "    measure: errors\n    above: 1\n    by: [service]\n", 6, "about one series"),
    ("rules: []\ngroup_by: [serivce]\n", 2, "did you mean 'service'?"),
    # silences with odd ends
    (
        "rules: []\nsilences:\n  - match: {serivce: A}\n    reason: r\n    until: 2030-01-01T00:00:00Z\n",
        3,
        "no alert",
    ),
    (
        "rules: []\nsilences:\n  - match: {rule: A}\n    reason: r\n    until: 2030-02-30T00:00:00Z\n",
        5,
        "day value",
    ),
    ("rules: []\nsilences:\n  - match: {rule: A}\n    reason: r\n    until: 20300101\n", 5, "with an offset"),
    ("rules: []\nsilences:\n  - match: {rule: A}\n    reason: r\n    until: 2030-01-01\n", 5, "with an offset"),
    # YAML that unfolds
    ("rules: &a {x: *a}\n", 1, "refers to itself"),
    (
        "a: &a [1]\n"
        + "".join(f"b{n}: &{'bcdefgh'[n]} [{', '.join('*' + 'abcdefg'[n] for _ in range(9))}]\n" for n in range(7))
        + "rules: []\n",
        7,
        "unfold to more",
    ),
    ("rules: " + "[" * 900, 1, "nested too deeply"),
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


def test_a_file_that_cannot_be_read_is_wrong_use(tmp_path, capsys):
    for path, why in ((tmp_path / "nowhere.yaml", "No such file"), (tmp_path, "not a file")):
        with pytest.raises(UsageError, match=why):
            rules.load(path)
        assert run(["alerts", "check", str(path)]) == 2
        said = capsys.readouterr()
        assert f"{path}: " in said.err
        assert why in said.err
        assert ":1" not in said.err
        assert said.out == ""


def test_a_rule_may_use_anchors_and_merge_keys(tmp_path):
    found = checked(
        tmp_path,
        """\
rules:
  - &slow {name: A, kind: ml, measure: latency_ms.p99, above: 500}
  - {<<: *slow, name: B, above: 900}
""",
    )
    assert [rule.condition.above for rule in found.rules] == [500, 900]


def test_a_summary_that_is_right_can_be_written_out():
    """Of every format that passes, with every value that there may be."""
    for form in ("", ":.1f", ":.0%", ":,.0f", ":+.2e", ": g", ":,", ":.99f"):
        model = rules.RuleModel(name="A", absent_for="5m", summary="{entity} {value" + form + "} {{x}}")
        for value in (None, 0.0, 1, -1.5e300, float("inf"), 12.25):
            transition = Transition(
                Rule("A", Absent(1), summary=model.summary), "ml", ("s", "v"), "firing", "info", 0, 0, value
            )
            assert wire.alert_record(transition, KINDS["ml"]).summary.startswith("s/v ")


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
    assert "3 rules and 1 silence: all is right" in capsys.readouterr().out
    path.write_text("rules:\n  - {name: A}\n")
    assert run(["alerts", "check", str(path)]) == 1
    assert f"{path}:2: rules[0]" in capsys.readouterr().out
    assert run(["alerts", "check"]) == 0
    assert run(["alerts", "test"]) == 2
    assert "nobody to notify" in capsys.readouterr().err
