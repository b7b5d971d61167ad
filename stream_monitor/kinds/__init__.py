"""One file per kind of log, one row here for each. docs/reference/kinds.md says what each reads.

A row costs nothing to read: the command line, the settings and shipping, which lives in other people's processes,
know the kinds by it. A kind's file needs numpy, and is imported when its Kind is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from stream_monitor.core.record import Kind


class Row(NamedTuple):
    """What is known of a kind without its file."""

    title: str
    """For people; its first word is the dashboard's tab."""
    labels: tuple[str, ...]
    """The fields that make its series and a record's key; the same as its Kind's."""
    required: int
    """How many of the labels, from the first, every line must have."""
    numbers: tuple[str, ...] = ()
    """The fields that hold numbers, which `ship` reads from `name=value` in a line of text, as it reads labels.
    Airflow has none: its decoder reads them from the message.
    """


class Kinds(Mapping[str, "Kind"]):
    """Name → Kind: `KINDS["ml"]` is ML of kinds/ml.py. Names and `rows` import nothing."""

    def __init__(self, rows: dict[str, Row]) -> None:
        self.rows = rows
        self._loaded: dict[str, Kind] = {}

    def __getitem__(self, name: str) -> Kind:
        if name not in self._loaded:
            if name not in self.rows:
                raise KeyError(name)
            kind: Kind = getattr(import_module(f"{__name__}.{name}"), name.upper())
            self._loaded[name] = kind
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


KINDS = Kinds(
    {
        "airflow": Row("Airflow", ("dag_id", "task_id"), required=1),
        "kafka": Row(
            "Kafka consumers",
            ("consumer_group", "topic"),
            required=2,
            numbers=("partition", "consumer_lag", "messages_per_second", "latency_ms"),
        ),
        "ml": Row("ML services", ("service", "model_version"), required=2, numbers=("latency_ms", "confidence")),
    }
)
"""Everybody's order. Who tells a kind by a log's fields looks from the last row to the first."""
