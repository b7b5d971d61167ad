"""Can it reach everything, with the versions and the rights that it needs? Each line says ok, warn or fail.

finding    a line, and its deadline        machine    settings, versions, the datadir
rights     what this user may do           kafka      cluster, topics, clock, workers, dead letters
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from stream_monitor import clients
from stream_monitor.doctor import kafka, machine, rights
from stream_monitor.doctor.finding import Finding, SilentError, as_json, bounded
from stream_monitor.errors import BrokerUnavailableError, MonitorError, UsageError
from stream_monitor.settings import Settings

_CHECK_S = 40.0
"""For one check; a broker that is silent for so long is asked nothing more."""


def run(
    settings: Settings, *, roles: Sequence[str], output: Literal["text", "json"], stopped: Callable[[], bool]
) -> int:
    """Print what is found; returns 1 where anything fails. `roles` are those that this user has to have."""
    found: list[Finding] = []
    for finding in examine(settings, roles, stopped):
        found.append(finding)
        if output == "text":
            sys.stdout.write(f"{finding}\n")
            sys.stdout.flush()
    if output == "json":
        sys.stdout.write(as_json(found) + "\n")
    return 1 if any(finding.state == "fail" for finding in found) else 0


def examine(settings: Settings, roles: Sequence[str], stopped: Callable[[], bool]) -> Iterator[Finding]:
    """Everything, in order; what needs a broker only where one answers."""
    for of_machine in (machine.settings, machine.versions, machine.datadir):
        yield from of_machine(settings)
    try:
        clients.ensure_broker(settings, stopped)
    except (BrokerUnavailableError, UsageError) as error:
        yield _unreachable(error)
        return
    for check, look in _checks(settings, roles):
        try:
            yield from bounded(check, look, _CHECK_S, stopped)
        except SilentError as error:
            do = "look at the broker's log; the other checks were left out"
            yield Finding("fail", check, f"{settings.broker}: {error}", do)
            return


def _unreachable(error: MonitorError) -> Finding:
    """What to do stands behind the error's last semicolon; where it has none, the broker has refused this user."""
    says, _, do = str(error).rpartition("; ")
    do = do if says else "look at the user, its secret and the certificates: docs/how-to/connect-securely.md"
    return Finding("fail", "broker", says or str(error), f"{do}; what needs a broker was not looked at")


def _checks(settings: Settings, roles: Sequence[str]) -> Iterator[tuple[str, Callable[[], Iterable[Finding]]]]:
    admin = clients.admin(settings)
    yield "broker", lambda: kafka.cluster(admin, settings)
    yield "topics", lambda: kafka.declared(admin, settings)
    yield "rights", lambda: rights.look(admin, settings, roles)
    yield "clock", lambda: kafka.clock(admin, settings)
    yield "workers", lambda: kafka.workers(admin, settings)
    yield "dlq", lambda: kafka.dead_letters(settings)
