"""The alerts topic's records, as topics/alerts.schema.json describes them; unknown fields are passed over."""

from __future__ import annotations

from typing import Any

import msgspec

from stream_monitor import wire


class _Line(msgspec.Struct, gc=False):
    rule: str
    kind: str
    labels: dict[str, str]
    entity: str
    state: str
    severity: str
    since: str
    at: str
    value: float | None = None
    summary: str = ""


class AlertLine(msgspec.Struct, frozen=True):
    """An alert, as it was at its last transition."""

    rule: str
    kind: str
    labels: tuple[str, ...]
    entity: str
    state: str
    severity: str
    since_ms: int
    at_ms: int
    value: float | None
    summary: str

    @property
    def is_firing(self) -> bool:
        """It is not over."""
        return self.state == "firing"

    @property
    def key(self) -> tuple[Any, ...]:
        """(rule, series, since): what identifies it."""
        return (self.rule, self.kind, self.labels, self.since_ms)


_decode = msgspec.json.Decoder(_Line).decode


def alert_from(value: bytes) -> AlertLine:
    """One record. Raises WireError where it is none."""
    try:
        line = _decode(value)
        return AlertLine(
            line.rule,
            line.kind,
            tuple(line.labels.values()),
            line.entity,
            line.state,
            line.severity,
            wire.from_iso(line.since),
            wire.from_iso(line.at),
            line.value,
            line.summary,
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise wire.WireError(f"not an alert: {error}") from None
