"""An alert's transition: key and value of a record of the alerts topic (topics/alerts.schema.json)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
import orjson

from stream_monitor.core.alert import Transition
from stream_monitor.core.record import Kind
from stream_monitor.wire.identity import from_iso, iso, series_key
from stream_monitor.wire.public import WireError

ALERT_VERSION = 1


class AlertRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the alerts topic. The greatest (`state`, `at`) of a key is what counts: resolved is the
    end."""

    v: int = ALERT_VERSION
    rule: str
    kind: str
    labels: dict[str, str]
    entity: str
    state: str
    severity: str
    since: str
    at: str
    value: float | None
    summary: str
    reason: str = ""
    rule_labels: dict[str, str] = {}
    runbook_url: str = ""

    @property
    def key(self) -> bytes:
        """(rule, series, since), canonical."""
        return alert_key(self.rule, series_key(self.kind, self.label_values), self.since_ms)

    @property
    def since_ms(self) -> int:
        """The start of its first minute."""
        return _ms(self.since)

    @property
    def at_ms(self) -> int:
        """Of the transition, in event time."""
        return _ms(self.at)

    @property
    def label_values(self) -> tuple[str, ...]:
        """The labels in their order."""
        return tuple(self.labels.values())

    @property
    def is_firing(self) -> bool:
        """It is not over."""
        return self.state == "firing"

    @property
    def rank(self) -> tuple[bool, int]:
        """Of two records of a key the greater one counts."""
        return self.state == "resolved", self.at_ms

    @property
    def named(self) -> dict[str, str]:
        """What silences and groups go by."""
        return {
            **self.rule_labels, **self.labels, "rule": self.rule, "kind": self.kind, "severity": self.severity,
            "entity": self.entity,
        }  # fmt: skip


@lru_cache(maxsize=16384)
def _ms(text: str) -> int:
    return from_iso(text)


def alert_key(rule: str, series: bytes, since_ms: int) -> bytes:
    """`["rule",["ml",["s","v"]],1705314600000]`."""
    return b"[%b,%b,%d]" % (orjson.dumps(rule), series, since_ms)


def alert_record(transition: Transition, kind: Kind) -> AlertRecord:
    """The record of a transition of a kind's series."""
    rule, labels = transition.rule, dict(zip(kind.labels, transition.labels, strict=True))
    entity = kind.entity(transition.labels)
    return AlertRecord(
        rule=rule.name,
        kind=transition.kind,
        labels=labels,
        entity=entity,
        state=transition.state,
        severity=transition.severity,
        since=iso(transition.since_ms),
        at=iso(transition.at_ms),
        value=transition.value,
        summary=summary(rule.summary, transition, {**labels, "entity": entity}),
        reason=transition.reason,
        rule_labels=dict(rule.labels),
        runbook_url=rule.runbook_url,
    )


def summary(template: str, transition: Transition, names: Mapping[str, str]) -> str:
    """The rule's text about this alert; `?` stands for a value that is not known."""
    known: dict[str, Any] = {**names, "rule": transition.rule.name, "severity": transition.severity}
    known["value"] = _Unknown() if transition.value is None else transition.value
    return template.format_map(known)


class _Unknown:
    def __format__(self, _: str) -> str:
        return "?"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AlertRecord).decode


def alert_out(record: AlertRecord) -> bytes:
    """The record's Kafka value."""
    return _encode(record)


def alert_in(value: bytes | None) -> AlertRecord:
    """The record in a Kafka value. Raises WireError where it is none."""
    try:
        record = _decode(value or b"")
        if record.v != ALERT_VERSION:
            raise WireError(f"alert of version {record.v!r}; this release reads {ALERT_VERSION}")
        _ = record.since_ms, record.at_ms
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError) as error:
        raise WireError(f"not an alert: {error}") from None
    return record
