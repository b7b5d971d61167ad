"""What is wrong with a rule as a whole: settings that do not go together, names that there are not,
conditions that can never hold. Every problem begins with the setting that it is about, where there is one."""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from stream_monitor.core import measure, rule
from stream_monitor.core.distribution import Linear
from stream_monitor.core.judge import FORGOTTEN_MS
from stream_monitor.core.record import Kind
from stream_monitor.core.window import MINUTE_MS
from stream_monitor.kinds import KINDS
from stream_monitor.near import shown, suggestion

if TYPE_CHECKING:
    from stream_monitor.rules.model import BurnModel, RuleModel

CONDITIONS = ("measure", "status_is", "absent_for", "burn_rate")
_LASTING = ("measure", "status_is", "burn_rate")
_GOES_WITH: Mapping[str, Collection[str]] = {
    **dict.fromkeys(("above", "below", "clear", "over", "relative_to", "min_count"), ("measure",)),
    **dict.fromkeys(("for_", "keep_firing_for", "stale_after"), _LASTING),
    "min_errors": ("measure", "burn_rate"),
    "floor": ("status_is",),
}
_GROUP_STATUSES = ("warn", "rewind", "stall", "stop")
_TASK_STATUSES = ("failing", "slow")
_MODEL_STATUSES = ("failing", "drifting", "unsure", "slow")
_SILENT_STATUSES = ("silent", "late")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TAKEN = ("alertname", "entity", "kind", "rule", "severity")
_NUMBER_FORMAT = re.compile(r"[-+ ]?,?(\.\d{1,2})?[eEfFgG%]?", re.ASCII)


def problems(model: RuleModel) -> Iterator[str]:
    """Everything that is wrong with it, the most telling first."""
    kinds = [KINDS[model.kind]] if model.kind else list(KINDS.values())
    yield from _condition(model)
    yield from _measure(model, kinds)
    yield from _statuses(model, kinds)
    yield from _absence(model)
    if model.burn_rate is not None:
        yield from _burn(model.burn_rate)
    names = list(dict.fromkeys(chain.from_iterable(kind.labels for kind in kinds)))
    for name in model.match:
        if name != "entity" and name not in names:
            near = suggestion(name, [*names, "entity"])
            yield f"match: there is no label {shown(name)}; there are: entity, {', '.join(sorted(names))}{near}"
    yield from _own_labels(model.labels, names)
    yield from _summary(model.summary, ["entity", "value", "rule", "severity", *names])
    if model.runbook_url and not model.runbook_url.startswith(("http://", "https://")):
        yield "runbook_url: http://… or https://…"


def _condition(model: RuleModel) -> Iterator[str]:
    given = [name for name in CONDITIONS if getattr(model, name) not in (None, ())]
    if len(given) != 1:
        yield f"exactly one condition of {', '.join(CONDITIONS)}, not {' and '.join(given) or 'none'}"
        return
    for name in sorted(model.model_fields_set & _GOES_WITH.keys()):
        if given[0] not in _GOES_WITH[name]:
            yield f"{name.rstrip('_')}: it goes with {' or '.join(_GOES_WITH[name])}, not with {given[0]}"


def _measure(model: RuleModel, kinds: Sequence[Kind]) -> Iterator[str]:
    name = model.measure
    if name is None:
        return
    for kind in kinds:
        if not measure.is_measure(name, kind):
            known = measure.names(kind)
            has = f"{', '.join(known)}, or a/b of two counts{suggestion(name, known)}"
            yield f"measure: {kind.name} has no {shown(name)}; it has: {has}"
    if (model.above is None) == (model.below is None):
        yield "measure: it takes either above or below"
    for setting, is_given in (
        ("over", model.over > MINUTE_MS),
        ("relative_to", model.relative_to is not None),
        ("min_errors", bool(model.min_errors)),
    ):
        if is_given and not measure.adds_up(name):
            yield f"{setting}: it takes a count, a ratio or a mean, and {name} is of a minute. use for instead"
    yield from _limits(model, name, kinds)


