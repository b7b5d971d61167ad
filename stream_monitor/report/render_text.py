"""The report for a person: plain text that fits a width, and a height where it is shown live.

A section is a title, lines of facts, and a table. Numbers are never cut; names are, with a mark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stream_monitor import wire
from stream_monitor.kinds import KINDS
from stream_monitor.plural import counted
from stream_monitor.report.numbers import duration, number, percent, span
from stream_monitor.report.spark import spark

WIDTH = 100
"""Where the text goes to no terminal."""

_NARROWEST = 72
_NAME_MIN = 12
_COLUMNS_MIN = (12, 8, 9, 9, 9)
_INDENT = 14
_TOP = 5
_DURATION = "duration_ms"


@dataclass(slots=True)
class _Section:
    title: str
    facts: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


def render_text(report: dict[str, Any], width: int = WIDTH, height: int | None = None) -> str:
    """At most `width` columns wide (72 at least) and `height` lines long. A missing value is a dash, never a zero.

    Names give way where it is narrow, numbers never. Where the tables are too long for `height` they end with how
    many rows are missing.
    """
    width = max(width, _NARROWEST)
    top = [*_heading(report, width), ""]
    sections: list[_Section] = []
    if report["empty"]:
        top.append("There is no data in this range. Is a worker running, and are logs arriving?")
    else:
        active, known = report["active_components"], report["known_components"]
        top.append(f"{number(report['records'])} log records · {active} of {known} components active")
        hours = _seconds(report) / 3600
        sections = [_section(kind, one, hours, width) for kind, one in report["components"].items()]
    bottom = []
    if report["unreadable_records"]:
        bottom = [
            "",
            f"{counted(report['unreadable_records'], 'record')} of the metrics topics could not be read.",
        ]
    shown = _shown_rows(sections, len(top) + len(bottom), height)
    lines = [*top, *_body(sections, shown, width), *bottom]
    if height is not None and len(lines) > height:
        left = len(lines) - max(0, height - 1)
        lines = [
            *lines[: max(0, height - 1)],
            f"… {left} more lines: a taller terminal shows them",
        ]
    return "\n".join(lines) + "\n"


def _heading(report: dict[str, Any], width: int) -> list[str]:
    begin, end, long = report["range"]["from"], report["range"]["to"], span(_seconds(report))
    line = f"stream-monitor report · {begin} to {end} · {long}"
    return [line] if len(line) <= width else [f"stream-monitor report · {long}", f"{begin} to {end}"]


def _seconds(report: dict[str, Any]) -> float:
    return (wire.from_iso(report["range"]["to"]) - wire.from_iso(report["range"]["from"])) / 1000


def _section(kind: str, section: dict[str, Any], hours: float, width: int) -> _Section:
    """Its facts and its table. `hours` is how long the range is."""
    out = _Section(KINDS.rows[kind].title)
    if not section["series"]:
        out.facts = ["  no data in this range", *_silent(section, width)]
        return out
    measure = KINDS[kind].measures[0][0]
    out.facts = [
        _fact("active", f"{section['active_components']} of {section['known_components']} components"),
        _fact("volume", _volume(kind, section, hours)),
        _fact("per hour", spark([h["volume"] for h in section["volume"]["per_hour"]], width - _INDENT)),
        _fact("errors", _rate(section, KINDS[kind].of)),
        *_times(measure, section["measures"].get(measure), width),
        *_extra(section, width),
        *_silent(section, width),
    ]
    last = {"kafka": "lag", "ml": "confid."}.get(kind, "records")
    unit = _unit(measure)
    out.head = ["component", "volume", "errors", f"p50{unit}", f"p99{unit}", last]
    out.rows = [_row(kind, one, measure) for one in section["series"]]
    return out


def _fact(label: str, text: str) -> str:
    return f"  {label:<11} {text}"


def _wrapped(label: str, parts: list[str], between: str, width: int) -> list[str]:
    """A fact of several parts, on as many lines as it needs; no part is broken."""
    lines = [_fact(label, parts[0])]
    for part in parts[1:]:
        if len(lines[-1]) + len(between) + len(part) <= width:
            lines[-1] += between + part
        else:
            lines[-1] += between.rstrip()
            lines.append(" " * _INDENT + part)
    return lines


def _volume(kind: str, section: dict[str, Any], hours: float) -> str:
    volume, reported = section["volume"], " reported" if kind == "kafka" else ""
    if volume["total"] is None:
        return "–"
    return f"{number(volume['total'])} {volume['unit']}{reported}, {number(volume['total'] / hours)} an hour"


def _times(name: str, measure: dict[str, Any] | None, width: int) -> list[str]:
    if measure is None:
        return []
    shown = _shown(name)
    parts = [f"{stat} {shown(measure[stat])}" for stat in ("mean", "p50", "p95", "p99", "max") if stat in measure]
    parts[-1] += _unit(name)
    return _wrapped(name.removesuffix("_ms"), parts, " · ", width)


def _shown(measure: str) -> Callable[[float | None], str]:
    """A duration is read in its own units, whatever else is measured as a number."""
    return duration if measure == _DURATION else number


def _unit(measure: str) -> str:
    return " ms" if measure.endswith("_ms") and measure != _DURATION else ""


def _extra(section: dict[str, Any], width: int) -> list[str]:
    lines = []
    if "lag" in section:
        rate = number(section["messages_per_second"])
        parts = [f"{number(section['lag'])} messages", f"throughput {rate} messages/s"]
        lines += _wrapped("lag", parts, " · ", width)
    confidence = section["measures"].get("confidence")
    if confidence:
        lines.append(_fact("confidence", " · ".join(f"{n} {confidence[n]:.3f}" for n in ("mean", "p5", "p50"))))
    for name in ("classes", "exceptions"):
        if section.get(name):
            lines += _wrapped(name, _tally(section[name]), ", ", width)
    return lines


def _silent(section: dict[str, Any], width: int) -> list[str]:
    silent = section["silent_components"]
    if not silent:
        return []
    parts = [plain(name, 40) for name in silent[:3]]
    more = [f"and {number(len(silent) - 3)} more"] if len(silent) > 3 else []
    return _wrapped("silent", parts + more, ", ", width)


def _row(kind: str, one: dict[str, Any], measure: str) -> list[str]:
    times = one["measures"].get(measure, {})
    shown = _shown(measure)
    return [
        one["entity"],
        number(one["volume"]),
        percent(one["error_rate"]),
        shown(times.get("p50")),
        shown(times.get("p99")),
        _last_cell(kind, one),
    ]


def _last_cell(kind: str, one: dict[str, Any]) -> str:
    if kind == "ml":
        mean = one["measures"].get("confidence", {}).get("mean")
        return "–" if mean is None else f"{mean:.3f}"
    return number(one["lag"] if kind == "kafka" else one["records"])


def _rate(section: dict[str, Any], unit: str) -> str:
    if section["error_rate"] is None:
        return "–"
    return f"{percent(section['error_rate'])} ({number(section['errors'])} of {number(section['of'])} {unit})"


def _tally(tally: dict[str, int]) -> list[str]:
    shown = [f"{plain(name, 40)} {number(times)}" for name, times in list(tally.items())[:_TOP]]
    rest = len(tally) - _TOP
    return [*shown, f"and {rest} more"] if rest > 0 else shown


# --- The page -----------------------------------------------------------------------------------------


def _body(sections: list[_Section], shown: list[int], width: int) -> list[str]:
    """Rules as wide as the text, columns as wide as their numbers, and for the names what is free."""
    tables = [[s.head, *(row for row in s.rows[:n])] for s, n in zip(sections, shown, strict=True) if s.rows]
    sizes = [
        max(least, *(len(row[i]) for table in tables for row in table)) if tables else least
        for i, least in enumerate(_COLUMNS_MIN, 1)
    ]
    free = width - 2 - sum(size + 1 for size in sizes)
    longest = max((len(row[0]) for table in tables for row in table), default=0)
    name = max(_NAME_MIN, min(free, longest))
    blocks = [_block(section, n, name, sizes) for section, n in zip(sections, shown, strict=True)]
    wide = max((len(line) for block in blocks for line in block), default=0)
    lines = []
    for section, block in zip(sections, blocks, strict=True):
        head = f"── {section.title} "
        lines += ["", head + "─" * max(2, wide - len(head)), *block]
    return lines


def _block(section: _Section, shown: int, name: int, sizes: list[int]) -> list[str]:
    if not section.rows:
        return section.facts
    more = len(section.rows) - shown
    if not shown:
        return [*section.facts, "", f"  … {number(more)} more: a taller terminal shows them"]
    left = [f"  … and {number(more)} more"] if more else []
    return [
        *section.facts,
        "",
        *(_cells(row, name, sizes) for row in [section.head, *section.rows[:shown]]),
        *left,
    ]


def _cells(row: list[str], name: int, sizes: list[int]) -> str:
    cells = " ".join(f"{cell:>{size}}" for cell, size in zip(row[1:], sizes, strict=True))
    return f"  {plain(row[0], name):<{name}} {cells}"


def _shown_rows(sections: list[_Section], around: int, height: int | None) -> list[int]:
    """How many rows of each table are shown: all, or an even share of what the height leaves."""
    wanted = [len(section.rows) for section in sections]
    fixed = around + sum(2 + len(s.facts) + (2 if s.rows else 0) for s in sections)
    if height is None or fixed + sum(wanted) <= height:
        return wanted
    free = height - fixed - sum(1 for rows in wanted if rows)  # a table that is cut says so, on a line
    shown = [0] * len(wanted)
    while free > 0 and shown != wanted:
        for i, rows in enumerate(wanted):
            if free > 0 and shown[i] < rows:
                shown[i], free = shown[i] + 1, free - 1
    return shown


def plain(text: str, width: int) -> str:
    """A name from a log: no control characters, at most `width` characters."""
    shown = "".join(char if char.isprintable() else "�" for char in text[: width + 1])
    return shown if len(shown) <= width else shown[: width - 1] + "…"
