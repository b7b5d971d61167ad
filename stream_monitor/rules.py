"""The alert rules' file: YAML → core/rule.py's rules, with file, line, what and why for everything that is wrong.

The models below are the schema: alerts/rules.schema.json and docs/reference/alerts.md are made from them.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from stream_monitor.core import measure, rule
from stream_monitor.core.health import Status
from stream_monitor.core.silence import Silence
from stream_monitor.core.window import HOUR_MS, MINUTE_MS
from stream_monitor.data import data_dir
from stream_monitor.errors import UsageError
from stream_monitor.kinds import KINDS

MAX_BYTES = 1 << 20
MAX_RULES = 500
_UNITS_MS = {"s": 1000, "m": MINUTE_MS, "h": HOUR_MS, "d": 24 * HOUR_MS, "w": 7 * 24 * HOUR_MS}
_DURATION = re.compile(r"(?:(\d+)(w|d|h|m|s))+", re.ASCII)
_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


def duration_ms(text: Any) -> int:
    """`1h30m` → milliseconds; Prometheus' notation. Raises ValueError."""
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError(f"a duration such as 90s, 5m, 1h30m or 3d, not {text!r}")
    parts = re.findall(r"(\d+)([wdhms])", text)
    total = sum(int(number) * _UNITS_MS[unit] for number, unit in parts)
    if total > 31 * _UNITS_MS["d"]:
        raise ValueError(f"{text} is longer than 31 days")
    return total


def _minutes(value: int) -> int:
    if value <= 0 or value % MINUTE_MS:
        raise ValueError("whole minutes, at least one: metrics are minutes")
    return value


def _kind(value: str) -> str:
    if value not in KINDS:
        raise ValueError(f"there is no kind {value!r}; there are: {', '.join(KINDS)}")
    return value


_TEXT = WithJsonSchema({"type": "string", "pattern": r"^(\d+[wdhms])+$"})
Duration = Annotated[int, BeforeValidator(duration_ms), _TEXT]
Minutes = Annotated[int, BeforeValidator(duration_ms), AfterValidator(_minutes), _TEXT]
Words = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
KindName = Annotated[str, AfterValidator(_kind), WithJsonSchema({"enum": [*KINDS], "type": "string"})]
StatusName = Literal["late", "slow", "unsure", "drifting", "warn", "rewind", "stall", "failing", "silent", "stop"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=False)


class TierModel(_Model):
    """A pair of windows of a burn rate."""

    over: Annotated[Minutes, Field(description="The long window")]
    and_over: Annotated[Minutes | None, Field(description="The short one: it must burn there, too")] = None
    factor: Annotated[float, Field(gt=0, description="Times the rate that would just use the budget up")]
    severity: Annotated[Literal["info", "warning", "critical"], Field(description="Of the alert then")] = "warning"


_TIERS = (
    TierModel(over="1h", and_over="5m", factor=14.4, severity="critical"),  # type: ignore[arg-type]
    TierModel(over="6h", and_over="30m", factor=6, severity="critical"),  # type: ignore[arg-type]
    TierModel(over="3d", and_over="6h", factor=1, severity="warning"),  # type: ignore[arg-type]
)


class BurnModel(_Model):
    """An error budget."""

    objective: Annotated[float, Field(gt=0, lt=1, description="The share that must succeed, such as 0.99")]
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
    above: Annotated[float | None, Field(description="The condition holds while the measure is above")] = None
    below: Annotated[float | None, Field(description="… or below this")] = None
    clear: Annotated[float | None, Field(description="A firing alert stays until it is back to this")] = None
    over: Annotated[Minutes, Field(description="The window; over a minute: counts, ratios, means")] = MINUTE_MS
    relative_to: Annotated[
        Duration | None,
        Field(description="Divide the measure by what it was over this time before (`above: 3`: three times)"),
    ] = None
    min_count: Annotated[
        int,
        Field(ge=0, description="To begin it takes so many runs, reports, predictions or values in the window"),
    ] = 1
    min_errors: Annotated[int, Field(ge=0, description="… and so many errors")] = 0
    status_is: Annotated[Words, Field(description="Statuses of which one must be (docs: Statuses)")] = ()
    floor: Annotated[float, Field(ge=0, description="With `status_is`: consumer lag that is no fault")] = 0.0
    absent_for: Annotated[
        str | None,
        Field(description="No data for so long, or `usual`: for three times its longest usual gap, 15 m at least"),
    ] = None
    burn_rate: Annotated[BurnModel | None, Field(description="An error budget")] = None
    for_: Annotated[Duration, Field(alias="for", description="It fires when the condition has held so long")] = 0
    keep_firing_for: Annotated[Duration, Field(description="It resolves when it has not held for so long")] = 0
    stale_after: Annotated[Duration, Field(description="It resolves after so long without data")] = HOUR_MS
    severity: Annotated[Literal["info", "warning", "critical"], Field(description="How bad it is")] = "warning"
    labels: Annotated[dict[str, str], Field(description="Added to the alert, for routing")] = {}
    summary: Annotated[
        str, Field(max_length=500, description="With {entity}, {value}, {rule}, {severity} and the labels' names")
    ] = "{entity}: {rule}"
    runbook_url: Annotated[str, Field(max_length=500, description="What to do, for whoever is woken")] = ""

    @model_validator(mode="after")
    def _is_one_rule(self) -> RuleModel:
        for problem in _problems(self):
            raise ValueError(problem)
        return self


