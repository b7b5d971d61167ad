// A board into the page: cards, charts, alerts, the table.

import { $, el, keepFocus, say } from "./dom.js";
import { DASH, clock, fixed, moment, percent, short, span } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const MARKS = { ok: "●", failing: "▲", lagging: "◆", stale: "○", critical: "▲", warning: "◆", info: "●" };

// --- Cards ---------------------------------------------------------------------------------------

function sparkline(values) {
  const there = values.filter((value) => value !== null);
  if (there.length < 2) return null;
  const top = Math.max(...there);
  const low = Math.min(0, ...there);
  const high = top === low ? 1 : top - low;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 22");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  let points = [];
  const end = () => {
    if (points.length > 1) {
      const line = document.createElementNS(SVG, "polyline");
      line.setAttribute("points", points.join(" "));
      svg.append(line);
    }
    points = [];
  };
  values.forEach((value, n) => {
    if (value === null) end();
    else points.push(`${((n / (values.length - 1)) * 100).toFixed(2)},${(21 - ((value - low) / high) * 20).toFixed(2)}`);
  });
  end();
  return svg;
}

export function cards(board) {
  const made = board.cards.map((card) =>
    el("article", { className: `card ${card.level}` },
      el("h2", {}, card.title),
      el("p", { className: "value" }, card.value),
      el("p", { className: "said", title: card.said }, card.said || " "),
      sparkline(card.values)),
  );
  $("cards").replaceChildren(...made);
}

// --- Charts --------------------------------------------------------------------------------------

/** The place of a chart; made when it is first there. */
function place(chart, opened) {
  const known = document.querySelector(`.chart[data-name="${chart.name}"]`);
  if (known) return known;
  const made = el("article", { className: "chart" },
    el("header", {}, el("h2", { id: `title-${chart.name}` }, chart.title), el("small", {})),
    el("div", { className: "plot" }),
    el("div", { className: "empty", hidden: true }),
    el("details", {}, el("summary", {}, "as a table"), el("div", { className: "scroll", tabIndex: 0, role: "region" })));
  made.dataset.name = chart.name;
  made.querySelector(".scroll").setAttribute("aria-label", `${chart.title} as a table`);
  made.querySelector("details").addEventListener("toggle", () => table(made, opened));
  return made;
}

/** On a phone a long legend takes the chart's place: the table below has the names. */
function narrow(chart, layout) {
  if (chart.name === "volume") layout.showlegend = false;
  if (chart.name === "share") layout.legend = { ...layout.legend, x: 0.5, font: { ...layout.legend.font, size: 10 } };
}

/** All that is said of a chart; the chart itself is drawn when it is in sight. */
function caption(at, chart) {
  const div = at.querySelector(".plot");
  const empty = at.querySelector(".empty");
  say(at.querySelector("h2"), chart.title);
  say(at.querySelector("small"), chart.said);
  empty.hidden = !chart.empty;
  div.hidden = Boolean(chart.empty);
  at.querySelector("details").hidden = Boolean(chart.empty);
  say(empty, chart.empty);
  at.chart = chart;
  div.setAttribute("role", "img");
  div.setAttribute("aria-label", `${chart.title}, ${chart.said}`);
  const height = chart.figure.layout && chart.figure.layout.height;
  if (height && chart.name !== "volume") div.style.height = `${height}px`;
}

const onceMore = new WeakSet();

function plot(at, opened) {
  const { chart } = at;
  waiting.delete(at);
  if (chart.empty) return;
  const div = at.querySelector(".plot");
  const layout = { ...chart.figure.layout };
  delete layout.height;
  if (div.clientWidth < 480) narrow(chart, layout);
  window.Plotly.react(div, chart.figure.data, layout, { displayModeBar: false, responsive: true, doubleClick: false });
  if (!onceMore.has(div)) {
    onceMore.add(div);
    div.on("plotly_click", ({ points }) => {
      const point = points.find((one) => one.data.meta) || points[0];
      const at = point.data.x && point.data.orientation !== "h" ? point.data.x[point.pointIndex] : null;
      const names = (point.data.meta || { names: [] }).names;
      opened({ at: typeof at === "number" && at > 1e11 ? Math.round(at) : null, names, label: chart.title });
    });
  }
}

let round = 0;

/** For whoever measures: when it was first so (`performance.getEntriesByType("mark")`). */
function once(name) {
  if (!performance.getEntriesByName(name).length) performance.mark(name);
}

