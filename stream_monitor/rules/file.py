"""YAML → what it says, or everything that is wrong with it, and at which line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError

from stream_monitor.kinds import KINDS
from stream_monitor.near import shown, suggestion
from stream_monitor.rules.model import BurnModel, FileModel, RuleModel, SilenceModel, TierModel

MAX_BYTES = 1 << 20
MAX_VALUES = 200_000
"""What aliases may unfold to."""
_SETTINGS: Mapping[str, type[BaseModel]] = {
    "": FileModel, "rules": RuleModel, "burn_rate": BurnModel, "tiers": TierModel, "silences": SilenceModel,
}  # fmt: skip
"""By the last name on the way to a setting: what there is in its place."""
_SEVERAL = ("by", "group_by", "aggregate", "sum")
_OF_ALERTS = ("rule", "kind", "severity", "entity", "notifier")


class Problem(NamedTuple):
    """Something that is wrong with a file."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


class _Loader(yaml.SafeLoader):
    """Times stay texts: the models say what is wrong with one, and where."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _WrongError(Exception):
    """What is wrong with the YAML, and at which line."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line, self.what = line, what


def parse(path: Path, text: bytes) -> FileModel | list[Problem]:
    """The file's model, or everything that is wrong with it."""
    if len(text) > MAX_BYTES:
        return [Problem(path, 1, f"it is larger than {MAX_BYTES >> 20} MiB")]
    try:
        node, plain, doubles = _read(text)
    except _WrongError as error:
        return [Problem(path, error.line, error.what)]
    problems = [Problem(path, line, f"the key {shown(key)} is there twice") for line, key in doubles]
    try:
        model = FileModel.model_validate(plain)
    except ValidationError as error:
        found = [_problem(path, node, each) for each in error.errors(include_url=False)]
        return sorted([*problems, *found])
    problems += _same_names(path, node, model)
    problems += _unknown_names(path, node, model)
    return sorted(problems) or model


def _read(text: bytes) -> tuple[Any, Any, list[tuple[int, str]]]:
    """(nodes with their lines, plain values, keys that are there twice)."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise _WrongError(1, "not a mapping with rules: …")
        _unfold(node, {})
        doubles = list(_doubles(node, set()))  # before merge keys are put in place
        return node, loader.construct_document(node), doubles
    except UnicodeDecodeError as error:
        raise _WrongError(1, f"not UTF-8: {error.reason} at byte {error.start}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or " ".join(str(error).split())
        raise _WrongError(1 if mark is None else mark.line + 1, f"not YAML: {what}") from None
    except (RecursionError, ValueError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _WrongError(1, f"not YAML: {what}") from None


def _unfold(node: Any, sizes: dict[int, int]) -> int:
    """How many values it is with every alias written out. Raises _WrongError for too many, and for a loop."""
    known = sizes.get(id(node))
    if known is None:
        sizes[id(node)] = 0  # under way
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        flat = [each for part in parts for each in (part if isinstance(part, tuple) else (part,))]
        known = sizes[id(node)] = 1 + sum(_unfold(each, sizes) for each in flat)
    line = node.start_mark.line + 1
    if not known:
        raise _WrongError(line, "not YAML: an alias that refers to itself")
    if known > MAX_VALUES:
        raise _WrongError(line, f"its aliases unfold to more than {MAX_VALUES:,} values")
    return known


def _doubles(node: Any, seen: set[int]) -> Iterator[tuple[int, str]]:
    """Keys that a mapping has twice: YAML would keep the last and say nothing."""
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    names: set[str] = set()
    for part in node.value:
        if isinstance(node, yaml.MappingNode):
            name = str(part[0].value)
            if name in names:
                yield part[0].start_mark.line + 1, name
            names.add(name)
        yield from _doubles(part[1] if isinstance(part, tuple) else part, seen)


# --- Where, and what was meant ------------------------------------------------------------------------


def _problem(path: Path, node: Any, error: Any) -> Problem:
    """Pydantic's error at the line of the value that it is about."""
    at, names = node, []
    for step in error["loc"]:
        names.append(str(step))
        at = _child(at, step) or at
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "it has to be")
    message = message.replace("a valid tuple", "a list").replace("a valid datetime or date", "a time")
    at = _child(at, message.partition(":")[0]) or at
    if error["type"] == "extra_forbidden":
        message = "there is no such setting" + _meant(names)
    elif error["type"] not in ("value_error", "missing"):
        given = error["input"]
        message += f", not {shown(given)}"
        message += suggestion(given, _choices(error)) if isinstance(given, str) else ""
    where = ".".join(f"[{name}]" if name.isdigit() else name[:80] for name in names).replace(".[", "[")
    return Problem(path, at.start_mark.line + 1, " ".join(f"{where}: {message}".split()))


def _choices(error: Any) -> list[str]:
    expected = error.get("ctx", {}).get("expected", "")
    return [word.strip("' ") for word in str(expected).replace(" or ", ",").split(",")]


def _meant(names: list[str]) -> str:
    """A setting's name that is near the one that there is not."""
    *way, name = names
    model = _SETTINGS.get(next((step for step in reversed(way) if not step.isdigit()), ""), FileModel)
    if model is RuleModel and name in _SEVERAL:
        return ": a rule is about one series; docs/how-to/write-alert-rules.md says how to judge several together"
    return suggestion(name, [field.alias or each for each, field in model.model_fields.items()])


def _child(node: Any, step: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):  # merged keys come first, and its own win
            if key.value == str(step):
                return value if not isinstance(value, yaml.ScalarNode) else key
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    return None


def _same_names(path: Path, node: Any, model: FileModel) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, each in enumerate(model.rules):
        if each.name in seen:
            line = _child(_child(node, "rules"), index).start_mark.line + 1
            yield Problem(path, line, f"rules[{index}].name: there are two rules {each.name!r}")
        seen.add(each.name)


def _unknown_names(path: Path, node: Any, model: FileModel) -> Iterator[Problem]:
    """Silences and groups by something that no alert has."""
    known = [*_OF_ALERTS, *(label for kind in KINDS.values() for label in kind.labels)]
    known = list(dict.fromkeys([*known, *(label for each in model.rules for label in each.labels)]))
    has = f"no alert has a label %s; there are: {', '.join(known)}%s"
    for index, silence in enumerate(model.silences):
        for name in silence.match:
            if name not in known:
                at = _child(_child(_child(node, "silences"), index), "match")
                what = has % (shown(name), suggestion(name, known))
                yield Problem(path, at.start_mark.line + 1, f"silences[{index}].match: {what}")
    for name in model.group_by:
        if name not in known:
            line = _child(node, "group_by").start_mark.line + 1
            yield Problem(path, line, f"group_by: {has % (shown(name), suggestion(name, known))}")
