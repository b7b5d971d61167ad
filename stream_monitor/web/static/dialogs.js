// Two dialogs: which components, and the log records behind what is shown.

import { route } from "./address.js";
import { $, ask, el, say } from "./dom.js";
import { moment, span } from "./words.js";

const MOST_LISTED = 400;

// --- Which components -----------------------------------------------------------------------------

let names = [];
let total = 0;

function listed(view, changed) {
  const words = $("picker-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = names.filter((one) => words.every((word) => one.name.toLowerCase().includes(word)));
  const rows = found.slice(0, MOST_LISTED).map((one) => {
    const box = el("input", { type: "checkbox", value: one.name, checked: view.c.includes(one.name) });
    box.addEventListener("change", () => {
      view.c = box.checked ? [...view.c, one.name] : view.c.filter((name) => name !== one.name);
      changed();
      summary(view);
    });
    return el("label", {}, box, el("span", { className: `kind ${one.kind}` }, one.kind), el("span", {}, one.entity));
  });
  $("picker-list").replaceChildren(...rows);
  summary(view, found.length);
}

function summary(view, found = null) {
  const cut = found !== null && found > MOST_LISTED ? `; the first ${MOST_LISTED} of ${found}, search for others` : "";
  const missing = total > names.length ? `; the first ${names.length} are here, filter the page to have others` : "";
  say($("picker-said"), (view.c.length ? `${view.c.length} of ${total} chosen` : `all ${total}`) + cut + missing);
}

export async function pick(view, changed) {
  $("picker-search").value = "";
  $("picker-list").replaceChildren();
  say($("picker-said"), "reading…");
  $("picker").showModal();
  $("picker-search").oninput = () => listed(view, changed);
  $("picker-none").onclick = () => {
    view.c = [];
    changed();
    listed(view, changed);
  };
  try {
    ({ components: names, total } = await ask(route("components", { ...view, c: [] })));
    listed(view, changed);
  } catch (error) {
    say($("picker-said"), error.message);
  }
}

// --- Log records ----------------------------------------------------------------------------------

function record(one, here) {
  const lines = [one.value === null ? "(no value)" : one.value + (one.cut ? "…" : "")];
  if (one.key) lines.push(`key: ${one.key}`);
  for (const [name, value] of one.headers) lines.push(`${name}: ${value === null ? "" : value}`);
  return el("pre", { className: here ? "here" : "", title: `offset ${one.offset}` }, lines.join("\n"));
}

async function unfold(details, log, around) {
  const room = details.querySelector("div");
  say(room, "reading…");
  try {
    const found = await ask(`/api/v1/logs/${log.kind}/${log.partition}/${log.offset}`);
    const shown = found.records.filter((one) => around || one.offset === log.offset);
    room.replaceChildren(...shown.map((one) => record(one, one.offset === log.offset)));
    if (found.gone) room.prepend(el("p", { className: "note" }, "Kafka has deleted this record: its topic's retention is over."));
    if (!around && found.records.length > 1) {
      const button = el("button", { type: "button" }, "with its neighbours");
      button.addEventListener("click", () => unfold(details, log, true));
      room.append(button);
    }
  } catch (error) {
    say(room, error.message);
  }
}

function entry(log) {
  const what = log.why === "error" ? "error" : `slowest, ${span(log.value_ms)}`;
  const details = el("details", { className: "log" },
    el("summary", {},
      el("time", { dateTime: log.timestamp }, `${moment(log.timestamp)}:${log.timestamp.slice(17, 23)}`),
      el("span", { className: `level ${log.why === "error" ? "failing" : "lagging"}` }, what),
      el("span", { className: `kind ${log.kind}` }, log.kind),
      el("span", {}, log.entity)),
    el("div", {}));
  details.addEventListener("toggle", () => {
    if (details.open && !details.querySelector("pre")) unfold(details, log, false);
  });
  return details;
}

/** The records behind a step (`at`) or the whole range, of some components. */
export async function logs(view, board, { at, names: chosen, label }) {
  say($("logs-title"), `Log records: ${label}`);
  say($("logs-said"), "reading…");
  $("logs-list").replaceChildren();
  $("logs").showModal();
  const range = board.range;
  const asked = { ...view, c: chosen && chosen.length ? chosen.slice(0, 40) : view.c };
  try {
    const found = await ask(route("logs", asked, { at, resolution: range.resolution }));
    $("logs-list").replaceChildren(...found.logs.map(entry));
    const when = at === null ? `${moment(range.from)} to ${moment(range.to)}` : `the step of ${moment(new Date(at).toISOString())}`;
    say($("logs-said"), found.total ? `${found.total} that the windows point to: the latest errors and the slowest, ${when} UTC` : `No window points to a record: no error, no slowest one, in ${when} UTC.`);
    const first = $("logs-list").querySelector("details");
    if (first) first.open = true;
  } catch (error) {
    say($("logs-said"), error.message);
  }
}