const NEAR_PX = 300;
const waiting = new Map(); // of charts that are not in sight: what draws them
const nearing = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) if (isIntersecting && waiting.has(target)) waiting.get(target)();
}, { rootMargin: `${NEAR_PX}px 0px` });

function isNear(at) {
  const { top, bottom } = at.getBoundingClientRect();
  return bottom > -NEAR_PX && top < innerHeight + NEAR_PX;
}

/** Those too that are not in sight: for paper. */
export function rest() {
  for (const draw of [...waiting.values()]) draw();
}

/** Draw them one after the other; between two the page answers. False where plotly.js is not there yet. */
export function charts(board, opened) {
  if (!window.Plotly || !board.charts) return false;
  const room = $("charts");
  const names = new Set(board.charts.map((chart) => chart.name));
  for (const old of [...room.children]) {
    if (names.has(old.dataset.name)) continue;
    waiting.delete(old);
    nearing.unobserve(old);
    old.remove();
  }
  const places = board.charts.map((chart, n) => {
    const at = place(chart, opened);
    if (room.children[n] !== at) room.insertBefore(at, room.children[n] || null);
    caption(at, chart);
    waiting.set(at, () => plot(at, opened));
    nearing.observe(at);
    return at;
  });
  const cells = places.length + 1; // volume takes two
  places.forEach((at, n) => at.classList.toggle("wide", n === places.length - 1 && cells % 2 === 1));
  round += 1;
  next(board, places, 0, round, opened);
  return true;
}

function next(board, places, n, mine, opened) {
  if (mine !== round) return;
  if (n >= places.length) {
    if (board.complete && board.decoded) once("charts in sight");
    return;
  }
  const at = places[n];
  if (waiting.has(at) && isNear(at)) plot(at, opened);
  if (!n && (board.complete || board.rough)) once("first chart");
  if (at.querySelector("details").open) table(at, opened);
  setTimeout(() => next(board, places, n + 1, mine, opened), 0);
}

/** A chart's numbers, the latest step first; a step's time opens its log records. */
function table(at, opened) {
  const room = at.querySelector(".scroll");
  if (!at.querySelector("details").open) return;
  const traces = at.chart.figure.data.filter((trace) => trace.type !== "box");
  const first = traces[0] || {};
  const isTimes = first.x && first.x.length && first.x[0] > 1e11 && first.orientation !== "h";
  const rows = isTimes ? steps(traces, at.chart, opened) : shares(traces);
  const focused = room.contains(document.activeElement) ? document.activeElement.textContent : null;
  room.replaceChildren(el("table", {}, ...rows));
  const again = focused && [...room.querySelectorAll("button")].find((button) => button.textContent === focused);
  if (again) again.focus({ preventScroll: true });
}

const plain = (text) => (text || "").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

function steps(traces, chart, opened) {
  const head = el("tr", {}, el("th", { className: "left", scope: "col" }, "UTC"),
    ...traces.map((trace) => el("th", { scope: "col" }, plain(trace.name))));
  const times = traces[0].x;
  const body = times.map((ms, n) => {
    const text = new Date(ms).toISOString();
    const names = traces.flatMap((trace) => (trace.meta || { names: [] }).names);
    const open = el("button", { type: "button", title: "its log records" }, moment(text));
    open.addEventListener("click", () => opened({ at: Math.round(ms), names, label: chart.title }));
    return el("tr", {}, el("td", { className: "left entity" }, open),
      ...traces.map((trace) => el("td", {}, trace.y[n] === null ? DASH : String((trace.customdata || trace.y)[n]))));
  });
  return [el("thead", {}, head), el("tbody", {}, ...body.reverse())];
}

function shares(traces) {
  const rows = traces.flatMap((trace) => {
    const labels = trace.labels || trace.y || [];
    const values = trace.customdata || trace.text || (trace.x || []).map((value) => fixed(value, 3));
    return labels.map((label, n) => el("tr", {}, el("td", { className: "left" }, plain(String(label))), el("td", {}, String(values[n]))));
  });
  return [el("tbody", {}, ...rows)];
}

// --- Alerts --------------------------------------------------------------------------------------

