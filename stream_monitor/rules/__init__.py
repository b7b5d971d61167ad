"""The alert rules' file: YAML → core/rule.py's rules, with file, line, what and why for everything that is wrong.

model   what may stand in the file: the schema
sense   what is wrong with a rule as a whole
file    YAML, lines, and what was meant
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stream_monitor.core import rule
from stream_monitor.core.health import Status
from stream_monitor.core.silence import Silence
from stream_monitor.data import data_dir
from stream_monitor.errors import UsageError
from stream_monitor.rules.file import MAX_BYTES, Problem, parse
from stream_monitor.rules.model import BurnModel, FileModel, RuleModel, SilenceModel, TierModel, duration_ms

__all__ = [
    "BurnModel", "Problem", "RuleModel", "RuleSet", "SilenceModel", "TierModel", "check", "default_path",
    "duration_ms", "load", "schema",
]  # fmt: skip


class RuleSet(NamedTuple):
    """What a file says."""

    rules: tuple[rule.Rule, ...]
    silences: tuple[Silence, ...]
    group_by: tuple[str, ...]


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
    """What a file says, or everything that is wrong with it. Raises UsageError where it cannot be read."""
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"alert rules: {path}: not a file")
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"alert rules: {path}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    model = parse(path, text)
    if not isinstance(model, FileModel):
        return model
    return RuleSet(tuple(map(_rule, model.rules)), tuple(map(_silence, model.silences)), model.group_by)


def schema() -> Mapping[str, Any]:
    """The file's JSON Schema."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **FileModel.model_json_schema()}


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
