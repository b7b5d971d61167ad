"""What a log line is to the monitor, whatever its kind: a Record, or Rejected with a reason.

A kind (see `stream_monitor/kinds/`) turns bytes into one of the two; nothing after it looks at the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple
from zlib import crc32

import msgspec

from stream_monitor.core.distribution import Distribution

Reason = Literal[
    "empty",
    "too_large",
    "invalid_utf8",
    "not_json",
    "not_an_object",
    "missing_field",
    "wrong_type",
    "out_of_range",
    "bad_timestamp",
    "too_far_ahead",
    "late",
    "not_internal",
]

OTHER: Final = "__other__"
"""The reserved name of what is over a bound: series, exception types, classes."""

LABEL_MAX: Final = 200


class Rejected(NamedTuple):
    """A log line that cannot be folded: why, and one line of detail for a person."""

    reason: Reason
    detail: str


class Record(msgspec.Struct, gc=False):
    """One log line, decoded.

    `values` are parallel to the kind's measures, `gauges` to its gauges; None is "not in this line".
    """

    labels: tuple[str, ...]
    timestamp_ms: int
    is_error: bool = False
    """Its level is ERROR, CRITICAL or FATAL."""
    counted: bool = False
    """It counts in `of`: a run, a report, a prediction."""
    failed: bool = False
    """It counts in `errors`; only where it is counted."""
    volume_micro: int = 0
    exception: str | None = None
    values: tuple[float | None, ...] = ()
    gauge_key: str | None = None
    gauges: tuple[float | None, ...] = ()
    label: str | None = None
    """Its class, where the kind has classes."""


@dataclass(frozen=True)
class Kind:
    """A kind of log: how it is called, what its series and measures are, how it is decoded."""

    name: str
    labels: tuple[str, ...]
    """Names of the labels that make a series."""
    measures: tuple[tuple[str, type[Distribution]], ...]
    """Names and families; the first is the one whose slowest record is kept as an exemplar."""
    decode: Callable[[bytes, int], Record | Rejected]
    """(value, Kafka timestamp in ms) → Record or Rejected. Never raises."""
    gauges: tuple[str, ...] = ()
    rate_gauge: str | None = None
    """The gauge whose mean × window length, summed over its keys, is the volume."""
    classes: bool = False

    @cached_property
    def rate_index(self) -> int | None:
        """Which of the gauges is the rate."""
        return None if self.rate_gauge is None else self.gauges.index(self.rate_gauge)

    def entity(self, labels: tuple[str, ...]) -> str:
        """The series' name for people: its labels, the empty ones left out."""
        return "/".join(label for label in labels if label)


def bounded_label(text: str) -> str:
    """A label of at most LABEL_MAX characters; a longer one is cut and told apart by its CRC-32."""
    if len(text) <= LABEL_MAX:
        return text
    return f"{text[: LABEL_MAX - 9]}~{crc32(text.encode()):08x}"