class SilenceModel(_Model):
    """Alerts that nobody is told of, until a moment."""

    match: Annotated[
        dict[str, Words],
        Field(min_length=1, description="`rule`, `kind`, `severity`, `entity` or a label → pattern or patterns"),
    ]
    until: Annotated[datetime, Field(description="The end, with an offset or Z; a silence always has one")]
    since: Annotated[datetime | None, Field(description="The beginning; at once, if absent")] = None
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


def _problems(model: RuleModel) -> Iterator[str]:
    """What is wrong with a rule as a whole."""
    conditions = {
        "measure": model.measure is not None,
        "status_is": bool(model.status_is),
        "absent_for": model.absent_for is not None,
        "burn_rate": model.burn_rate is not None,
    }
    given = [name for name, is_given in conditions.items() if is_given]
    if len(given) != 1:
        yield f"exactly one condition of {', '.join(conditions)}, not {' and '.join(given) or 'none'}"
    kinds = [KINDS[model.kind]] if model.kind else list(KINDS.values())
    if model.measure is not None:
        yield from _measure_problems(model, kinds)
    elif {"above", "below", "clear", "relative_to"} & model.model_fields_set:
        yield "above, below, clear and relative_to go with measure"
    if model.absent_for is not None and model.absent_for != "usual":
        duration_ms(model.absent_for)
    for status in model.status_is:
        if status not in StatusName.__args__:  # type: ignore[attr-defined]
            yield f"status_is: {status!r} is none of {', '.join(StatusName.__args__)}"  # type: ignore[attr-defined]
    if model.burn_rate is not None and not _is_ratio(model.burn_rate.ratio):
        yield f"burn_rate: ratio: a/b of two of {', '.join(rule.COUNTS)}, not {model.burn_rate.ratio!r}"
    labels = {name for kind in kinds for name in kind.labels}
    for name in model.match:
        if name != "entity" and name not in labels:
            yield f"match: there is no label {name!r}; there are: entity, {', '.join(sorted(labels))}"
    yield from _summary_problems(model.summary, {"entity", "value", "rule", "severity", *labels})


def _measure_problems(model: RuleModel, kinds: Sequence[Any]) -> Iterator[str]:
    name = model.measure or ""
    for kind in kinds:
        if not measure.is_measure(name, kind):
            known = ", ".join(measure.names(kind))
            yield f"measure: {kind.name} has no {name!r}; it has: {known}, or a/b of two counts"
    if (model.above is None) == (model.below is None):
        yield "measure: it takes either above or below"
    if model.over > MINUTE_MS and not measure.adds_up(name):
        yield f"over: {name} is of a minute; counts, ratios and means can be taken over more. use for instead"
    if model.relative_to is not None and not measure.adds_up(name):
        yield f"relative_to: it takes a count, a ratio or a mean, and {name} is none"
    limit = model.above if model.above is not None else model.below
    if model.clear is not None and limit is not None:
        inside = model.clear <= limit if model.above is not None else model.clear >= limit
        if not inside:
            yield f"clear: {model.clear:g} is past the limit {limit:g}: it would resolve before it fires"


def _is_ratio(text: str) -> bool:
    parts = text.split("/")
    return len(parts) == 2 and all(part in rule.COUNTS for part in parts)


def _summary_problems(text: str, names: set[str]) -> Iterator[str]:
    try:
        fields = [(name, spec) for _, name, spec, _ in string.Formatter().parse(text) if name is not None]
        for name, spec in fields:
            if name not in names:
                yield f"summary: there is no {{{name}}}; there are: {', '.join(sorted(names))}"
            elif name == "value":
                format(1.5, spec or "")
    except ValueError as error:
        yield f"summary: {error}"


# --- Models → rules -----------------------------------------------------------------------------------


class RuleSet(NamedTuple):
    """What a file says."""

    rules: tuple[rule.Rule, ...]
    silences: tuple[Silence, ...]
    group_by: tuple[str, ...]


