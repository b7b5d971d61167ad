"""topics/*.yaml against a broker: what is declared is made, and nothing else happens."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import jsonschema
import pytest
import yaml
from confluent_kafka.admin import NewPartitions
from hypothesis import example, given
from hypothesis import strategies as st

from stream_monitor import clients, topics
from stream_monitor.data import data_dir
from stream_monitor.errors import MonitorError, TopicMissingError, UsageError


@pytest.fixture(params=["embedded", "kafka"])
def broker(request):
    return request.getfixturevalue(request.param)


class TestOnABroker:
    def test_apply_makes_what_plan_says_and_then_there_is_nothing_to_do(self, broker, make_settings):
        settings = make_settings(broker, apply=False)
        planned = topics.plan(settings)
        assert {change.action for change in planned} == {"create"}
        assert topics.apply(settings) == planned
        assert topics.plan(settings) == []
        topics.check(settings)

    def test_a_source_topic_grows_together_with_its_state(self, broker, make_settings):
        settings = make_settings(broker)
        name = settings.topic("logs.ml")
        admin = clients.admin(settings)
        admin.create_partitions([NewPartitions(name, 6)])[name].result()
        with pytest.raises(TopicMissingError, match="topics apply"):
            topics.check(settings)
        assert [str(c) for c in topics.apply(settings)] == [f"grow {settings.topic('state.ml')}: 4 → 6 partitions"]
        topics.check(settings)

    def test_a_fixed_topic_is_never_resized(self, broker, make_settings):
        settings = make_settings(broker)
        partials = next(topic for topic in topics.declared() if topic.name == "partials")
        with pytest.raises(MonitorError, match="use a new prefix"):
            topics.apply(settings, [dataclasses.replace(partials, partitions=8)])

    def test_partitions_are_as_the_settings_ask_where_they_do(self, broker, make_settings):
        settings = make_settings(broker, source_partitions=6, result_partitions=3)
        found = topics.partition_counts(settings)
        by_count = {3: {"partials", "state.merge", "state.alerts"}, 6: set(), 1: {"alerts", "dlq"}}
        for name, count in found.items():
            if name not in by_count[count]:
                assert name.startswith("metrics." if count == 3 else ("logs.", "state.")), (name, count)
        assert {found[f"{room}.ml"] for room in ("logs", "state")} == {6}
        assert topics.plan(settings) == []
        topics.check(settings)
        forgotten = settings.model_copy(update={"result_partitions": None})
        with pytest.raises(MonitorError, match="keep them with STREAM_MONITOR_RESULT_PARTITIONS=3"):
            topics.apply(forgotten)

    def test_a_changed_setting_is_set_again(self, broker, make_settings):
        settings = make_settings(broker)
        dlq = next(topic for topic in topics.declared() if topic.name == "dlq")
        changed = dataclasses.replace(dlq, config={**dlq.config, "retention.ms": "5000000"})
        assert [change.action for change in topics.apply(settings, [changed])] == ["configure"]
        assert topics.plan(settings, [changed]) == []

    def test_a_missing_topic_is_named(self, broker, make_settings):
        settings = make_settings(broker, apply=False)
        with pytest.raises(TopicMissingError, match=f"{settings.prefix}.*topics apply"):
            topics.check(settings)


class SlowAdmin:
    """Shows what was made one look later."""

    def __init__(self, *counts):
        self.counts = list(counts)

    def list_topics(self, timeout):
        count = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        found = {} if count is None else {"p.logs.ml": SimpleNamespace(partitions=dict.fromkeys(range(count)))}
        return SimpleNamespace(topics=found)


def test_apply_returns_when_the_broker_shows_what_was_made(monkeypatch):
    admin = SlowAdmin(None, 2, 4)
    topics._wait_shown(admin, {"p.logs.ml": 4})
    assert admin.counts == [4]
    monkeypatch.setattr(topics, "_TIMEOUT_S", 0.01)
    with pytest.raises(MonitorError, match=r"p\.logs\.ml.* does not show 4 partitions"):
        topics._wait_shown(SlowAdmin(2), {"p.logs.ml": 4})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "x.yaml: "),
        ("- a", "not a mapping"),
        ("partitions: 1", "name is missing"),
        ("name: x\npartitions: many", "partitions: a whole number"),
        ("name: x\npartitions: 0", "partitions: a whole number"),
        ("name: x\npartitions: true", "partitions: a whole number"),
        ("name: x\npartitions_of: nothing", "there is no topic 'nothing'"),
        ("name: x\npartitions: 1\nconfig: 3", "config: not a mapping"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"x\.yaml") as error:
        topics.declared(tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_every_schema_is_valid_and_every_public_topic_has_one():
    schemas = {topic.name: topic.schema for topic in topics.declared()}
    for name in ("metrics.live", "metrics.1m", "metrics.1h", "metrics.1d", "alerts", "dlq"):
        assert schemas[name]
    for path in data_dir("topics").glob("*.schema.json"):
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))


yaml_text = st.dictionaries(
    st.sampled_from(["name", "partitions", "partitions_of", "key", "schema", "config", "other"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ),
).map(yaml.safe_dump) | st.text(max_size=40)


@given(yaml_text)
@example("name: [\n")
@example("{}")
@example("name: x\npartitions: -1\n")
@example("name: x\npartitions: true\n")
@example("- a list\n")
@example("a: &a [*a]\n")
def test_any_yaml_is_a_topic_or_one_clear_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        topic = topics._read(path)
    except UsageError as error:
        said = str(error)
    else:
        said = f"fuzzed.yaml: {topic.partitions} partitions"
        assert topic.partitions_of or 1 <= topic.partitions <= 10_000
    assert said.startswith("fuzzed.yaml: ")
