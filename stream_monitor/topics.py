"""The declared topics (topics/*.yaml) against the broker's: plan, apply, check.

A plan names every difference; apply makes what can be made. Partitions are only ever added, and only to source
topics, together with their state topic; those of partials, metrics and the merge's state are fixed for a prefix,
because a series' place follows from them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from stream_monitor import clients
from stream_monitor.data import data_dir
from stream_monitor.errors import MonitorError, TopicMissingError, UsageError
from stream_monitor.kinds import KINDS
from stream_monitor.plural import counted
from stream_monitor.settings import Settings

_TIMEOUT_S = 30.0
_LOOK_S = 0.1
KIND = "{kind}"
"""In a name: one topic for each kind of log."""


_SETTINGS = {"logs": "source_partitions", "partials": "result_partitions", "metrics": "result_partitions"}
"""By the first part of a topic's name."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A declared topic; `name` is without the prefix."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)
    partitions_of: str | None = None
    """It always has as many partitions as this topic."""
    schema: str | None = None

    @property
    def may_grow(self) -> bool:
        """Source topics and their state may; everything else is fixed for a prefix."""
        return (self.partitions_of or self.name).startswith("logs.")

    @property
    def setting(self) -> str | None:
        """The setting that says how many partitions it has, where there is one."""
        return _SETTINGS.get((self.partitions_of or self.name).split(".")[0])

    def sized(self, settings: Settings) -> Topic:
        """With the partitions that the settings ask for."""
        asked = getattr(settings, self.setting) if self.setting else None
        return replace(self, partitions=asked or self.partitions)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between what is declared and what the broker has."""

    action: Literal["create", "grow", "configure", "impossible"]
    topic: str
    detail: str
    partitions: int = 0
    config: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} {self.topic}: {self.detail}"


def declared(folder: Path | None = None) -> tuple[Topic, ...]:
    """The topics of topics/*.yaml, sources first. Raises UsageError with file and reason."""
    found: dict[str, Topic] = {}
    for path in sorted((folder or data_dir("topics")).glob("*.yaml")):
        for topic in _each_kind(_read(path)):
            found[topic.name] = topic
    return tuple(_follow(topic, found) for topic in found.values())


def _each_kind(topic: Topic) -> Iterator[Topic]:
    """`logs.{kind}` is a topic for each kind of log."""
    if KIND not in topic.name:
        yield topic
        return
    for kind in KINDS:
        leader = topic.partitions_of and topic.partitions_of.replace(KIND, kind)
        yield replace(topic, name=topic.name.replace(KIND, kind), partitions_of=leader)


def _follow(topic: Topic, all_topics: dict[str, Topic]) -> Topic:
    if topic.partitions_of is None:
        return topic
    leader = all_topics.get(topic.partitions_of)
    if leader is None:
        raise UsageError(f"{topic.name}.yaml: partitions_of: there is no topic {topic.partitions_of!r}")
    return Topic(topic.name, leader.partitions, topic.config, topic.partitions_of, topic.schema)


def _read(path: Path) -> Topic:
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(plain, dict):
            raise UsageError(f"{path.name}: not a mapping")
        partitions = plain.get("partitions", 0)
        leader = plain.get("partitions_of")
        if leader is None and (type(partitions) is not int or not 1 <= partitions <= 10_000):
            raise UsageError(f"{path.name}: partitions: a whole number from 1 to 10000, not {partitions!r}")
        config = plain.get("config") or {}
        if not isinstance(config, dict):
            raise UsageError(f"{path.name}: config: not a mapping")
        return Topic(
            name=str(plain["name"]),
            partitions=partitions,
            config={str(name): str(value) for name, value in config.items()},
            partitions_of=None if leader is None else str(leader),
            schema=plain.get("schema"),
        )
    except KeyError as error:
        raise UsageError(f"{path.name}: {error.args[0]} is missing") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path.name}: {' '.join(str(error).split())}") from None


def partition_counts(settings: Settings) -> dict[str, int]:
    """How many partitions each of the prefix's topics has on the broker, by name without prefix."""
    return _counts(clients.admin(settings), settings)


def ids(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """The id that the broker gave each topic when it was made; a topic that is made anew has another."""
    wanted = {settings.topic(name): name for name in names}
    admin = clients.admin(settings)  # lives until the answers are there
    described = admin.describe_topics(TopicCollection([*wanted]), request_timeout=_TIMEOUT_S)
    return {wanted[topic]: str(_result(future, topic).topic_id) for topic, future in described.items()}


def _counts(admin: AdminClient, settings: Settings) -> dict[str, int]:
    return counts_in(admin.list_topics(timeout=_TIMEOUT_S), settings)


def counts_in(metadata: ClusterMetadata, settings: Settings) -> dict[str, int]:
    """The same out of metadata that is there already."""
    start = settings.topic("")
    found = metadata.topics
    return {name[len(start) :]: len(t.partitions) for name, t in found.items() if name.startswith(start)}


def _remedy(settings: Settings) -> str:
    """What to do about a missing topic. A prefix that somebody has chosen may be mistyped."""
    if settings.prefix == Settings.model_fields["prefix"].default:
        return "make the topics with: stream-monitor topics apply"
    return (
        f"if the prefix {settings.prefix} is the right one, make the topics with: "
        f"stream-monitor topics apply --prefix {settings.prefix}"
    )


def check(settings: Settings, names: Iterable[str] | None = None, counts: Mapping[str, int] | None = None) -> None:
    """Raises TopicMissingError where a topic is missing, or its partitions are not as they must be.

    `names` are those that matter (all, if None); `counts` spares asking the broker.
    """
    counts = partition_counts(settings) if counts is None else counts
    wanted = {topic.name: topic for topic in declared()}
    for name in names if names is not None else wanted:
        if name not in counts:
            raise TopicMissingError(
                f"topic {settings.topic(name)} is not on the broker at {settings.broker}, or not for this user to "
                f"see; {_remedy(settings)}"
            )
        leader = wanted[name].partitions_of
        if leader is not None and counts.get(leader) != counts[name]:
            raise TopicMissingError(
                f"topic {settings.topic(name)} has {counts[name]} partitions and {settings.topic(leader)} has "
                f"{counts.get(leader, 0)}; make them equal with: stream-monitor topics apply"
            )
    sizes = {counts[name] for name in counts if name.startswith("metrics.")}
    if len(sizes) > 1:
        raise TopicMissingError(f"the metrics topics of {settings.prefix} differ in partitions; make them anew")


def plan(settings: Settings, topics: Iterable[Topic] | None = None) -> list[Change]:
    """What apply would do, and what it can't. Empty where all is as declared."""
    admin = clients.admin(settings)
    counts = _counts(admin, settings)
    wanted = tuple(topic.sized(settings) for topic in (declared() if topics is None else topics))
    changes: list[Change] = []
    for topic in wanted:
        name = settings.topic(topic.name)
        partitions = _wanted_partitions(topic, counts)
        if topic.name not in counts:
            changes.append(Change("create", name, counted(partitions, "partition"), partitions, topic.config))
        elif counts[topic.name] != partitions:
            changes.append(_resize(topic, name, counts[topic.name], partitions))
    present = [topic for topic in wanted if topic.name in counts]
    return changes + _config_changes(admin, settings, present)


def _wanted_partitions(topic: Topic, counts: dict[str, int]) -> int:
    """As declared; a source topic that has grown beyond takes its state topic with it."""
    if topic.may_grow:
        return max(topic.partitions, counts.get(topic.partitions_of or topic.name, 0))
    return topic.partitions


def _resize(topic: Topic, name: str, has: int, wants: int) -> Change:
    if topic.may_grow and wants > has:
        return Change("grow", name, f"{has} → {wants} partitions", wants)
    keep = f", or keep them with STREAM_MONITOR_{topic.setting.upper()}={has}" if topic.setting else ""
    detail = f"it has {counted(has, 'partition')}, declared: {wants}; use a new prefix{keep}"
    return Change("impossible", name, detail, wants)


def _config_changes(admin: AdminClient, settings: Settings, topics: list[Topic]) -> list[Change]:
    resources = {ConfigResource(ResourceType.TOPIC, settings.topic(t.name)): t for t in topics if t.config}
    if not resources:
        return []
    changes = []
    for resource, future in admin.describe_configs(list(resources)).items():
        topic = resources[resource]
        has = {name: entry.value for name, entry in _result(future, resource.name).items()}
        differs = {name: value for name, value in topic.config.items() if not _same(has.get(name), value)}
        if differs:
            detail = ", ".join(f"{name} {has.get(name)} → {value}" for name, value in differs.items())
            changes.append(Change("configure", resource.name, detail, config=differs))
    return changes


def _same(has: str | None, wants: str) -> bool:
    return has is not None and sorted(has.split(",")) == sorted(wants.split(","))


def apply(
    settings: Settings, topics: Iterable[Topic] | None = None, *, replication_factor: int = -1
) -> list[Change]:
    """Make what plan says; returns what was done, when the broker shows it.

    Raises MonitorError for what is impossible or refused, or does not show within 30 s. `replication_factor` -1 is
    the broker's default.
    """
    changes = plan(settings, topics)
    for change in changes:
        if change.action == "impossible":
            raise MonitorError(str(change))
    admin = clients.admin(settings)
    for change in changes:
        _make(admin, change, replication_factor)
    _wait_shown(admin, {change.topic: change.partitions for change in changes if change.partitions})
    return changes


def _wait_shown(admin: AdminClient, wanted: Mapping[str, int]) -> None:
    """Until the metadata have the partitions: a broker answers a request before all its parts know of it."""
    deadline = time.monotonic() + _TIMEOUT_S
    left = dict(wanted)
    while left:
        found = admin.list_topics(timeout=_TIMEOUT_S).topics
        left = {name: n for name, n in left.items() if name not in found or len(found[name].partitions) < n}
        if left and time.monotonic() > deadline:
            name, partitions = next(iter(left.items()))
            raise MonitorError(
                f"topic {name}: the broker took the request, but after {_TIMEOUT_S:g} s it does not show "
                f"{partitions} partitions; look again with: stream-monitor topics plan"
            )
        if left:
            time.sleep(_LOOK_S)


def _make(admin: AdminClient, change: Change, replication_factor: int) -> None:
    name = change.topic
    if change.action == "create":
        new = NewTopic(name, change.partitions, replication_factor, config=change.config)
        _result(admin.create_topics([new])[name], name)
    elif change.action == "grow":
        _result(admin.create_partitions([NewPartitions(name, change.partitions)])[name], name)
    else:
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in change.config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        _result(next(iter(admin.incremental_alter_configs([resource]).values())), name)


def _result(future: Any, topic: str) -> Any:
    try:
        return future.result(timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise MonitorError(f"topic {topic}: the broker refused: {clients.reason(error)}") from None
