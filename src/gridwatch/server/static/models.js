// Trainings of one dataset: their errors, how one was trained, and a version against the champion.

import { load } from "./shell.js";
import { draw } from "./lines.js";
import { number, shown } from "./times.js";

const at = (id) => document.getElementById(id);

async function trainings() {
  const [host, status] = [at("trainings"), at("trainings-status")];
  try {
    const data = await load(host.dataset.url);
    const lines = [
      { label: "challenger", values: data.val_mae },
      { label: "champion so far", values: data.champion_mae },
      { label: "row before", values: data.naive_mae },
    ];
    draw(host, { x: data.trained_ms, lines });
    const [many, crowned] = [data.trained_ms.length, data.champion.filter(Boolean).length];
    status.textContent = `${many === 1 ? "1 training" : `The newest ${many} trainings`}; ${crowned} became champion.`;
  } catch (error) {
    status.textContent = `Could not load: ${error.message}`;
  }
}

function row(cells) {
  const made = document.createElement("tr");
  cells.forEach((text, place) => {
    const cell = document.createElement("td");
    cell.textContent = text;
    if (place > 1) cell.className = "number";
    made.append(cell);
  });
  return made;
}

function name(one, data) {
  if (one.version === data.champion) return one.version === data.chosen ? `version ${one.version}, the champion` : `champion, version ${one.version}`;
  return `version ${one.version}`;
}

async function sides(data) {
  if (!data.times_ms.length) {
    return `No rows came since ${shown(data.from_ms)} UTC, up to where one of them has learnt: there is nothing yet that neither knows.`;
  }
  const lines = [{ label: data.value, values: data.actual, points: false }];
  for (const one of data.versions) lines.push({ label: name(one, data), values: one.expected, points: false });
  draw(at("sides"), { x: data.times_ms, lines });
  const body = at("sides-table").querySelector("tbody");
  body.replaceChildren(
    ...data.versions.map((one) => row([name(one, data), one.detector, number(one.mae), one.flagged])),
    row(["the row before", "–", number(data.naive_mae), "–"]),
  );
  at("sides-table").hidden = false;
  const only = data.versions.length === 1 ? " This version is the champion; it stands alone." : "";
  return `The newest ${data.times_ms.length} of ${data.unseen} rows that neither has learnt.${only}`;
}

async function curves(data) {
  const names = Object.keys(data);
  if (!names.length) return "It learns as it goes: there are no epochs.";
  const x = [...new Set(names.flatMap((one) => data[one].epochs))].sort((a, b) => a - b);
  const lines = names.map((one) => {
    const known = new Map(data[one].epochs.map((epoch, place) => [epoch, data[one].values[place]]));
    return { label: one, values: x.map((epoch) => known.get(epoch) ?? null) };
  });
  draw(at("epochs"), { x, lines, time: false });
  return `${x.length} epochs; the last: ${lines.map((line) => `${line.label} ${number(line.values.at(-1))}`).join(", ")}.`;
}

for (const [id, show] of [["compare", sides], ["curves", curves]]) {
  const button = at(id);
  button.addEventListener("click", async () => {
    button.disabled = true;
    at("chosen-status").textContent = "Working …";
    try {
      at("chosen-status").textContent = await show(await load(button.dataset.url));
    } catch (error) {
      at("chosen-status").textContent = `Not possible: ${error.message}`;
    } finally {
      button.disabled = false;
    }
  });
}

await trainings();
