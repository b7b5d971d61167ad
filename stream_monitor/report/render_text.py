"""The report for a person, 80 to 100 columns of plain text."""

from __future__ import annotations

from typing import Any

_BARS = "▁▂▃▄▅▆▇█"
_NAME = 34
_TITLES = {"airflow": "Airflow", "kafka": "Kafka consumers", "ml": "ML services"}
_TIMES = {
    "airflow": ("duration_ms", "batch duration"),
    "kafka": ("latency_ms", "latency"),
    "ml": ("latency_ms", "latency"),
}
_TOP = 5


def render_text(report: dict[str, Any]) -> str:
    """A missing value is a dash, never a zero."""
    span = report["range"]
    lines = [f"stream-monitor report · {span['from']} to {span['to']} · {span['hours']} h", ""]
    if report["empty"]:
        lines.append("There is no data in this range. Is a worker running, and are logs arriving?")
    else:
        active, known = report["active_components"], report["known_components"]
        lines.append(f"{_number(report['records'])} log records · {active} of {known} components active")
        for kind, section in report["components"].items():
            lines += ["", *_section(kind, section)]
    if report["unreadable_records"]:
        lines += ["", f"{report['unreadable_records']} records of the metrics topics could not be read."]
    return "\n".join(lines) + "\n"


def _section(kind: str, section: dict[str, Any]) -> list[str]:
    title = _TITLES.get(kind, kind)
    head = f"── {title} " + "─" * max(0, 78 - len(title))
    if not section["series"]:
        return [head, "  no data in this range", *_silent(section)]
    measure, label = _TIMES.get(kind, ("latency_ms", "latency"))
    volume, per_hour = section["volume"], section["volume"]["per_hour"]
    lines = [
        head,
        f"  active      {section['active_components']} of {section['known_components']} components",
        f"  volume      {_number(volume['total'])} {volume['unit']}"
        + (f", {_number(volume['total'] / len(per_hour))} an hour" if per_hour else ""),
        f"  per hour    {_spark([hour['volume'] for hour in per_hour])}",
        f"  errors      {_rate(section)}",
    ]
    if measure in section["measures"]:
        lines.append(f"  {label:<11} {_times(section['measures'][measure])}"[:100])
    lines += _extra(section) + _exceptions(section) + _silent(section)
    return [*lines, "", *_table(kind, section, measure)]


def _extra(section: dict[str, Any]) -> list[str]:
    lines = []
    if "lag" in section:
        rate = _number(section["messages_per_second"])
        lines.append(f"  lag         {_number(section['lag'])} messages · throughput {rate} messages/s")
    confidence = section["measures"].get("confidence")
    if confidence:
        mean, p5, p50 = (f"{confidence[name]:.3f}" for name in ("mean", "p5", "p50"))
        lines.append(f"  confidence  mean {mean} · p5 {p5} · p50 {p50}")
    if section.get("classes"):
        lines.append(f"  classes     {_tally(section['classes'])}")
    return lines


def _exceptions(section: dict[str, Any]) -> list[str]:
    return [f"  exceptions  {_tally(section['exceptions'])}"] if section["exceptions"] else []


def _silent(section: dict[str, Any]) -> list[str]:
    silent = section["silent_components"]
    if not silent:
        return []
    more = f" and {len(silent) - 3} more" if len(silent) > 3 else ""
    return [f"  silent      {', '.join(plain(name, 40) for name in silent[:3])}{more}"]


def _table(kind: str, section: dict[str, Any], measure: str) -> list[str]:
    last = {"kafka": "lag", "ml": "confid."}.get(kind, "records")
    lines = [f"  {'component':<{_NAME}} {'volume':>12} {'errors':>8} {'p50 ms':>9} {'p99 ms':>9} {last:>9}"]
    for one in section["series"]:
        times = one["measures"].get(measure, {})
        if kind == "kafka":
            shown = _number(one["lag"])
        elif kind == "ml":
            mean = one["measures"].get("confidence", {}).get("mean")
            shown = "–" if mean is None else f"{mean:.3f}"
        else:
            shown = _number(one["records"])
        name = plain(one["entity"], _NAME)
        lines.append(
            f"  {name:<{_NAME}} {_number(one['volume']):>12} {_percent(one['error_rate']):>8}"
            f" {_number(times.get('p50')):>9} {_number(times.get('p99')):>9} {shown:>9}"
        )
    return lines


def _times(measure: dict[str, Any]) -> str:
    names = ("mean", "p50", "p95", "p99", "max")
    return " · ".join(f"{name} {_number(measure[name])}" for name in names) + " ms"


def _rate(section: dict[str, Any]) -> str:
    if section["error_rate"] is None:
        return "–"
    return f"{_percent(section['error_rate'])} ({_number(section['errors'])} of {_number(section['of'])})"


def _percent(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio * 100:.2f} %"


def _tally(tally: dict[str, int]) -> str:
    shown = [f"{plain(name, 40)} {_number(times)}" for name, times in list(tally.items())[:_TOP]]
    rest = len(tally) - _TOP
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def _number(value: float | None) -> str:
    """With thousands apart; one decimal below 100 where there is one."""
    if value is None:
        return "–"
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}"


def _spark(values: list[float]) -> str:
    """One bar for each hour, of at most 60: neighbours are put together where there are more."""
    step = -(-len(values) // 60)
    merged = [sum(values[i : i + step]) for i in range(0, len(values), step)] if step else []
    top = max(merged, default=0)
    return "".join(_BARS[round(value / top * 7)] if top else _BARS[0] for value in merged) or "–"


def plain(text: str, width: int) -> str:
    """A name from a log: no control characters, at most `width` characters."""
    shown = "".join(char if char.isprintable() else "�" for char in text[: width + 1])
    return shown if len(shown) <= width else shown[: width - 1] + "…"
