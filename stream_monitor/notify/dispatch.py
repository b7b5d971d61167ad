"""What is due for one channel, and when. Pure: time is an argument, nothing is sent here.

Of each alert the channel is told once that it fires (again where it gets worse, or after `repeat_ms`), and
once that it is over, if it was told that it fires. Alerts of a group are one message; the first waits
`group_wait_ms` for the others. Over the rate limit messages wait and grow together: none is lost, and none
comes twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from stream_monitor.core.rule import SEVERITIES
from stream_monitor.core.silence import Silence, silenced_by
from stream_monitor.wire import AlertRecord

HOUR_MS = 3_600_000
MAX_TRIES = 300
"""Then a message is given up; it was tried for a day."""
MAX_LINES = 50
"""Alerts that a message for people names; of the others it says how many there are."""
MAX_REMEMBERED = 10_000
"""Alerts that are over are remembered, the latest so many."""
MAX_TEXT = 1000
_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS = 1000, 300_000


def pause_ms(tries: int) -> int:
    """Before the next try, after so many: twice as long each time."""
    doubled: int = _FIRST_PAUSE_MS * 2 ** min(tries - 1, 20)
    return min(doubled, _LONGEST_PAUSE_MS)


@dataclass(slots=True)
class _Told:
    """What the channel knows of an alert."""

    record: AlertRecord
    """The newest."""
    offset: int
    news_ms: int
    """Since when there is something to tell."""
    told: tuple[bool, int] | None = None
    """The rank of the record that it was told; None: it knows nothing of it."""
    told_ms: int = 0


@dataclass(slots=True)
class Policy:
    """How a channel is told."""

    min_severity: str = "info"
    group_by: Sequence[str] = ("kind", "rule")
    group_wait_ms: int = 5000
    repeat_ms: int = 0
    """Firing alerts are told again so often; 0: once is enough."""
    per_hour: int = 60
    silences: Sequence[Silence] = ()


@dataclass(slots=True)
class Message:
    """Alerts of one group, to be sent together."""

    group: tuple[str, ...]
    alerts: list[AlertRecord]
    tries: int = 0


@dataclass
class Dispatch:
    """One channel's alerts."""

    policy: Policy
    given_up_total: int = 0
    sent_total: int = 0
    _alerts: dict[bytes, _Told] = field(default_factory=dict)
    _sent_ms: list[int] = field(default_factory=list)
    _failed: dict[tuple[str, ...], tuple[int, int]] = field(default_factory=dict)
    """By group: (tries, not before)."""

    def take(self, record: AlertRecord, offset: int, now_ms: int, *, told: bool = False) -> None:
        """A record of the alerts topic. `told`: it was dealt with before a restart."""
        key = record.key
        known = self._alerts.get(key)
        if known is None:
            known = self._alerts[key] = _Told(record, offset, now_ms)
        elif record.rank > known.record.rank:
            if known.told == known.record.rank:
                known.news_ms = now_ms
            known.record, known.offset = record, offset
        else:
            return
        if told:
            known.told, known.told_ms = record.rank, now_ms

    def due(self, now_ms: int) -> Message | None:
        """The next message, or None; it counts as under way until `sent` or `failed` is called."""
        self._settle()
        if not self._may_send(now_ms):
            return None
        groups: dict[tuple[str, ...], list[_Told]] = {}
        for told in self._alerts.values():
            if self._has_news(told, now_ms):
                groups.setdefault(self._group(told.record), []).append(told)
        for group, news in groups.items():
            tries, not_before_ms = self._failed.get(group, (0, 0))
            waited = min(told.news_ms for told in news) + self.policy.group_wait_ms <= now_ms
            if waited and not_before_ms <= now_ms:
                records = sorted((told.record for told in news), key=_worst_first)
                return Message(group, records, tries)
        return None

    def sent(self, message: Message, now_ms: int) -> None:
        """The channel took it."""
        self._failed.pop(message.group, None)
        self._sent_ms.append(now_ms)
        self.sent_total += 1
        self._mark(message, now_ms)

    def failed(self, message: Message, now_ms: int) -> bool:
        """It did not: it is tried again later, and in the end given up. Returns whether it was given up."""
        tries = message.tries + 1
        if tries < MAX_TRIES:
            self._failed[message.group] = (tries, now_ms + pause_ms(tries))
            return False
        self._failed.pop(message.group, None)
        self.given_up_total += 1
        self._mark(message, now_ms)
        return True

    def settled(self, end_offset: int) -> int:
        """Everything before this offset was dealt with; `end_offset` where nothing is left."""
        self._settle()
        waiting = [told.offset for told in self._alerts.values() if told.told != told.record.rank]
        return min(waiting, default=end_offset)

    def _mark(self, message: Message, now_ms: int) -> None:
        for record in message.alerts:
            known = self._alerts.get(record.key)
            if known is not None:
                known.told, known.told_ms = record.rank, now_ms

    def _settle(self) -> None:
        """What is over and was never told is not worth telling; nor is what is not severe enough.

        An end is remembered: a worker that goes on at its last checkpoint says once more what it said behind it.
        """
        for told in self._alerts.values():
            is_over = told.record.state == "resolved"
            if told.told is None and (is_over or not self._is_severe(told.record)):
                told.told = told.record.rank
        if len(self._alerts) > MAX_REMEMBERED:
            over = [key for key, told in self._alerts.items() if told.record.state == "resolved"]
            for key in over[: len(self._alerts) - MAX_REMEMBERED]:
                if self._alerts[key].told == self._alerts[key].record.rank:
                    del self._alerts[key]

    def _is_severe(self, record: AlertRecord) -> bool:
        return SEVERITIES.index(record.severity) >= SEVERITIES.index(self.policy.min_severity)

    def _has_news(self, told: _Told, now_ms: int) -> bool:
        record, repeat_ms = told.record, self.policy.repeat_ms
        if record.state == "firing" and silenced_by(self.policy.silences, record.named, now_ms):
            return False
        if told.told != record.rank:
            return True
        again = bool(repeat_ms) and record.state == "firing" and now_ms >= told.told_ms + repeat_ms
        return again and self._is_severe(record)

    def _may_send(self, now_ms: int) -> bool:
        self._sent_ms = [sent for sent in self._sent_ms if sent > now_ms - HOUR_MS]
        return len(self._sent_ms) < self.policy.per_hour

    def _group(self, record: AlertRecord) -> tuple[str, ...]:
        named = record.named
        return tuple(named.get(name, "") for name in self.policy.group_by)


