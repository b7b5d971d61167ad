// The page: the address says what is shown, the stream brings it, and draw.js draws it.

import * as address from "./address.js";
import { logs, pick } from "./dialogs.js";
import { $, ask, say } from "./dom.js";
import * as draw from "./draw.js";
import { Stream } from "./stream.js";
import { moment, span } from "./words.js";

const STALE_MS = 300_000;

let view = address.read();
let board = null;
let state = { phase: "connecting", why: "", since: "", last_record: null, skew_s: null };
let away = null;
let ahead = null; // ms by which the server's clock is ahead of this browser's
let refusal = "";
let isDrawn = true;
let shown = ""; // the stream's address of the board that is shown
let later;

// --- What is said above the charts ------------------------------------------------------------------

function condition() {
  if (refusal) return ["refused", "✕", "not shown", refusal];
  if (away) return ["away", "✕", "no answer", `The server has not answered since ${moment(new Date(away.getTime() + (ahead || 0)).toISOString())}. What is shown is of then; it is tried again by itself.`];
  if (state.phase === "lost") return ["lost", "✕", "broker lost", `Nothing is read from Kafka since ${moment(state.since)}: ${state.why}. What was read stays; it is tried again each second.`];
  if (state.phase === "missing") return ["missing", "✕", "no topics", `Kafka answers, and what is to be shown is not there: ${state.why}. It is looked for again each second.`];
  if (state.phase === "connecting") return ["connecting", "◌", "connecting", "Connecting to Kafka."];
  if (board && board.rough) return ["rough", "↻", "reading", `In steps of ${board.range.resolution} at first; shorter ones are being read.`];
  if (state.phase === "loading" || (board && !board.complete)) return ["loading", "↻", "reading", "The range is being read."];
  if (board && !board.decoded) return ["loading", "↻", "reading", ""];
  if (board && !board.range.live) return ["past", "◷", "not live", ""];
  if (state.skew_s > 0) return ["stale", "⚠", "live", `Windows begin ${span(state.skew_s * 1000)} ahead of the server's clock: one of the clocks is wrong.`];
  if (state.skew_s < 0) return ["stale", "⚠", "live", `What comes is ${span(-state.skew_s * 1000)} old: a worker works off a backlog, or a clock is ahead.`];
  const last = state.last_record && Date.parse(state.last_record);
  if (board && last && board.range.to_ms - last > STALE_MS) return ["stale", "○", "nothing comes", `No result has come since ${moment(state.last_record)}: is a worker running?`];
  return ["live", "●", view.every === "0" ? "paused" : "live", ""];
}

function condense() {
  const [name, mark, text, banner] = condition();
  $("state").className = `state ${name}`;
  say($("state").querySelector(".mark"), mark);
  say($("state").querySelector(".text"), text);
  $("banner").className = `banner ${name}`;
  say($("banner"), banner);
  $("banner").hidden = !banner;
  document.body.classList.toggle("dimmed", name === "lost" || name === "away");
  document.body.classList.toggle("loading", (name === "loading" && !(board && board.complete)) || (name === "connecting" && !board));
}

function paint() {
  if (!board || document.hidden) return;
  condense();
  const { range } = board;
  say($("within"), `${moment(range.from)} – ${moment(range.to)} UTC, in steps of ${range.resolution}; ${board.series_total} of ${board.components} components`);
  draw.cards(board);
  plot();
  clearTimeout(later);
  later = setTimeout(tables, 0); // what is below the first chart comes after it
}

function plot() {
  isDrawn = draw.charts(board, opened);
}

function tables() {
  draw.alerts(board);
  draw.series(board, view.sort, (sort) => go({ sort }), opened);
}

/** Refresh is off, and what is shown is whole: it stays, also where the stream has begun anew. */
function isHeld() {
  return view.every === "0" && shown === stream.address && board.complete && board.decoded;
}

const opened = (what) => logs(view, board, what);

// --- What is asked -----------------------------------------------------------------------------------

