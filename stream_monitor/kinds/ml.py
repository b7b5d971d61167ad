"""Prediction services' logs: one line a prediction, with its latency, confidence and class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from stream_monitor.core.distribution import MICRO, Histogram, Linear
from stream_monitor.core.lines import Bools, Ints, Lines
from stream_monitor.core.record import Kind, bounded_label
from stream_monitor.kinds.line import Line, Number, Rejections, decoder, floats, required


class MlLine(Line, gc=False):
    """The fields of a prediction's line."""

    service: str | None = None
    model_version: str | None = None
    prediction_id: str | int | None = None
    prediction: Any = None
    confidence: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    latency_ms: Number | None = None


def _build(lines: Sequence[MlLine], timestamp_ms: Ints, is_error: Bools, reject: Rejections) -> Lines:
    latency = floats([line.latency_ms for line in lines])
    confidence = floats([line.confidence for line in lines])
    predictions = [line.prediction for line in lines]
    is_prediction = ~(np.isnan(latency) & np.isnan(confidence))
    for row in np.flatnonzero(~is_prediction).tolist():
        is_prediction[row] = predictions[row] is not None or lines[row].prediction_id is not None
    return Lines(
        labels=(
            required([line.service for line in lines], "service", reject),
            required([line.model_version for line in lines], "model_version", reject),
        ),
        timestamp_ms=timestamp_ms,
        is_error=is_error,
        counted=is_prediction,
        failed=is_prediction & is_error,
        volume_micro=is_prediction * np.int64(MICRO),
        values=(latency, confidence),
        classes=_classes(predictions),
    )


def _classes(predictions: Sequence[Any]) -> Sequence[str | None]:
    if set(map(type, predictions)) == {str}:  # nearly always, and of few classes
        names = {prediction: _class(prediction) for prediction in set(predictions)}
        return [names[prediction] for prediction in predictions]
    return [_class(prediction) for prediction in predictions]


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
    volume="predictions",
    of="predictions",
)