def _limits(model: RuleModel, name: str, kinds: Sequence[Kind]) -> Iterator[str]:
    limit = model.above if model.above is not None else model.below
    if limit is None:
        return
    if model.relative_to is None and any(_is_a_share(name, kind) for kind in kinds):
        may_be = 0 <= limit < 1 if model.above is not None else 0 < limit <= 1
        if not may_be:
            setting = "above" if model.above is not None else "below"
            yield f"{setting}: {name} lies between 0 and 1 (20 % is 0.2), not {limit:g}"
    if model.clear is not None:
        inside = model.clear <= limit if model.above is not None else model.clear >= limit
        if not inside:
            yield f"clear: {model.clear:g} is past the limit {limit:g}: it would resolve before it fires"


def _is_a_share(name: str, kind: Kind) -> bool:
    of, _, stat = name.rpartition(".")
    is_linear = dict(kind.measures).get(of) is Linear and stat != "count"
    return name in rule.RATIOS or stat == "drift" or is_linear


def _statuses(model: RuleModel, kinds: Sequence[Kind]) -> Iterator[str]:
    known = list(dict.fromkeys(chain.from_iterable(map(statuses, kinds))))
    for status in model.status_is:
        if status in _SILENT_STATUSES:
            yield f"status_is: for {status!r} use absent_for: no minute of a series shows its silence"
        elif status not in known:
            of = f" of {model.kind}" if model.kind else ""
            yield f"status_is: {shown(status)} is none of {', '.join(known)}{of}{suggestion(status, known)}"


def statuses(kind: Kind) -> Sequence[str]:
    """Those that a rule about the kind can ask for."""
    if measure.LAG in kind.gauges:
        return _GROUP_STATUSES
    return _MODEL_STATUSES if kind.classes else _TASK_STATUSES


def _absence(model: RuleModel) -> Iterator[str]:
    from stream_monitor.rules.model import duration_ms

    if model.absent_for is None or model.absent_for == "usual":
        return
    try:
        for_ms = duration_ms(model.absent_for)
    except ValueError as error:
        yield f"absent_for: {error}, or usual"
        return
    if for_ms < MINUTE_MS:
        yield "absent_for: at least 1m: metrics are minutes"
    if for_ms >= FORGOTTEN_MS:
        yield "absent_for: less than 7d: a series that is silent for so long is forgotten"


def _burn(burn: BurnModel) -> Iterator[str]:
    parts = burn.ratio.split("/")
    if len(parts) != 2 or not all(part in rule.COUNTS for part in parts):
        yield f"burn_rate: ratio: a/b of two of {', '.join(rule.COUNTS)}, not {shown(burn.ratio)}"
    for tier in burn.tiers:
        if tier.and_over is not None and tier.and_over >= tier.over:
            yield "burn_rate: tiers: and_over is the shorter window: it is less than over"
        if tier.factor * (1 - burn.objective) >= 1:
            yield (
                f"burn_rate: tiers: {tier.factor:g} times the budget of {burn.objective:g} is more than "
                "everything: it would never fire"
            )


def _own_labels(labels: Mapping[str, str], names: Collection[str]) -> Iterator[str]:
    for name, value in labels.items():
        if not _LABEL.fullmatch(name) or len(name) > 100:
            yield f"labels: {shown(name)} is no name of a label: letters, digits and _"
        elif name in _TAKEN or name in names:
            use = "; use the setting severity" if name == "severity" else ""
            yield f"labels: an alert has a label {name!r} already{use}"
        elif not value or len(value) > 500:
            yield f"labels: {name}: a text of at most 500 characters"


def _summary(text: str, names: Sequence[str]) -> Iterator[str]:
    try:
        fields = [field for field in string.Formatter().parse(text) if field[1] is not None]
    except ValueError as error:
        yield f"summary: {error}"
        return
    for _, name, form, conversion in fields:
        if name not in names:
            near = suggestion(name or "", names)
            yield f"summary: there is no {{{shown(name)[1:-1]}}}; there are: {', '.join(sorted(names))}{near}"
        elif conversion or (form and name != "value"):
            yield f"summary: {{{name}}} takes no format: only {{value}} does"
        elif form and not _NUMBER_FORMAT.fullmatch(form):
            yield f"summary: {{value}} takes a format such as .1f, .0% or ,.0f, not {shown(form)}"
