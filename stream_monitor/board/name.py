"""A series' name in addresses and answers: `ml:ml.predictor/v1.2.3`.

The kind, a colon, the labels with slashes between them; a slash or a percent sign in a label is percent-encoded,
so a name stands for one series and no other.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream_monitor.core.metric import SeriesId
from stream_monitor.core.record import Kind


def name_of(kind: str, labels: tuple[str, ...]) -> str:
    """The series' name."""
    return f"{kind}:" + "/".join(label.replace("%", "%25").replace("/", "%2F") for label in labels)


def series_of(name: str, kinds: Mapping[str, Kind]) -> SeriesId | None:
    """The series that is called so; None where it is no name of one of these kinds."""
    kind, colon, rest = name.partition(":")
    labels = tuple(part.replace("%2F", "/").replace("%25", "%") for part in rest.split("/"))
    if not colon or kind not in kinds or len(labels) != len(kinds[kind].labels):
        return None
    return kind, labels
