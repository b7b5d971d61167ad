"""Kafka consumers' reports: lag, latency and throughput of a group on a topic, by partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta

from stream_monitor.core.distribution import Histogram
from stream_monitor.core.lines import NO_KEY, Bools, Ints, Lines
from stream_monitor.core.record import Kind
from stream_monitor.kinds.line import Line, Number, Rejections, decoder, floats, required

MAX_PARTITION = (1 << 31) - 1


class KafkaLine(Line, gc=False):
    """The fields of a consumer's report."""

    consumer_lag: Number | None = None
    topic: str | None = None
    partition: Annotated[int, Meta(ge=0, le=MAX_PARTITION)] | None = None
    consumer_group: str | None = None
    latency_ms: Number | None = None
    messages_per_second: Number | None = None


def _build(lines: Sequence[KafkaLine], timestamp_ms: Ints, is_error: Bools, reject: Rejections) -> Lines:
    lag = floats([line.consumer_lag for line in lines])
    rate = floats([line.messages_per_second for line in lines])
    partition = floats([line.partition for line in lines])
    for row in np.flatnonzero(lag % 1 > 0).tolist():
        reject.add(row, "wrong_type", f"consumer_lag: {lag[row]!r} is not a whole number")
    for row in np.flatnonzero(np.isnan(partition) & ~(np.isnan(lag) & np.isnan(rate))).tolist():
        reject.add(row, "missing_field", "partition: absent beside consumer_lag or messages_per_second")
    return Lines(
        labels=(
            required([line.consumer_group for line in lines], "consumer_group", reject),
            required([line.topic for line in lines], "topic", reject),
        ),
        timestamp_ms=timestamp_ms,
        is_error=is_error,
        counted=np.ones(len(lines), dtype=np.bool_),
        failed=is_error,
        volume_micro=np.zeros(len(lines), dtype=np.int64),
        values=(floats([line.latency_ms for line in lines]),),
        gauge_key=np.nan_to_num(partition, nan=NO_KEY).astype(np.int64),
        gauges=(lag, rate),
    )


KAFKA = Kind(
    name="kafka",
    labels=("consumer_group", "topic"),
    measures=(("latency_ms", Histogram),),
    decode=decoder(KafkaLine, _build),
    gauges=("consumer_lag", "messages_per_second"),
    rate_gauge="messages_per_second",
    volume="messages",
    of="reports",
)