def _condition(model: RuleModel) -> rule.Condition:
    if model.measure is not None:
        return rule.Threshold(
            model.measure, model.above, model.below, model.clear, model.over, model.relative_to,
            model.min_count, model.min_errors,
        )  # fmt: skip
    if model.status_is:
        return rule.StatusIs(frozenset(Status[name.upper()] for name in model.status_is), model.floor)
    if model.absent_for is not None:
        return rule.Absent(None if model.absent_for == "usual" else duration_ms(model.absent_for))
    assert model.burn_rate is not None
    top, _, by = model.burn_rate.ratio.partition("/")
    tiers = tuple(rule.Tier(t.over, t.and_over, t.factor, t.severity) for t in model.burn_rate.tiers)
    return rule.BurnRate(model.burn_rate.objective, tiers, (top, by), max(1, model.min_errors))


def _rule(model: RuleModel) -> rule.Rule:
    return rule.Rule(
        model.name, _condition(model), model.severity, model.summary, model.kind, model.match,
        model.for_, model.keep_firing_for, model.stale_after, model.labels, model.runbook_url,
    )  # fmt: skip


def _silence(model: SilenceModel) -> Silence:
    since_ms = 0 if model.since is None else round(model.since.timestamp() * 1000)
    return Silence(model.match, since_ms, round(model.until.timestamp() * 1000), model.reason)


# --- The file -----------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """Something that is wrong with a file."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def default_path() -> Path:
    """The rules that ship."""
    return data_dir("alerts") / "rules.yaml"


def load(path: Path | None) -> RuleSet:
    """The rules of a file; None: those that ship. Raises UsageError with the first problem, one line."""
    found = check(path or default_path())
    if isinstance(found, RuleSet):
        return found
    more = f" (and {len(found) - 1} more: stream-monitor alerts check)" if len(found) > 1 else ""
    raise UsageError(f"alert rules: {found[0]}{more}")


def check(path: Path) -> RuleSet | list[Problem]:
    """What a file says, or everything that is wrong with it."""
    try:
        text = path.read_bytes()
        if len(text) > MAX_BYTES:
            return [Problem(path, 1, f"it is larger than {MAX_BYTES >> 20} MiB")]
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        plain = yaml.safe_load(text)
    except OSError as error:
        return [Problem(path, 1, f"cannot be read: {error.strerror or error}")]
    except UnicodeDecodeError as error:
        return [Problem(path, 1, f"not UTF-8: {error.reason} at byte {error.start}")]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or " ".join(str(error).split())
        return [Problem(path, 1 if mark is None else mark.line + 1, f"not YAML: {what}")]
    except (RecursionError, ValueError) as error:
        return [Problem(path, 1, f"not YAML: {type(error).__name__}: {error}")]
    if not isinstance(plain, dict):
        return [Problem(path, 1, "not a mapping with rules: …")]
    problems = [Problem(path, line, f"the key {key!r} is there twice") for line, key in _doubles(node)]
    try:
        model = FileModel.model_validate(plain)
    except ValidationError as error:
        return sorted([*problems, *(_problem(path, node, each) for each in error.errors(include_url=False))])
    problems += _same_names(path, node, model)
    if problems:
        return sorted(problems)
    return RuleSet(tuple(map(_rule, model.rules)), tuple(map(_silence, model.silences)), model.group_by)


def _problem(path: Path, node: Any, error: Any) -> Problem:
    """Pydantic's error at the line of the value that it is about."""
    at, names = node, []
    for step in error["loc"]:
        names.append(str(step))
        at = _child(at, step) or at
    message = error["msg"].removeprefix("Value error, ")
    message = message.replace("Extra inputs are not permitted", "there is no such setting")
    if error["type"] not in ("value_error", "missing", "extra_forbidden"):
        message += f", not {str(error['input'])[:80]!r}"
    where = ".".join(name if not name.isdigit() else f"[{name}]" for name in names).replace(".[", "[")
    return Problem(path, at.start_mark.line + 1, f"{where}: {message}")


def _child(node: Any, step: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value if not isinstance(value, yaml.ScalarNode) else key
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    return None


def _doubles(node: Any) -> Iterator[tuple[int, str]]:
    """Keys that a mapping has twice: YAML would keep the last and say nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, str(key.value)
            seen.add(key.value)
            yield from _doubles(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _doubles(value)


def _same_names(path: Path, node: Any, model: FileModel) -> list[Problem]:
    seen: set[str] = set()
    found = []
    for index, each in enumerate(model.rules):
        if each.name in seen:
            line = _child(_child(node, "rules"), index).start_mark.line + 1
            found.append(Problem(path, line, f"rules[{index}].name: there are two rules {each.name!r}"))
        seen.add(each.name)
    return found


def schema() -> Mapping[str, Any]:
    """The file's JSON Schema."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **FileModel.model_json_schema()}
