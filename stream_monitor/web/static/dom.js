// Elements. What comes from a log only ever becomes text.

export const $ = (id) => document.getElementById(id);

/** An element with properties and children; a child that is a string becomes text. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Do something to the page; the focus stays where it was. */
export function keepFocus(work) {
  const before = document.activeElement;
  work();
  if (before && before !== document.activeElement && before.isConnected) before.focus({ preventScroll: true });
}

/** Set a text only where it differs: nothing is announced, or selected, twice. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** JSON from the API; an Error with the problem's detail where it gives none. */
export async function ask(path, signal) {
  const answer = await fetch(path, { headers: { Accept: "application/json" }, signal });
  if (answer.status === 401) location.reload();
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail || answer.statusText);
  return body;
}
