"""What a check has found, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from threading import Thread
from typing import Literal

from confluent_kafka import KafkaError, KafkaException

from stream_monitor import clients
from stream_monitor.errors import MonitorError, StoppedError

State = Literal["ok", "warn", "fail"]
_LOOK_S = 0.1
_REFUSALS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: how it is, what was looked at, what is there, and what to do about it."""

    state: State
    check: str
    says: str
    do: str = ""

    def __str__(self) -> str:
        line = f"{self.state:<5} {self.check:<10} {self.says}"
        return f"{line}\n{'':<17}→ {self.do}" if self.do else line


class SilentError(MonitorError):
    """A check had no answer in its time."""


def as_json(findings: Iterable[Finding]) -> str:
    """All of them as one JSON document."""
    rows = [asdict(finding) for finding in findings]
    fine = not any(row["state"] == "fail" for row in rows)
    return json.dumps({"v": 1, "ok": fine, "findings": rows}, indent=1, ensure_ascii=False)


def bounded(
    check: str, look: Callable[[], Iterable[Finding]], seconds: float, stopped: Callable[[], bool]
) -> list[Finding]:
    """What a check finds, in a thread of its own, so that it never hangs.

    What the broker refuses is a finding. Raises SilentError where there is no answer within `seconds`, and
    StoppedError.
    """
    found: list[Finding] = []
    raised: list[Exception] = []

    def run() -> None:
        try:
            found.extend(look())
        except Exception as error:  # noqa: BLE001  (whoever waits gets it)
            raised.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    for _ in range(round(seconds / _LOOK_S)):
        thread.join(_LOOK_S)
        if not thread.is_alive():
            return found + [_failed(check, error) for error in raised]
        if stopped():
            raise StoppedError("stopped before it was through")
    raise SilentError(f"no answer within {seconds:g} s")


def _failed(check: str, error: Exception) -> Finding:
    if isinstance(error, TimeoutError):
        raise SilentError("no answer in time")
    if isinstance(error, MonitorError):
        return Finding("fail", check, str(error))
    if not isinstance(error, KafkaException):
        raise error
    if clients.code(error) in _REFUSALS:
        return Finding("warn", check, f"not looked at, for want of a right: {clients.reason(error)}")
    return Finding("fail", check, f"the broker refused: {clients.reason(error)}")
