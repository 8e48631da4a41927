// The page of one series: asks for what the chart shows, keeps range and filters in the address, and says labels.

import { SeriesChart } from "./chart.js";
import { load, make, send, signedIn } from "./shell.js";
import { kept, number, read, shown } from "./times.js";

const LISTED_MAX = 200;
const PAUSE_MS = 40;
// Browsers refuse an address that changes too often; Safari, 100 times in 30 s.
const KEPT_AFTER_MS = 350;
const host = document.getElementById("chart");
const status = document.getElementById("chart-status");
const filters = document.getElementById("filters");
const form = document.getElementById("label-form");
const { url, labels: labelsUrl, label: labelUrl, anomaly: anomalyUrl } = host.dataset;

let asking = null;
let waiting = null;
let keeping = null;
let asked_ms = 0;

const page = (anomaly) => anomalyUrl.replace("CONTAINER", anomaly.container).replace("KEY", anomaly.id);

const chart = new SeriesChart(host, {
  value: host.dataset.value,
  onRange: (from, to) => {
    host.setAttribute("aria-busy", "true");
    remember(from, to);
    // The first at once; while a finger or a wheel moves on, the last of each while.
    clearTimeout(waiting);
    waiting = setTimeout(() => ask(from, to), Math.max(0, asked_ms + PAUSE_MS - performance.now()));
  },
  onPick: (from, to) => openForm(rounded(from), rounded(to)),
  onAnomaly: (anomaly) => location.assign(page(anomaly)),
});

/** A time that was pointed at, as exact as a pixel is: nobody means milliseconds of a month. */
function rounded(ms) {
  const pixel = (chart.range[1] - chart.range[0]) / Math.max(host.clientWidth, 1);
  const unit = [3600000, 60000, 1000].find((one) => one <= pixel) ?? 1;
  return Math.round(ms / unit) * unit;
}

function asked(from, to) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(filters)) if (value) query.set(name, value);
  if (from !== null) query.set("from", from);
  if (to !== null) query.set("to", to);
  return query;
}

function remember(from, to) {
  clearTimeout(keeping);
  keeping = setTimeout(() => {
    history.replaceState(null, "", `${location.pathname}?${asked(kept(from), kept(to))}`);
  }, KEPT_AFTER_MS);
}

async function ask(from, to) {
  asking?.abort();
  clearTimeout(waiting);
  waiting = null;
  asked_ms = performance.now();
  const mine = (asking = new AbortController());
  host.setAttribute("aria-busy", "true");
  const query = asked(from, to);
  query.set("pieces", Math.min(Math.max(Math.round(host.clientWidth), 200), 2000));
  try {
    const data = await load(`${url}?${query}`, { signal: mine.signal });
    // It may have moved on meanwhile: the next answer is on its way.
    if (waiting === null) chart.show(data);
    tell(data);
  } catch (error) {
    if (error.name !== "AbortError") status.textContent = `Could not load: ${error.message}`;
  } finally {
    if (asking === mine && waiting === null) host.setAttribute("aria-busy", "false");
  }
}

function tell(data) {
  const drawn = data.times_ms.length;
  const rows = data.rows.toLocaleString("en-US");
  const thin = drawn < data.rows ? `, drawn by the lowest and highest of each pixel (${drawn.toLocaleString("en-US")})` : "";
  Object.assign(host.dataset, { from: data.from_ms, to: data.to_ms });
  const none = data.rows || host.dataset.rows === "yes" ? `${rows} rows${thin}` : "Only the anomalies of this series are kept";
  status.textContent = `${shown(data.from_ms)} to ${shown(data.to_ms)} UTC · ${none}`;
  listAnomalies(data);
  listLabels(data.labels);
}

function listAnomalies({ anomalies, anomalies_found: found }) {
  const body = document.getElementById("anomalies");
  const listed = [...anomalies].reverse().slice(0, LISTED_MAX);
  body.replaceChildren(
    ...listed.map((one) =>
      make(
        "tr",
        {},
        make("td", { class: "nowrap" }, make("a", { href: page(one) }, shown(one.ts_ms))),
        make("td", { class: `word ${one.severity || ""}` }, one.severity || "–"),
        make("td", { class: "number" }, number(one.severity_score)),
        make("td", { class: "number" }, number(one.actual)),
        make("td", { class: "number" }, number(one.expected)),
        make("td", {}, [one.partition, one.driver].filter(Boolean).join(" · ") || "–"),
      ),
    ),
  );
  document.getElementById("anomalies-card").hidden = listed.length === 0;
  const few = listed.length < found ? `, ${listed.length.toLocaleString("en-US")} of them listed` : "";
  document.getElementById("anomalies-count").textContent = `${found.toLocaleString("en-US")} in this range${few}`;
}

