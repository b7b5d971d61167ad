"""Prediction services' logs: one line a prediction, with its latency, confidence and class."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from stream_monitor.core.distribution import MICRO, Histogram, Linear
from stream_monitor.core.record import Kind, Record, bounded_label
from stream_monitor.kinds.line import Line, Number, decoder, exception_type, label


class MlLine(Line, gc=False):
    """The fields of a prediction's line."""

    service: str | None = None
    model_version: str | None = None
    latency_ms: Number | None = None
    confidence: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    prediction_id: str | int | None = None
    prediction: Any = None


def _build(line: MlLine, timestamp_ms: int, is_error: bool) -> Record:
    confidence = line.confidence
    prediction = line.prediction
    is_prediction = (
        line.prediction_id is not None
        or confidence is not None
        or line.latency_ms is not None
        or prediction is not None
    )
    return Record(
        labels=(
            label(line.service, "service"),
            label(line.model_version, "model_version"),
        ),
        timestamp_ms=timestamp_ms,
        is_error=is_error,
        counted=is_prediction,
        failed=is_prediction and is_error,
        volume_micro=MICRO if is_prediction else 0,
        exception=exception_type(line),
        values=(line.latency_ms, confidence),
        label=_class(prediction),
    )


def _class(value: Any) -> str | None:
    """A text, a whole number or a truth value is a class; anything else is none."""
    if isinstance(value, str):
        return bounded_label(value) if value else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return bounded_label(str(value))
    return None


ML = Kind(
    name="ml",
    labels=("service", "model_version"),
    measures=(("latency_ms", Histogram), ("confidence", Linear)),
    decode=decoder(MlLine, _build),
    classes=True,
)
