"""Kafka consumers' reports: lag, latency and throughput of a group on a topic, by partition."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from stream_monitor.core.distribution import Histogram
from stream_monitor.core.record import Kind, Record
from stream_monitor.kinds.line import Line, Number, Refusal, decoder, exception_type, label

MAX_PARTITION = (1 << 31) - 1

_NAMES = {partition: str(partition) for partition in range(4096)}


class KafkaLine(Line, gc=False):
    """The fields of a consumer's report."""

    consumer_group: str | None = None
    topic: str | None = None
    partition: Annotated[int, Meta(ge=0, le=MAX_PARTITION)] | None = None
    consumer_lag: Number | None = None
    latency_ms: Number | None = None
    messages_per_second: Number | None = None


def _build(line: KafkaLine, timestamp_ms: int, is_error: bool) -> Record:
    lag, rate, partition = line.consumer_lag, line.messages_per_second, line.partition
    if lag is not None and lag % 1:
        raise Refusal("wrong_type", f"consumer_lag: {lag!r} is not a whole number")
    if partition is None and (lag is not None or rate is not None):
        raise Refusal("missing_field", "partition: absent beside consumer_lag or messages_per_second")
    return Record(
        labels=(
            label(line.consumer_group, "consumer_group"),
            label(line.topic, "topic"),
        ),
        timestamp_ms=timestamp_ms,
        is_error=is_error,
        counted=True,
        failed=is_error,
        exception=exception_type(line),
        values=(line.latency_ms,),
        gauge_key=None if partition is None else _NAMES.get(partition) or str(partition),
        gauges=(lag, rate),
    )


KAFKA = Kind(
    name="kafka",
    labels=("consumer_group", "topic"),
    measures=(("latency_ms", Histogram),),
    decode=decoder(KafkaLine, _build),
    gauges=("consumer_lag", "messages_per_second"),
    rate_gauge="messages_per_second",
)
