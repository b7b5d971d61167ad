"""What may stand in the rules' file: the models are the schema, and the tables of docs/reference/alerts.md."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS
from stream_monitor.kinds import KINDS
from stream_monitor.near import shown, suggestion
from stream_monitor.rules import sense

MAX_RULES = 500
_MAX_PATTERNS = 1000
_UNITS_MS = {"s": 1000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_DURATION = re.compile(r"(?:(\d+)(w|d|h|m|s))+", re.ASCII)
_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


def duration_ms(text: Any) -> int:
    """`1h30m` → milliseconds; Prometheus' notation. Raises ValueError."""
    if not isinstance(text, str) or len(text) > 50 or not _DURATION.fullmatch(text):
        raise ValueError(f"a duration such as 90s, 5m, 1h30m or 3d, not {shown(text)}")
    parts = re.findall(r"(\d+)([wdhms])", text)
    total = sum(int(number) * _UNITS_MS[unit] for number, unit in parts)
    if total > 31 * DAY_MS:
        raise ValueError(f"{text} is longer than 31 days")
    return total


def _minutes(value: int) -> int:
    if value <= 0 or value % MINUTE_MS:
        raise ValueError("whole minutes, at least one: metrics are minutes")
    return value


def _a_minute(value: int) -> int:
    if value < MINUTE_MS:
        raise ValueError("at least 1m: metrics are minutes")
    return value


def _two_hours(value: int) -> int:
    if value < 2 * HOUR_MS:
        raise ValueError("at least 2h: of less nothing is usual")
    return value


def _kind(value: str) -> str:
    if value not in KINDS:
        near = suggestion(value, KINDS)
        raise ValueError(f"there is no kind {shown(value)}; there are: {', '.join(KINDS)}{near}")
    return value


