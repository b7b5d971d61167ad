"""One file per kind of log, one row here for each. docs/reference/kinds.md says what each reads."""

from __future__ import annotations

from stream_monitor.core.record import Kind
from stream_monitor.kinds.airflow import AIRFLOW
from stream_monitor.kinds.kafka import KAFKA
from stream_monitor.kinds.ml import ML

KINDS: dict[str, Kind] = {kind.name: kind for kind in (AIRFLOW, KAFKA, ML)}
