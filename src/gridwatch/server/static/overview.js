// Swim lanes: a row a series, a cell a piece of time with anomalies, coloured by the worst of them.

import { load } from "./shell.js";
import { kept, number, shown } from "./times.js";

const host = document.getElementById("lanes");
const status = document.getElementById("lanes-status");
const form = document.getElementById("filters");
const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function link(series, from, to) {
  const query = new URLSearchParams({ from: kept(Math.max(0, from)), to: kept(to) });
  for (const name of ["severity", "detector"]) if (form.elements[name].value) query.set(name, form.elements[name].value);
  return `${host.dataset.series.replace("NAME", encodeURIComponent(series))}?${query}`;
}

function axis(data, left, width, y) {
  const count = Math.max(2, Math.min(7, Math.floor(width / 130)));
  const span = data.to_ms - data.from_ms;
  const text = (ms) => (span > count * 86400000 ? shown(ms).slice(0, 10) : shown(ms).slice(0, span > 600000 ? 16 : 19));
  return Array.from({ length: count }, (_, place) => {
    const share = place / (count - 1);
    const anchor = place === 0 ? "start" : place === count - 1 ? "end" : "middle";
    return svg("text", { x: left + share * width, y, "text-anchor": anchor, class: "lane-axis" }, text(data.from_ms + share * span));
  });
}

function cell(lane, at, data, box) {
  const from = data.from_ms + lane.places[at] * data.piece_ms;
  const to = Math.min(from + data.piece_ms - 1, Math.max(data.to_ms, from));
  const words = `${lane.series}, ${shown(from)} to ${shown(to)}: ${lane.counts[at]} ${lane.counts[at] === 1 ? "anomaly" : "anomalies"}, greatest score ${number(lane.scores[at])}, ${lane.severities[at] || "no severity"}`;
  const rect = svg("rect", { ...box, rx: 2, class: `cell ${lane.severities[at]}` });
  const around = data.piece_ms * 3;
  const made = svg("a", { href: link(lane.series, from - around, to + around), "aria-label": words, tabindex: -1 }, svg("title", {}, words), rect);
  // The fainter, the lower the score.
  rect.style.opacity = 0.35 + 0.65 * Math.min(Math.max(lane.scores[at], 0), 100) / 100;
  return made;
}

function draw(data) {
  const total = Math.max(host.clientWidth, 240);
  const narrow = total < 520;
  const left = narrow ? 0 : Math.min(200, 16 + 8.5 * Math.max(0, ...data.lanes.map((lane) => lane.series.length)));
  const [width, high, step] = [total - left, 22, narrow ? 46 : 30];
  const picture = svg("svg", { width: total, height: data.lanes.length * step + 30, role: "group", "aria-label": "Anomalies by series and time" });
  const rows = data.lanes.map((lane, row) => {
    const y = row * step + (narrow ? 18 : 2);
    const name = svg("text", { x: 0, y: narrow ? y - 5 : y + 15, class: "lane-name" }, lane.series);
    picture.append(
      svg("a", { href: link(lane.series, data.from_ms, data.to_ms) }, name),
      svg("rect", { x: left, y, width, height: high, class: "lane", rx: 3 }),
    );
    const size = width / data.pieces;
    const cells = lane.places.map((place, at) => {
      const box = { x: left + place * size, y, width: Math.max(size - 1, 3), height: high };
      return cell(lane, at, data, box);
    });
    picture.append(...cells);
    return cells;
  });
  picture.append(...axis(data, left, width, data.lanes.length * step + 20));
  host.replaceChildren(picture);
  steer(rows, data.lanes);
}

/** One cell is reached by Tab, the others from it by arrow keys. */
function steer(rows, lanes) {
  if (!rows.length || !rows[0].length) return;
  rows[0][0].setAttribute("tabindex", 0);
  const focus = (row, at) => {
    for (const one of rows.flat()) one.setAttribute("tabindex", -1);
    rows[row][at].setAttribute("tabindex", 0);
    rows[row][at].focus();
  };
  rows.forEach((cells, row) =>
    cells.forEach((one, at) =>
      one.addEventListener("keydown", (event) => {
        const aside = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: cells.length - 1 }[event.key];
        const other = { ArrowUp: row - 1, ArrowDown: row + 1 }[event.key];
        if (aside !== undefined && cells[aside]) focus(row, aside);
        else if (other !== undefined && rows[other]) focus(other, nearest(lanes[other].places, lanes[row].places[at]));
        else return;
        event.preventDefault();
      }),
    ),
  );
}

const nearest = (places, wanted) =>
  places.reduce((best, place, at) => (Math.abs(place - wanted) < Math.abs(places[best] - wanted) ? at : best), 0);

function list(data) {
  const order = ["critical", "high", "medium", "low", ""];
  const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);
  const body = document.getElementById("lanes-table");
  body.replaceChildren(
    ...data.lanes.map((lane) => {
      const worst = [...lane.severities].sort((a, b) => order.indexOf(a) - order.indexOf(b))[0];
      const row = document.createElement("tr");
      const cells = [null, worst || "–", sum(lane.counts).toLocaleString("en-US"), number(Math.max(...lane.scores))];
      cells.forEach((text, place) => {
        const made = document.createElement("td");
        if (place === 0) {
          const anchor = document.createElement("a");
          anchor.href = link(lane.series, data.from_ms, data.to_ms);
          anchor.textContent = lane.series;
          made.append(anchor);
        } else made.textContent = text;
        made.className = place === 1 ? `word ${worst}` : place > 1 ? "number" : "";
        row.append(made);
      });
      return row;
    }),
  );
  document.getElementById("lanes-list").hidden = data.lanes.length === 0;
}

async function show() {
  host.setAttribute("aria-busy", "true");
  const query = new URLSearchParams(location.search);
  for (const [name, value] of [...query]) if (!value) query.delete(name, value);
  query.set("pieces", host.clientWidth < 520 ? 40 : 96);
  try {
    const data = await load(`${host.dataset.url}?${query}`);
    if (data.lanes.length) draw(data);
    else host.replaceChildren();
    list(data);
    const more = data.more ? ` The ${data.lanes.length} worst of ${data.lanes.length + data.more} series are shown.` : "";
    status.textContent = data.lanes.length
      ? `${shown(data.from_ms)} to ${shown(data.to_ms)} UTC.${more}`
      : "No anomalies here: nothing was found so far, or nothing of what the filters ask for.";
    return data;
  } catch (error) {
    status.textContent = `Could not load: ${error.message}`;
    return null;
  } finally {
    host.setAttribute("aria-busy", "false");
  }
}

// Fields that are empty need not stand in the address. This waits for no data: a form can be sent before they are here.
form.addEventListener("submit", () => {
  for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
});
addEventListener("pageshow", () => {
  for (const field of form.elements) field.disabled = false;
});

let shownData = await show();
let width = host.clientWidth;
new ResizeObserver(() => {
  if (host.clientWidth === width || !shownData?.lanes.length) return;
  width = host.clientWidth;
  draw(shownData);
}).observe(host);
