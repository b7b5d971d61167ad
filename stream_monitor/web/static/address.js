// What is shown is what the address says: a link shares the view, and back goes back.

const DEFAULTS = { from: "now-1h", to: "now", q: "", every: "", sort: "-records", theme: "" };
const SHARED = ["from", "to", "q"];

export function read() {
  const given = new URLSearchParams(location.search);
  const found = { c: given.getAll("c") };
  for (const [name, otherwise] of Object.entries(DEFAULTS)) found[name] = given.get(name) || otherwise;
  return found;
}

function parameters(view, names) {
  const out = new URLSearchParams();
  for (const name of names) if (view[name] !== DEFAULTS[name]) out.set(name, view[name]);
  for (const name of view.c) out.append("c", name);
  return out;
}

/** Go to a changed view; `replace`: without a step to go back to. */
export function write(view, replace = false) {
  const query = parameters(view, Object.keys(DEFAULTS)).toString();
  const address = query ? `?${query}` : location.pathname;
  if (address === (location.search || location.pathname)) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
}

/** A route of the API for a view, with more parameters. */
export function route(path, view, more = {}) {
  const query = parameters(view, SHARED);
  for (const [name, value] of Object.entries(more)) if (value !== "" && value !== null) query.set(name, value);
  return `/api/v1/${path}?${query}`;
}

/** light or dark: as the view has it, else as the system does. */
export function themeOf(view) {
  const chosen = document.documentElement.dataset.theme || view.theme;
  return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}