export function alerts(board) {
  const shown = board.alerts.slice(0, 12);
  const made = shown.map((alert) =>
    el("div", { className: `alert ${alert.state}` },
      el("span", { className: `level ${alert.state === "firing" ? alert.severity : "stale"}` },
        `${MARKS[alert.state === "firing" ? alert.severity : "stale"] || "●"} ${alert.state === "firing" ? alert.severity : alert.state}`),
      el("span", {}, el("strong", {}, alert.rule), ` ${alert.summary || alert.entity}`),
      el("time", { dateTime: alert.since }, alert.state === "firing" ? `since ${moment(alert.since)}` : `${moment(alert.since)} – ${moment(alert.at)}`)),
  );
  if (!made.length) made.push(el("p", { className: "note" }, "No alert has fired."));
  if (board.alerts_total > shown.length) made.push(el("p", { className: "note" }, `and ${board.alerts_total - shown.length} more`));
  $("alerts").replaceChildren(...made);
}

// --- The table -----------------------------------------------------------------------------------

const COLUMNS = [
  { name: "entity", title: "component", left: true },
  { name: "kind", title: "kind", left: true },
  { name: "status", title: "status", left: true },
  { name: "records", title: "records", show: short },
  { name: "volume", title: "volume", show: short },
  { name: "error_rate", title: "errors", show: percent },
  { name: "p50_ms", title: "p50", show: span },
  { name: "p95_ms", title: "p95", show: span },
  { name: "p99_ms", title: "p99", show: span },
  { name: "lag", title: "lag", show: short },
  { name: "confidence_mean", title: "confidence", show: (value) => fixed(value, 3) },
  { name: "drift", title: "drift", show: (value) => fixed(value, 3) },
  { name: "last_data", title: "last data", fixed: true },
];

function heading(column, sort, sorted) {
  const way = sort === column.name ? "ascending" : sort === `-${column.name}` ? "descending" : null;
  const th = el("th", { scope: "col", className: column.left ? "left" : "", "aria-sort": way });
  if (column.fixed) th.append(column.title);
  else {
    const button = el("button", { type: "button" }, column.title, el("span", { ariaHidden: "true" }, way ? (way === "ascending" ? " ↑" : " ↓") : ""));
    button.addEventListener("click", () => sorted(way === "descending" || (column.left && !way) ? column.name : `-${column.name}`));
    th.append(button);
  }
  return th;
}

function row(tr, series, board, opened) {
  if (!tr.children.length) {
    tr.append(...COLUMNS.map((column) => el("td", { className: column.left ? "left" : "" })));
    const button = el("button", { type: "button" });
    button.addEventListener("click", () => opened({ at: null, names: [tr.dataset.name], label: button.textContent }));
    tr.children[0].classList.add("entity");
    tr.children[0].append(button);
  }
  COLUMNS.forEach((column, n) => {
    const cell = tr.children[n];
    const value = series[column.name];
    if (column.name === "entity") {
      say(cell.firstChild, value);
      cell.firstChild.title = `${value}: its log records`;
    } else if (column.name === "kind") {
      say(cell, value);
      cell.className = `left kind ${value}`;
    } else if (column.name === "status") {
      say(cell, `${MARKS[value] || ""} ${value}`);
      cell.className = `left level ${value}`;
      cell.title = series.status_why;
    } else if (column.name === "last_data") say(cell, clock(value, board.range.to));
    else say(cell, column.show(value));
  });
}

export function series(board, sort, sorted, opened) {
  const head = $("series").tHead;
  const body = $("series").tBodies[0];
  keepFocus(() => {
    if (head.dataset.sort !== sort) {
      head.dataset.sort = sort;
      const focused = [...head.querySelectorAll("button")].indexOf(document.activeElement);
      head.replaceChildren(el("tr", {}, ...COLUMNS.map((column) => heading(column, sort, sorted))));
      if (focused >= 0) head.querySelectorAll("button")[focused].focus();
    }
    const known = new Map([...body.children].map((tr) => [tr.dataset.name, tr]));
    board.series.forEach((one, n) => {
      const tr = known.get(one.name) || el("tr", {});
      tr.dataset.name = one.name;
      known.delete(one.name);
      row(tr, one, board, opened);
      if (body.children[n] !== tr) body.insertBefore(tr, body.children[n] || null);
    });
    for (const old of known.values()) old.remove();
  });
  const more = board.series_total > board.series.length ? `the first ${board.series.length} of ${board.series_total}; filter to see others` : String(board.series_total);
  say($("series-said"), board.series_total ? more : "There is no data in this range.");
}