def _words(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
        raise ValueError("a text or a list of texts; what YAML takes for a number or a yes goes in quotes")
    return value


def _no_yes(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"a number, not {value}")  # noqa: TRY004  (pydantic takes a ValueError)
    return value


def _text_of_a_time(value: Any) -> Any:
    """A bare number would be a Unix time, of which nobody thinks."""
    if not isinstance(value, str | datetime):
        raise ValueError("a time with an offset or Z, such as 2025-01-31T18:00:00Z")  # noqa: TRY004  (as above)
    return value


_TEXT = WithJsonSchema({"type": "string", "pattern": r"^(\d+[wdhms])+$"})
Number = Annotated[float, BeforeValidator(_no_yes)]
Duration = Annotated[int, BeforeValidator(duration_ms), _TEXT]
Minutes = Annotated[int, BeforeValidator(duration_ms), AfterValidator(_minutes), _TEXT]
AMinute = Annotated[int, BeforeValidator(duration_ms), AfterValidator(_a_minute), _TEXT]
TwoHours = Annotated[int, BeforeValidator(duration_ms), AfterValidator(_two_hours), _TEXT]
Words = Annotated[
    tuple[str, ...],
    BeforeValidator(_words),
    Field(max_length=_MAX_PATTERNS),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]}),
]
Moment = Annotated[
    datetime, BeforeValidator(_text_of_a_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
KindName = Annotated[str, AfterValidator(_kind), WithJsonSchema({"enum": [*KINDS], "type": "string"})]
SeverityName = Literal["info", "warning", "critical"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TierModel(_Model):
    """A pair of windows of a burn rate."""

    over: Annotated[Minutes, Field(description="The long window")]
    and_over: Annotated[Minutes | None, Field(description="The short one: it must burn there, too")] = None
    factor: Annotated[Number, Field(gt=0, description="Times the rate that would just use the budget up")]
    severity: Annotated[SeverityName, Field(description="Of the alert then")] = "warning"


_TIERS = (
    TierModel(over="1h", and_over="5m", factor=14.4, severity="critical"),  # type: ignore[arg-type]
    TierModel(over="6h", and_over="30m", factor=6, severity="critical"),  # type: ignore[arg-type]
    TierModel(over="3d", and_over="6h", factor=1, severity="warning"),  # type: ignore[arg-type]
)


class BurnModel(_Model):
    """An error budget."""

    objective: Annotated[Number, Field(gt=0, lt=1, description="The share that must succeed, such as 0.99")]
    ratio: Annotated[str, Field(description="What fails, by what there is")] = "errors/of"
    tiers: Annotated[tuple[TierModel, ...], Field(min_length=1, description="From the most urgent on")] = _TIERS


class RuleModel(_Model):
    """One alert rule: a name, one condition, and what is said."""

    name: Annotated[str, Field(pattern=_NAME, max_length=100, description="Unique; also Alertmanager's alertname")]
    kind: Annotated[KindName | None, Field(description="All kinds, if absent")] = None
    match: Annotated[
        dict[str, Words],
        Field(description="Label (or `entity`) → pattern, or patterns of which one must fit (`*`, `?`, `[…]`)"),
    ] = {}
    measure: Annotated[str | None, Field(description="What is compared: see the measures below")] = None
    above: Annotated[Number | None, Field(description="The condition holds while the measure is above")] = None
    below: Annotated[Number | None, Field(description="… or below this")] = None
    clear: Annotated[Number | None, Field(description="A firing alert stays until it is back to this")] = None
    over: Annotated[Minutes, Field(description="The window; over a minute: counts, ratios, means")] = MINUTE_MS
    relative_to: Annotated[
        TwoHours | None,
        Field(description="Divide the measure by what it was over this time before (`above: 3`: three times)"),
    ] = None
    min_count: Annotated[
        int,
        Field(ge=0, description="To begin it takes so many runs, reports, predictions or values in the window"),
    ] = 1
    min_errors: Annotated[int, Field(ge=0, description="… and so many errors")] = 0
    status_is: Annotated[Words, Field(description="Statuses of which one must be (docs: Statuses)")] = ()
    floor: Annotated[Number, Field(ge=0, description="With `status_is`: consumer lag that is no fault")] = 0.0
    absent_for: Annotated[
        str | None,
        Field(description="No data for so long, or `usual`: for three times its longest usual gap, 15 m at least"),
    ] = None
    burn_rate: Annotated[BurnModel | None, Field(description="An error budget")] = None
    for_: Annotated[Duration, Field(alias="for", description="It fires when the condition has held so long")] = 0
    keep_firing_for: Annotated[Duration, Field(description="It resolves when it has not held for so long")] = 0
    stale_after: Annotated[AMinute, Field(description="It resolves after so long without data")] = HOUR_MS
    severity: Annotated[SeverityName, Field(description="How bad it is")] = "warning"
    labels: Annotated[dict[str, str], Field(description="Added to the alert, for routing")] = {}
    summary: Annotated[
        str, Field(max_length=500, description="With {entity}, {value}, {rule}, {severity} and the labels' names")
    ] = "{entity}: {rule}"
    runbook_url: Annotated[str, Field(max_length=500, description="What to do, for whoever is woken")] = ""

    @model_validator(mode="after")
    def _makes_sense(self) -> RuleModel:
        for problem in sense.problems(self):
            raise ValueError(problem)
        return self


class SilenceModel(_Model):
    """Alerts that nobody is told of, until a moment."""

    match: Annotated[
        dict[str, Words],
        Field(min_length=1, description="`rule`, `kind`, `severity`, `entity` or a label → pattern or patterns"),
    ]
    until: Annotated[Moment, Field(description="The end, with an offset or Z; a silence always has one")]
    since: Annotated[Moment | None, Field(description="The beginning; at once, if absent")] = None
    reason: Annotated[str, Field(min_length=1, max_length=500, description="Why, and who")]

    @model_validator(mode="after")
    def _has_an_offset(self) -> SilenceModel:
        for name, moment in (("until", self.until), ("since", self.since)):
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{name}: a time with an offset or Z, such as 2025-01-31T18:00:00Z")
        if self.since is not None and self.since >= self.until:
            raise ValueError("since: it is not before until")
        return self


class FileModel(_Model):
    """The whole file."""

    rules: Annotated[tuple[RuleModel, ...], Field(max_length=MAX_RULES, description="The rules")]
    silences: Annotated[tuple[SilenceModel, ...], Field(max_length=MAX_RULES, description="The silences")] = ()
    group_by: Annotated[
        tuple[str, ...], Field(description="Alerts that agree in these are one message: `kind`, `rule`, labels …")
    ] = ("kind", "rule")
