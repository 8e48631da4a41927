// What every script of the pages needs: JSON from the server, changes with the session's CSRF token, and text in HTML.

/** Whether somebody is signed in: only then may a script change something. */
export const signedIn = () => document.querySelector('meta[name="csrf-token"]') !== null;

async function answer(response) {
  const kind = response.headers.get("Content-Type") || "";
  const body = kind.includes("json") ? await response.json() : {};
  if (!response.ok) throw new Error(body.error || `${response.status} ${response.statusText}`);
  return body;
}

/** Get JSON; throws an Error with the server's own sentence. */
export async function load(url, { signal } = {}) {
  return answer(await fetch(url, { headers: { Accept: "application/json" }, signal }));
}

/** Send a change as JSON (or `method: "DELETE"`), with the CSRF token of the page. */
export async function send(url, value = {}, { method = "POST" } = {}) {
  const token = document.querySelector('meta[name="csrf-token"]')?.content || "";
  const headers = { Accept: "application/json", "Content-Type": "application/json", "X-CSRF-Token": token };
  return answer(await fetch(url, { method, headers, body: JSON.stringify(value) }));
}

/** Make an element: `make("a", { href: "/x", class: "soft" }, "text", child)`; text stays text. */
export function make(name, attributes = {}, ...children) {
  const space = ["svg", "g", "rect", "text", "line", "path", "title", "circle"].includes(name);
  const made = space ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

