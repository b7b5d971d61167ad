"""Is everything as the oracle says? For chaos runs and fail-points alike."""

from __future__ import annotations

import json
import time
from collections import Counter

from stream_monitor import offsets, wire
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from tests.chaos.fleet import Fleet
from tests.chaos.oracle import expected
from tests.expected import differences
from tests.workers import everything, folded, metrics


def settle(settings: Settings, fleet: Fleet, seconds: float) -> None:
    """Until the logs, then the partials that came of them, are in committed checkpoints."""
    deadline = time.monotonic() + seconds
    for names in (offsets.SOURCES, ("partials",)):
        upto = offsets.ends(settings, names)
        while behind := offsets.behind(settings, upto):
            fleet.tend()
            assert time.monotonic() < deadline, f"{behind} records of {names} are not committed"
            time.sleep(0.5)


def problems(settings: Settings, fleet: Fleet, seconds: float = 90) -> list[str]:
    """One line for each thing that is not as the oracle says; waits until all windows have closed."""
    windows, rejected, read = expected(settings)
    wanted = sum(row["records"] for key, row in windows.items() if key[2] == 60)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        fleet.tend()
        found = metrics(settings)
        if folded(found) == folded(found, 86400) == wanted:
            break
        time.sleep(1)
    time.sleep(3)  # corrections of hours and days are written by the next checkpoint
    lines = differences(metrics(settings), windows) + _compacted(settings)
    return lines + _dead_letters(settings, rejected) + _conservation(settings, fleet, rejected, read)


def _compacted(settings: Settings) -> list[str]:
    """Kafka compacts to the last record of a key: of a window that has retired that is the best one."""
    lines = []
    for name in ("metrics.1m", "metrics.1h", "metrics.1d"):
        best: dict = {}
        last: dict = {}
        newest_ms = 0
        for key, value in everything(settings, name):
            metric = wire.metric_from(value, KINDS)
            newest_ms = max(newest_ms, metric.end_ms)
            last[key] = metric
            if key not in best or metric.supersedes(best[key]):
                best[key] = metric
        lines += [
            f"{name} {key!r}: the last record has revision {last[key].revision}, the best {metric.revision}"
            for key, metric in best.items()
            if last[key].revision != metric.revision and metric.end_ms < newest_ms - 75 * 60_000
        ]
    return lines


def _dead_letters(settings: Settings, rejected: dict) -> list[str]:
    found = {}
    for _, value in everything(settings, "dlq"):
        letter = json.loads(value)
        source = letter["source"]
        found[source["topic"], source["partition"], source["offset"]] = letter["reason"]
    return [
        f"dead letter {place}: {found.get(place)}, expected {rejected.get(place)}"
        for place in sorted(found.keys() | rejected.keys())
        if found.get(place) != rejected.get(place)
    ]


def _conservation(settings: Settings, fleet: Fleet, rejected: dict, read: Counter) -> list[str]:
    records, merged = fleet.counters()
    reasons = Counter((topic, partition, reason) for (topic, partition, _), reason in rejected.items())
    lines = []
    for (topic, partition), count in read.items():
        lost = sum(times for (t, p, _), times in reasons.items() if (t, p) == (topic, partition))
        wanted = {"read": count, "folded": count - lost}
        wanted |= {reason: times for (t, p, reason), times in reasons.items() if (t, p) == (topic, partition)}
        have = {o: times for (t, p, o), times in records.items() if (t, p) == (topic, partition) and times}
        if have != {o: times for o, times in wanted.items() if times}:
            lines.append(f"counters of {topic}/{partition}: {have}, expected {wanted}")
        kind = topic.removeprefix(settings.topic("logs."))
        out = merged[kind, partition, "published"] + merged[kind, partition, "late"]
        if out != wanted["folded"]:
            lines.append(f"{topic}/{partition}: folded {wanted['folded']}, published or late {out}")
    return lines
