"""Kafka consumers' reports: lag, latency and throughput of a group on a topic, by partition."""

from __future__ import annotations

from stream_monitor.core.distribution import Histogram
from stream_monitor.core.record import Kind, Record
from stream_monitor.kinds.line import Line, Refusal, decoder, exception_type, label, number

_NAMES = {partition: str(partition) for partition in range(4096)}


class KafkaLine(Line, gc=False):
    """The fields of a consumer's report."""

    consumer_group: str | None = None
    topic: str | None = None
    partition: int | None = None
    consumer_lag: float | None = None
    latency_ms: float | None = None
    messages_per_second: float | None = None


def _build(line: KafkaLine, timestamp_ms: int, is_error: bool) -> Record:
    lag = number(line.consumer_lag, "consumer_lag")
    if lag is not None and lag % 1:
        raise Refusal("wrong_type", f"consumer_lag: {lag!r} is not a whole number")
    rate = number(line.messages_per_second, "messages_per_second")
    partition = line.partition
    if partition is not None:
        number(partition, "partition")
    elif lag is not None or rate is not None:
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
        values=(number(line.latency_ms, "latency_ms"),),
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
