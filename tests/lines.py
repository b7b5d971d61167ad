"""Single log lines, for tests: what a kind makes of one, and an aggregate that takes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stream_monitor.core.aggregate import Aggregate
from stream_monitor.core.fold import fold
from stream_monitor.core.lines import NO_KEY, Lines
from stream_monitor.core.record import Kind, Rejected


@dataclass(frozen=True)
class Record:
    """One row of Lines; None is "not in this line"."""

    labels: tuple[str, ...]
    timestamp_ms: int
    is_error: bool = False
    counted: bool = False
    failed: bool = False
    volume_micro: int = 0
    exception: str | None = None
    values: tuple[float | None, ...] = ()
    gauge_key: int | None = None
    gauges: tuple[float | None, ...] = ()
    label: str | None = None


def columns(kind: Kind, records: Sequence[Record]) -> Lines:
    """The records as Lines."""
    volume = [record.volume_micro for record in records]
    return Lines(
        labels=tuple([record.labels[index] for record in records] for index in range(len(kind.labels))),
        timestamp_ms=np.array([record.timestamp_ms for record in records], np.int64),
        is_error=np.array([record.is_error for record in records], np.bool_),
        counted=np.array([record.counted for record in records], np.bool_),
        failed=np.array([record.failed for record in records], np.bool_),
        volume_micro=np.array(volume, object if sum(volume) > 1 << 62 else np.int64),
        values=tuple(np.array([record.values[n] for record in records], float) for n in range(len(kind.measures))),
        gauge_key=np.array([NO_KEY if r.gauge_key is None else r.gauge_key for r in records], np.int64)
        if kind.gauges
        else None,
        gauges=tuple(np.array([record.gauges[n] for record in records], float) for n in range(len(kind.gauges))),
        classes=[record.label for record in records] if kind.classes else None,
        exceptions={row: r.exception for row, r in enumerate(records) if r.exception is not None},
    )


def decode(kind: Kind, value: bytes | None, kafka_ms: int = 1_705_314_600_000) -> Lines | Rejected:
    """One line, or why it is none."""
    lines, rows, rejected = kind.decode([value], np.array([kafka_ms]))
    assert [*rows.tolist(), *(row for row, _ in rejected)] == [0]
    return rejected[0][1] if rejected else lines


def fold_one(whole: Aggregate, kind: Kind, line: Lines | Rejected, partition: int, offset: int) -> None:
    """Fold one line, which was read there."""
    assert isinstance(line, Lines), line
    assert len(line) == 1
    fold(kind, [whole], np.zeros(1, np.int64), line, partition, np.array([offset]))


def fold_all(kind: Kind, items: Sequence[tuple[int, Record]], partition: int = 3) -> Aggregate:
    """A new aggregate of (offset, record)s, folded at once."""
    whole = Aggregate.empty(kind)
    lines = columns(kind, [record for _, record in items])
    offsets = np.array([offset for offset, _ in items], np.int64)
    fold(kind, [whole], np.zeros(len(items), np.int64), lines, partition, offsets)
    return whole
