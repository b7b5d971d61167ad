"""What the user of this connection may do, as the broker itself says it: nothing is tried, nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient

from stream_monitor import clients, topics
from stream_monitor.doctor.finding import Finding
from stream_monitor.settings import Settings

ANSWER_S = 15.0
_READ, _WRITE = AclOperation.READ, AclOperation.WRITE
_MAKE = (
    AclOperation.CREATE,
    AclOperation.DESCRIBE,
    AclOperation.DESCRIBE_CONFIGS,
    AclOperation.ALTER,
    AclOperation.ALTER_CONFIGS,
)


@dataclass(frozen=True, slots=True)
class Role:
    """What one use of stream-monitor has to be allowed: operations by the start of topics' names, and a group."""

    does: str
    topics: Mapping[str, Sequence[AclOperation]]
    group: str | None = None


ROLES = {
    "operator": Role("make and change the topics", {"": _MAKE}),
    "worker": Role(
        "run a worker",
        {
            "": (_READ,),
            **dict.fromkeys(("partials", "metrics.", "state.", "alerts", "dlq"), (_WRITE,)),
        },
        "monitor",
    ),
    "viewer": Role(
        "read what the views show", {"metrics.": (_READ,), "logs.": (_READ,), "alerts": (_READ,), "dlq": (_READ,)}
    ),
    "notifier": Role("send alerts on", {"alerts": (_READ, _WRITE)}, "notify"),
    "shipper": Role("ship logs", {"logs.": (_WRITE,)}),
    "reporter": Role("report the lag of the groups that it may describe", {"logs.kafka": (_WRITE,)}),
}
"""As docs/how-to/connect-securely.md names them; a test compares the two."""

Allowed = dict[str, frozenset[AclOperation] | None]
"""By topic without prefix: what is allowed; None where the broker does not say."""


def of_topics(admin: AdminClient, settings: Settings) -> Allowed:
    """What is allowed with each declared topic; those that are not there, or not to be seen, are left out."""
    names = {settings.topic(topic.name): topic.name for topic in topics.declared()}
    asked = admin.describe_topics(
        TopicCollection([*names]), include_authorized_operations=True, request_timeout=ANSWER_S
    )
    found: Allowed = {}
    for topic, future in asked.items():
        try:
            operations = future.result(timeout=ANSWER_S).authorized_operations
        except KafkaException:
            continue
        found[names[topic]] = None if operations is None else frozenset(operations)
    return found


def look(admin: AdminClient, settings: Settings, roles: Sequence[str]) -> Iterator[Finding]:
    """A line for each role. One that was asked for and may not is a failure."""
    allowed = of_topics(admin, settings)
    if not allowed:
        yield Finding("warn", "rights", "not looked at, as are clock, workers and dlq: there is no topic yet")
        return
    if None in allowed.values():
        yield Finding("ok", "rights", "the broker does not say what is allowed: it asks nobody who he is")
        return
    for name in roles or ROLES:
        role = ROLES[name]
        missing = _missing(role, allowed) + _missing_group(admin, settings, role)
        if not missing:
            yield Finding("ok", "rights", f"as {name}, this user may {role.does}")
            continue
        do = "grant it, if this user is to be one: docs/how-to/connect-securely.md has the commands"
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        says = f"as {name}, this user may not {role.does}: it lacks {', '.join(missing[:3])}{more}"
        yield Finding("fail" if roles else "warn", "rights", says, do)


def _missing(role: Role, allowed: Allowed) -> list[str]:
    """`Write on metrics.1m`, for each topic that is declared."""
    lacks = []
    for topic in topics.declared():
        has = allowed.get(topic.name) or frozenset()
        for start, operations in role.topics.items():
            if topic.name.startswith(start):
                lacks += [f"{_name(each)} on {topic.name}" for each in operations if each not in has]
    return lacks


def _missing_group(admin: AdminClient, settings: Settings, role: Role) -> list[str]:
    if role.group is None:
        return []
    group = f"{settings.prefix}.{role.group}"
    future = admin.describe_consumer_groups(
        [group], include_authorized_operations=True, request_timeout=ANSWER_S
    )[group]  # fmt: skip
    try:
        operations = future.result(timeout=ANSWER_S).authorized_operations
    except KafkaException as error:
        refused = clients.code(error) == KafkaError.GROUP_AUTHORIZATION_FAILED
        return [f"Read on the group {group}"] if refused else []
    return [f"Read on the group {group}"] if operations and _READ not in operations else []


def _name(operation: AclOperation) -> str:
    """`ALTER_CONFIGS` → `AlterConfigs`."""
    return operation.name.title().replace("_", "")
