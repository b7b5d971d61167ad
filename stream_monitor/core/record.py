"""What a log line is to the monitor, whatever its kind: a row of Lines, or Rejected with a reason.

A kind (see `stream_monitor/kinds/`) turns bytes into one of the two; nothing after it looks at the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple
from zlib import crc32

from stream_monitor.core.distribution import Distribution
from stream_monitor.core.lines import Ints, Lines

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


class Decoded(NamedTuple):
    """What became of a batch of values."""

    lines: Lines
    rows: Ints
    """By line: which of the values it was. Ascending."""
    rejected: Sequence[tuple[int, Rejected]]
    """(which of the values, why). Ascending."""


@dataclass(frozen=True)
class Kind:
    """A kind of log: how it is called, what its series and measures are, how it is decoded."""

    name: str
    labels: tuple[str, ...]
    """Names of the labels that make a series."""
    measures: tuple[tuple[str, type[Distribution]], ...]
    """Names and families, at least one; the first is the one whose slowest record is kept as an exemplar."""
    decode: Callable[[Sequence[bytes | None], Ints], Decoded]
    """(values, their Kafka timestamps in ms) → lines and rejections. Never raises."""
    gauges: tuple[str, ...] = ()
    rate_gauge: str | None = None
    """The gauge whose mean × window length, summed over its keys, is the volume."""
    classes: bool = False
    volume: str = "records"
    """What its volume counts, for people."""
    of: str = "records"
    """What its errors are of, for people."""

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
