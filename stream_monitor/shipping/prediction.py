"""Predictions as logs: a decorator for any callable that predicts, and a context manager for what is no callable.

    @log_predictions(model_version="v1.2.3", service="ml.fraud")
    def predict(rows): …

    with predicting(model_version="v1.2.3", service="ml.fraud") as result:
        result.predicted("legit", 0.97)

A record has latency, class and confidence, never an input; of an exception only its type, whose message may quote
one. A batch is as many records, each with the latency of the call that it came with.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

from stream_monitor.shipping.emitter import Emitter
from stream_monitor.shipping.formatter import type_name

_Function = TypeVar("_Function", bound=Callable[..., Any])
Outcome = tuple[Any, float | None]
"""(class or None, confidence or None) of one prediction."""
_MAX_CLASS = 100
log = logging.getLogger("stream_monitor.shipping")
_CLASS_NAMES = ("prediction", "label", "class", "predicted_class")
_CONFIDENCE_NAMES = ("confidence", "probability", "score")


class Predictions:
    """Logs the predictions of a model. `classes` names the columns of a matrix of probabilities."""

    def __init__(
        self, service: str, model_version: str, logger: str = "ml.predictor", classes: Sequence[Any] | None = None
    ) -> None:
        self._labels = {"service": service, "model_version": model_version}
        self._emitter = Emitter("ml", logger)
        self._classes = classes

    def returned(self, result: Any, latency_ms: float, read: Callable[[Any], Iterable[Outcome]] | None) -> None:
        """Log what a call has returned. Never raises."""
        try:
            outcomes = outcomes_of(result, self._classes) if read is None else list(read(result))
        except Exception as error:  # noqa: BLE001  (a result of another shape than expected; the call goes on)
            outcomes = [(None, None)]
            logging.getLogger("stream_monitor.shipping").warning(
                "cannot read a prediction: %s", type(error).__name__
            )
        for outcome in outcomes:
            try:
                self.predicted(outcome, latency_ms, len(outcomes))
            except Exception as error:  # noqa: BLE001  (an outcome that is no pair; the call goes on)
                logging.getLogger("stream_monitor.shipping").warning(
                    "cannot log a prediction: %s", type(error).__name__
                )

    def predicted(self, outcome: Outcome, latency_ms: float, batch_size: int = 1) -> None:
        """Log one prediction."""
        fields: dict[str, Any] = {**self._labels, "latency_ms": round(latency_ms, 3)}
        prediction, confidence = outcome
        if prediction is not None:
            fields["prediction"] = prediction
        if isinstance(confidence, float | int) and 0.0 <= confidence <= 1.0:
            fields["confidence"] = float(confidence)
        if batch_size > 1:
            fields["batch_size"] = batch_size
        self._emitter.emit(logging.INFO, "predicted", fields)

    def failed(self, error: BaseException, latency_ms: float) -> None:
        """Log that a call has raised."""
        fields = {**self._labels, "latency_ms": round(latency_ms, 3), "error.type": type_name(type(error))}
        self._emitter.emit(logging.ERROR, "prediction failed", fields)


def log_predictions(
    *,
    model_version: str,
    service: str | None = None,
    classes: Sequence[Any] | None = None,
    read: Callable[[Any], Iterable[Outcome]] | None = None,
    logger: str = "ml.predictor",
) -> Callable[[_Function], _Function]:
    """Log what a function (or coroutine function) predicts. `service` is its module and name if not given.

    Read are: a class; (class, confidence); a dict with such keys; a list or array of these; a matrix of
    probabilities, whose columns `classes` names. `read` gives the outcomes of any other result.
    """

    def decorate(function: _Function) -> _Function:
        name = service or f"{function.__module__}.{function.__qualname__}"
        predictions = Predictions(name, model_version, logger, classes)
        clock = time.perf_counter

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            began = clock()
            try:
                result = function(*args, **kwargs)
            except Exception as error:
                predictions.failed(error, (clock() - began) * 1000)
                raise
            predictions.returned(result, (clock() - began) * 1000, read)
            return result

        @wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            began = clock()
            try:
                result = await function(*args, **kwargs)
            except Exception as error:
                predictions.failed(error, (clock() - began) * 1000)
                raise
            predictions.returned(result, (clock() - began) * 1000, read)
            return result

        return cast("_Function", call_async if inspect.iscoroutinefunction(function) else call)

    return decorate


class Result:
    """What a block of `predicting` has found."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def predicted(self, prediction: Any, confidence: float | None = None) -> None:
        """One prediction."""
        self.outcomes.append((_class(prediction), confidence))


@contextmanager
def predicting(*, model_version: str, service: str, logger: str = "ml.predictor") -> Iterator[Result]:
    """Log the predictions of a block, with the block's time. One that names none is one prediction."""
    predictions, result, began = Predictions(service, model_version, logger), Result(), time.perf_counter()
    try:
        yield result
    except Exception as error:
        predictions.failed(error, (time.perf_counter() - began) * 1000)
        raise
    predictions.returned(result.outcomes or [(None, None)], (time.perf_counter() - began) * 1000, list)


def outcomes_of(result: Any, classes: Sequence[Any] | None = None) -> list[Outcome]:
    """The outcomes in what a model usually returns."""
    if isinstance(result, str | int | float):
        return [(_class(result), None)]
    if isinstance(result, dict):
        return [_of_dict(result)]
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], float):
        return [(_class(result[0]), result[1])]
    if hasattr(result, "tolist"):  # numpy's, pandas', torch's: without any of them
        result = result.tolist()
        if not isinstance(result, list):
            return [(_class(result), None)]
    if isinstance(result, list | tuple):
        return [_of_row(row, classes) for row in result]
    return [(None, None)]


def _of_row(row: Any, classes: Sequence[Any] | None) -> Outcome:
    if isinstance(row, dict):
        return _of_dict(row)
    if isinstance(row, tuple) and len(row) == 2:
        return _class(row[0]), row[1]
    if isinstance(row, list) and row and all(isinstance(value, float) for value in row):
        confidence = max(row)
        index = row.index(confidence)
        return _class(classes[index] if classes is not None else index), confidence
    return _class(row), None


def _of_dict(result: dict[str, Any]) -> Outcome:
    prediction = next((result[name] for name in _CLASS_NAMES if name in result), None)
    confidence = next((result[name] for name in _CONFIDENCE_NAMES if name in result), None)
    return _class(prediction), float(confidence) if confidence is not None else None


def _class(value: Any) -> Any:
    """A short text, a number or a truth value; anything else says too much, or nothing."""
    if hasattr(value, "item") and not isinstance(value, str | int | float):
        value = value.item()
    if isinstance(value, str):
        return value if len(value) <= _MAX_CLASS else None
    return value if isinstance(value, int | float) else None
