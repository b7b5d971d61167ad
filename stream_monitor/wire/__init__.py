"""The only owner of field names and schema versions: bytes ↔ core values.

identity   keys and times
public     metrics and dead letters, in JSON
minute     a metrics record as the rules and the exporter read it
alert      an alert's transition, in JSON
internal   partials, ticks and table rows, in MessagePack
"""

from stream_monitor.wire.alert import AlertRecord, alert_in, alert_key, alert_out, alert_record
from stream_monitor.wire.identity import (
    from_iso,
    iso,
    iso_second,
    metric_key,
    partition_for,
    series_key,
    series_parts,
)
from stream_monitor.wire.internal import (
    ForeignRecordError,
    Partial,
    Tick,
    UnknownVersionError,
    aggregate_in,
    aggregate_out,
    partial_out,
    partials_in,
    row_in,
    row_out,
    tick_out,
)
from stream_monitor.wire.metric import metric_from
from stream_monitor.wire.minute import Measure, ObservedMinute, observed
from stream_monitor.wire.public import (
    MetricLine,
    WireError,
    dlq_late_partial,
    dlq_record,
    metric_line,
    metric_value,
)

__all__ = [
    "AlertRecord",
    "ForeignRecordError",
    "Measure",
    "MetricLine",
    "ObservedMinute",
    "Partial",
    "Tick",
    "UnknownVersionError",
    "WireError",
    "aggregate_in",
    "aggregate_out",
    "alert_in",
    "alert_key",
    "alert_out",
    "alert_record",
    "dlq_late_partial",
    "dlq_record",
    "from_iso",
    "iso",
    "iso_second",
    "metric_from",
    "metric_key",
    "metric_line",
    "metric_value",
    "observed",
    "partial_out",
    "partials_in",
    "partition_for",
    "row_in",
    "row_out",
    "series_key",
    "series_parts",
    "tick_out",
]
