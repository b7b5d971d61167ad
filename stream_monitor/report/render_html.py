"""The report as one HTML file that needs nothing else: charts, numbers, alerts; to attach to an incident."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.util import find_spec
from pathlib import Path

import orjson

from stream_monitor.board.words import DASH, moment, percent, short, span
from stream_monitor.charts import Chart
from stream_monitor.reading import Look

_STYLE = """
body{margin:0;background:#f7f8fa;color:#1f2730;font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
font-variant-numeric:tabular-nums}main{max-width:1280px;margin:0 auto;padding:1.4rem}h1{font-size:1.2rem;margin:0}
h2{font-size:1rem;margin:0 0 .4rem}.dim,small{color:#5c6773;font-weight:400;font-size:.85rem}
.cards,.charts{display:grid;gap:.75rem;grid-template-columns:repeat(6,1fr);margin:.9rem 0}
.charts{grid-template-columns:repeat(2,minmax(0,1fr))}
.box{background:#fff;border:1px solid #e6eaef;border-radius:12px;padding:.8rem 1rem;min-width:0;
margin-bottom:.75rem}
.cards .box,.charts .box{margin:0}.value{font-size:1.6rem;font-weight:620}.plot{height:300px}.tall{height:780px}
.charts .box:has(.tall){grid-row:span 2}
table{border-collapse:collapse;width:100%;font-size:.88rem}th,td{text-align:right;padding:.3rem .5rem;
border-bottom:1px solid #e6eaef}th{color:#5c6773;font-weight:500}.left{text-align:left}
@media(max-width:900px){.cards{grid-template-columns:repeat(2,1fr)}.charts{grid-template-columns:1fr}}
@media print{.box{break-inside:avoid}}
"""
_DRAW = """
for(const chart of JSON.parse(document.getElementById("charts").textContent)){
const div=document.getElementById("chart-"+chart.name);const layout=chart.figure.layout;
if(layout.height&&chart.name!=="volume")div.style.height=layout.height+"px";delete layout.height;
Plotly.newPlot(div,chart.figure.data,layout,{displayModeBar:false,responsive:true})}
"""
_COLUMNS = (
    ("status", str), ("records", short), ("volume", short), ("error_rate", percent), ("p50_ms", span),
    ("p95_ms", span), ("p99_ms", span), ("lag", short), ("confidence_mean", short), ("last_data", str),
)  # fmt: skip


def render_html(found: Look, hours: int, place: str) -> str:
    """The whole file; everything that came out of a log is escaped."""
    query = found.view.query
    made = found.charts()
    text = f"{moment(query.from_ms)} – {moment(query.range.to_ms)} UTC, {hours} h, {place}"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>stream-monitor: {escape(text)}</title><style>{_STYLE}</style></head><body><main>",
        f'<h1>stream-monitor</h1><p class="dim">{escape(text)}</p><section class="cards">',
        *(_card(card.title, card.value, card.said) for card in found.cards),
        '</section><section class="charts">',
        *(_chart(chart) for chart in made),
        f"</section>{_alerts(found)}{_table(found)}</main>",
        f'<script type="application/json" id="charts">{_json(made)}</script>',
        f"<script>{_plotly()}</script><script>{_DRAW}</script></body></html>\n",
    ]
    return "\n".join(parts)


def _card(title: str, value: str, said: str) -> str:
    head = f'<div class="dim">{escape(title)}</div><div class="value">{escape(value)}</div>'
    return f'<div class="box">{head}<small>{escape(said)}</small></div>'


def _chart(chart: Chart) -> str:
    head = f"<h2>{escape(chart.title)} <small>{escape(chart.said)}</small></h2>"
    tall = " tall" if chart.name == "volume" else ""
    body = escape(chart.empty) if chart.empty else f'<div class="plot{tall}" id="chart-{chart.name}"></div>'
    return f'<div class="box">{head}{body}</div>'


def _alerts(found: Look) -> str:
    rows = "".join(
        f'<tr><td class="left">{escape(one.state)}</td><td class="left">{escape(one.severity)}</td>'
        f'<td class="left">{escape(one.rule)}</td><td class="left">{escape(one.summary or one.entity)}</td>'
        f"<td>{moment(one.since_ms)}</td></tr>"
        for one in found.alerts[:100]
    )
    return f'<div class="box"><h2>Alerts</h2><table>{rows or "<tr><td>none</td></tr>"}</table></div>'


def _table(found: Look) -> str:
    head = "".join(f"<th>{name.removesuffix('_ms').replace('_', ' ')}</th>" for name, _ in _COLUMNS)
    rows = "".join(
        f'<tr><td class="left">{escape(row["entity"])}</td><td class="left">{escape(row["kind"])}</td>'
        + "".join(f"<td>{DASH if row[name] is None else escape(show(row[name]))}</td>" for name, show in _COLUMNS)
        + "</tr>"
        for row in found.rows()
    )
    first = '<th class="left">component</th><th class="left">kind</th>'
    return f'<div class="box"><h2>Components</h2><table><tr>{first}{head}</tr>{rows}</table></div>'


def _json(made: Iterable[Chart]) -> str:
    drawn = [{"name": chart.name, "figure": chart.figure} for chart in made if not chart.empty]
    return orjson.dumps(drawn).decode().replace("<", "\\u003c")


def _plotly() -> str:
    """plotly.js, out of the plotly wheel, which is not imported for it."""
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    return path.read_text(encoding="utf-8").replace("</script", "<\\/script")