function listLabels(labels) {
  const body = document.getElementById("labels");
  const range = (one) => (one.from_ms === one.to_ms ? shown(one.from_ms) : `${shown(one.from_ms)} to ${shown(one.to_ms)}`);
  body.replaceChildren(
    ...labels.map((one) => {
      const go = make("button", { type: "button", class: "quiet", title: "Show it" }, range(one));
      const span = Math.max(one.to_ms - one.from_ms, (chart.range[1] - chart.range[0]) / 50);
      go.addEventListener("click", () => chart.go(one.from_ms - span * 2, one.to_ms + span * 2));
      const remove = make("button", { type: "button", "aria-label": `Remove the label of ${range(one)}` }, "Remove");
      remove.addEventListener("click", () => takeBack(one, remove));
      return make(
        "tr",
        {},
        make("td", {}, go),
        make("td", { class: `word label-${one.verdict}` }, one.verdict),
        make("td", {}, one.note || "–"),
        make("td", {}, one.author),
        make("td", {}, host.dataset.write === "yes" ? remove : null),
      );
    }),
  );
  document.getElementById("labels-card").hidden = labels.length === 0;
}

async function takeBack(label, button) {
  button.disabled = true;
  try {
    await send(labelUrl.replace("KEY", label.id), {}, { method: "DELETE" });
    ask(...chart.range);
  } catch (error) {
    button.disabled = false;
    status.textContent = `Could not remove the label: ${error.message}`;
  }
}

function openForm(from, to) {
  form.hidden = false;
  form.elements.from.value = kept(from);
  form.elements.to.value = kept(to);
  document.getElementById("label-problem").textContent = "";
  chart.pick(from, to);
  form.elements.verdict[0].focus();
}

function closeForm() {
  form.hidden = true;
  chart.picking = false;
  pickButton?.setAttribute("aria-pressed", "false");
  chart.unpick();
  host.focus();
}

const pickButton = document.getElementById("pick");
pickButton?.addEventListener("click", () => {
  chart.picking = pickButton.getAttribute("aria-pressed") !== "true";
  pickButton.setAttribute("aria-pressed", String(chart.picking));
  if (chart.picking) {
    // By keyboard there is nothing to drag: the form begins with the middle of what is shown.
    const [from, to] = chart.range;
    openForm(rounded(from + (to - from) * 0.4), rounded(from + (to - from) * 0.6));
  } else closeForm();
});

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = document.getElementById("label-problem");
  const [from_ms, to_ms] = [read(form.elements.from.value), read(form.elements.to.value)];
  if (Number.isNaN(from_ms) || Number.isNaN(to_ms)) {
    problem.textContent = "Write times such as 2024-05-01T12:30, in UTC.";
    return;
  }
  try {
    await send(labelsUrl, { from_ms, to_ms, verdict: form.elements.verdict.value, note: form.elements.note.value });
    form.elements.note.value = "";
    closeForm();
    ask(...chart.range);
  } catch (error) {
    problem.textContent = error.message;
  }
});
form?.addEventListener("reset", closeForm);
form?.addEventListener("keydown", (event) => event.key === "Escape" && closeForm());
for (const name of ["from", "to"]) {
  form?.elements[name].addEventListener("change", () => {
    const [from, to] = [read(form.elements.from.value), read(form.elements.to.value)];
    if (from <= to) chart.pick(from, to);
  });
}

const buttons = {
  "zoom-in": () => chart.zoom(0.5),
  "zoom-out": () => chart.zoom(2),
  "pan-left": () => chart.pan(-0.5),
  "pan-right": () => chart.pan(0.5),
  all: () => chart.all(),
};
for (const [id, move] of Object.entries(buttons)) document.getElementById(id).addEventListener("click", move);
filters.addEventListener("change", () => {
  remember(...chart.range);
  ask(...chart.range);
});
filters.addEventListener("submit", (event) => event.preventDefault());

const given = new URLSearchParams(location.search);
const time = (name) => (given.get(name) ? read(given.get(name)) : null);
ask(time("from"), time("to"));
if (!signedIn()) document.body.classList.add("visitor");