def _worst_first(record: AlertRecord) -> tuple[bool, int, str]:
    severity = SEVERITIES.index(record.severity)
    return record.state == "resolved", -severity, record.entity


def text(alerts: Iterable[AlertRecord]) -> tuple[str, str, str]:
    """(title, body, severity or "resolved") of a message for people."""
    alerts = list(alerts)
    firing = [alert for alert in alerts if alert.state == "firing"]
    rules = sorted({alert.rule for alert in firing or alerts})
    count = f" ({len(firing or alerts)})" if len(alerts) > 1 else f" {_clean((firing or alerts)[0].entity)}"
    worst = firing[0].severity if firing else "resolved"
    title = f"[{worst.upper()}] {', '.join(rules)}{count}"
    lines = [line for alert in alerts[:MAX_LINES] for line in _lines(alert)]
    if len(alerts) > MAX_LINES:
        lines.append(f"and {len(alerts) - MAX_LINES} more")
    return title, "\n".join(lines), worst


def _lines(alert: AlertRecord) -> Iterator[str]:
    mark = alert.severity if alert.state == "firing" else f"resolved ({alert.reason})"
    yield f"{mark}: {_clean(alert.summary)}"
    yield f"    {_clean(alert.kind)} {_clean(alert.entity)}, since {alert.since}, as of {alert.at}"
    if alert.runbook_url and alert.state == "firing":
        yield f"    what to do: {_clean(alert.runbook_url)}"


def _clean(text: str) -> str:
    """One line, without what a terminal or a mail would take for more than text: names come out of logs."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:MAX_TEXT])