const stream = new Stream(
  (name, data) => {
    if (name === "wrong") {
      refusal = data.detail;
      condense();
      return;
    }
    refusal = "";
    if (name === "state") state = data;
    else if (isHeld()) return;
    else {
      board = data;
      shown = stream.address;
      if (board.range.live) ahead = Math.max(ahead === null ? -Infinity : ahead, board.range.to_ms - Date.now());
      state = data.state;
    }
    condense();
    if (name === "board") paint();
  },
  (since) => {
    away = since;
    condense();
  },
);

/** In sight only: a browser has six connections to a server, for all its tabs together. */
function listen() {
  refusal = "";
  if (document.hidden) {
    stream.close();
    return;
  }
  stream.open(address.route("stream", view, { every: view.every, sort: view.sort, theme: address.themeOf(view) }));
}

/** Change what is shown. */
function go(change, replace = false) {
  Object.assign(view, change);
  address.write(view, replace);
  controls();
  listen();
}

async function refresh() {
  $("refresh").disabled = true;
  try {
    board = await ask(address.route("board", view, { sort: view.sort, theme: address.themeOf(view) }));
    state = board.state;
    paint();
  } catch (error) {
    say($("banner"), error.message);
    $("banner").hidden = false;
  }
  $("refresh").disabled = false;
}

// --- Controls ------------------------------------------------------------------------------------------

function controls() {
  const known = [...$("range").options].some((option) => option.value === view.from);
  const isCustom = view.to !== "now" || !known;
  $("range").value = isCustom ? "custom" : view.from;
  $("custom").hidden = !isCustom;
  $("from").value = view.from;
  $("to").value = view.to;
  if (document.activeElement !== $("filter")) $("filter").value = view.q;
  $("every").value = [...$("every").options].some((option) => option.value === view.every) ? view.every : "auto";
  say($("components"), view.c.length === 0 ? "all" : view.c.length === 1 ? view.c[0] : `${view.c.length} chosen`);
  $("export").href = address.route("export.csv", view, { sort: view.sort });
  const theme = document.documentElement.dataset.theme || "";
  say($("theme"), theme === "dark" ? "●" : theme === "light" ? "○" : "◐");
  $("theme").setAttribute("aria-label", `Theme: ${theme || "as the system has it"}`);
}

function turn() {
  const root = document.documentElement;
  const next = { "": "dark", dark: "light", light: "" }[root.dataset.theme || ""];
  if (next) root.dataset.theme = next;
  else delete root.dataset.theme;
  try {
    if (next) localStorage.setItem("theme", next);
    else localStorage.removeItem("theme");
  } catch {
    // no storage here
  }
  go({ theme: next }, true);
}

$("range").addEventListener("change", () => {
  if ($("range").value === "custom") {
    $("custom").hidden = false;
    $("from").focus();
  } else go({ from: $("range").value, to: "now" });
});
$("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!$("custom").hidden) go({ from: $("from").value.trim() || "now-1h", to: $("to").value.trim() || "now", q: $("filter").value });
  else go({ q: $("filter").value });
});
let typing;
$("filter").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go({ q: $("filter").value.trim() }, true), 300);
});
$("every").addEventListener("change", () => go({ every: $("every").value === "auto" ? "" : $("every").value }));
$("components").addEventListener("click", () => pick(view, () => go({})));
$("refresh").addEventListener("click", refresh);
$("theme").addEventListener("click", turn);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea") || document.querySelector("dialog[open]")) return;
  const does = { r: refresh, t: turn, e: () => $("export").click(), "/": () => $("filter").focus() }[event.key];
  if (does) {
    event.preventDefault();
    does();
  }
});
addEventListener("popstate", () => {
  view = address.read();
  controls();
  listen();
});
document.addEventListener("visibilitychange", () => {
  listen();
  paint();
});
addEventListener("pagehide", () => stream.close()); // so that the browser may keep the page, for a way back
addEventListener("pageshow", ({ persisted }) => {
  if (!persisted) return;
  view = address.read();
  controls();
  listen();
});
addEventListener("beforeprint", draw.rest);
$("export").addEventListener("click", (event) => {
  if (!board || board.complete) return;
  event.preventDefault();
  say($("banner"), "The range is still being read: its rows would lack something. Ask for the CSV when it has been.");
  $("banner").hidden = false;
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", listen);
$("plotly").addEventListener("load", () => isDrawn || plot());

controls();
condense();
listen();
setInterval(condense, 5000);
