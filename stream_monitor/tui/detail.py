"""What stands beside a table: the charts of the series under the cursor, by its kind."""

from __future__ import annotations

from collections.abc import Sequence

from stream_monitor.board.cards import unit_of
from stream_monitor.board.item import Item
from stream_monitor.board.steps import bands
from stream_monitor.board.words import ago, length, percent, short, span
from stream_monitor.core.distribution import BINS
from stream_monitor.core.timeline import LineView
from stream_monitor.tui.board import Chart, axis_of
from stream_monitor.tui.drawing import Axis, Bands, Bars, Curve, Lines, Share, Shares
from stream_monitor.tui.palette import MARKS, Palette

STALE_MS = 300_000
_PARTITIONS = 5
_GROUPS = 32
"""Columns of the confidence's histogram."""


def detail_charts(item: Item, palette: Palette) -> list[Chart]:
    """At most four charts, the most telling first."""
    axis = axis_of(item.view.query)
    makers = {"kafka": _kafka, "ml": _ml}
    return makers.get(item.kind, _runs)(item, axis, palette)


def _per(item: Item) -> str:
    return f"per {length(item.view.query.step_ms)}"


def _times(line: LineView) -> list[tuple[float, float, float] | None]:
    return bands(part.aggregate.measures[0] if part is not None else None for part in line.parts)


def _volume(item: Item, axis: Axis, palette: Palette) -> Chart:
    curve = Curve(item.entity, item.volumes, palette.kind(item.kind))
    return Chart(unit_of(item.line.kind), _per(item), Lines([curve], axis, short))


def _failures(item: Item, axis: Axis, palette: Palette) -> Chart:
    counts = [None if part is None else part.errors for part in item.line.parts]
    sums = item.line.sums
    return Chart("failures", f"{sums.errors} of {sums.of}", Bars(counts, axis, short, palette.bad))


def _exceptions(item: Item, palette: Palette) -> Chart:
    found = sorted(item.line.whole.exceptions.items(), key=lambda pair: (-pair[1], pair[0]))
    top = found[0][1] if found else 1
    rows = [Share(name, count / top, short(count), palette.bad) for name, count in found]
    return Chart("exceptions", short(sum(count for _, count in found)), Shares(rows, "none"), has_steps=False)


def _runs(item: Item, axis: Axis, palette: Palette) -> list[Chart]:
    usual = f"usual {span(item.times[0])}" if item.times else ""
    measure = item.line.kind.measures[0][0].removesuffix("_ms")
    return [
        Chart(f"{measure} p50 ▸ p95 ▸ p99", usual, Bands(_times(item.line), axis, span)),
        _failures(item, axis, palette),
        _volume(item, axis, palette),
        _exceptions(item, palette),
    ]


def _kafka(item: Item, axis: Axis, palette: Palette) -> list[Chart]:
    return [
        _lag(item, axis, palette),
        _partitions(item, palette),
        Chart("latency p50 ▸ p95 ▸ p99", _per(item), Bands(_times(item.line), axis, span)),
        _volume(item, axis, palette),
    ]


def _gauge(item: Item, name: str) -> int:
    return item.line.kind.gauges.index(name)


def _lag(item: Item, axis: Axis, palette: Palette) -> Chart:
    """Of the partitions with the highest lag a line each; of a single one its own."""
    index = _gauge(item, "consumer_lag")
    gauge = item.line.whole.gauges[index]
    ranked = sorted(gauge, key=lambda key: -gauge[key][2])[:_PARTITIONS]
    curves = [
        Curve(f"p{key}", _values(item.line, index, key), palette.series[n % len(palette.series)])
        for n, key in enumerate(ranked)
    ]
    behind = "" if item.lag_seconds is None else f" ≈ {span(item.lag_seconds * 1000)}"
    return Chart("lag by partition", f"{short(item.lag)}{behind}", Lines(curves, axis, short))


def _values(line: LineView, index: int, key: str) -> list[float | None]:
    out: list[float | None] = []
    for part in line.parts:
        gauge = part.aggregate.gauges[index] if part is not None else {}
        out.append(gauge[key][2] if key in gauge else None)
    return out


def _partitions(item: Item, palette: Palette) -> Chart:
    """Each partition: its status, its lag against its highest in the range, its age."""
    lags = item.line.whole.gauges[_gauge(item, "consumer_lag")]
    rates = item.line.whole.gauges[_gauge(item, "messages_per_second")]
    rows = []
    for key in sorted(lags, key=lambda k: (len(k), k)):
        at, last, peak = lags[key][:3]
        age = item.view.query.range.to_ms - at
        level = "stale" if age > STALE_MS else "ok"
        rate = f"{short(rates[key][1])}/s " if key in rates else ""
        said = f"{short(last)} of {short(peak)}  {rate}{ago(age):>4}"
        rows.append(Share(f"p{key}", last / peak if peak else 0.0, said, palette.level(level), MARKS[level]))
    return Chart("partitions", "lag of its peak", Shares(rows, "no partition has reported"), has_steps=False)


def _ml(item: Item, axis: Axis, palette: Palette) -> list[Chart]:
    return [
        Chart("latency p50 ▸ p95 ▸ p99", _per(item), Bands(_times(item.line), axis, span)),
        _confidence(item, palette),
        _classes(item, palette),
        _mean_confidence(item, axis, palette),
    ]


def _confidence(item: Item, palette: Palette) -> Chart:
    found = item.confidence
    grouped: list[float | None] = [None] * _GROUPS
    for bucket, count in found.counts.items() if found else ():
        group = bucket * _GROUPS // BINS
        grouped[group] = (grouped[group] or 0) + count
    if found:
        grouped = [value or 0 for value in grouped]
    labels = [f"{group / (_GROUPS - 1):.1f}" for group in range(_GROUPS)]
    said = f"mean {found.mean:.2f}" if found and found.mean is not None else ""
    drawing = Bars(grouped, Axis(labels), short, palette.kind("ml"))
    return Chart("confidence, all predictions", said, drawing, has_steps=False)


def _classes(item: Item, palette: Palette) -> Chart:
    classes = item.line.whole.classes
    whole = sum(classes.values())
    found: Sequence[tuple[str, int]] = sorted(classes.items(), key=lambda pair: (-pair[1], pair[0]))
    rows = [Share(name, count / whole, percent(count / whole), palette.kind("ml")) for name, count in found]
    said = "" if item.drift is None else f"drift {item.drift:.2f}"
    return Chart("classes", said, Shares(rows, "no classes"), has_steps=False)


def _mean_confidence(item: Item, axis: Axis, palette: Palette) -> Chart:
    index = next(n for n, (name, _) in enumerate(item.line.kind.measures) if name == "confidence")
    means = [part.aggregate.measures[index].mean if part is not None else None for part in item.line.parts]
    curve = Curve(item.entity, means, palette.kind("ml"))

    def show(value: float | None) -> str:
        return "–" if value is None else f"{value:.1f}"

    return Chart("mean confidence", _per(item), Lines([curve], axis, show))
