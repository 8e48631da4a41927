// The page of one anomaly: the plot around it, and its provenance checked when somebody asks.
import { load, make } from "./shell.js";

const plot = document.getElementById("plot");
if (plot) import("./anomaly_plot.js").then((module) => module.draw(plot, document.getElementById("back")));

const found = document.getElementById("found");

/** Show a button that only works with a script, and do `work` when it is pressed, once at a time. */
function wire(id, working, work) {
  const button = document.getElementById(id);
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    found.className = "padded-sides small";
    found.textContent = working;
    try {
      await work(await load(button.dataset.url));
    } catch (error) {
      found.textContent = error.message;
      found.classList.add("missing");
    } finally {
      button.disabled = false;
    }
  });
}

function showLink(link) {
  const body = document.querySelector("#chain tbody");
  let row = [...body.rows].find((one) => one.dataset.link === link.name);
  if (!row) {
    row = make("tr", { "data-link": link.name }, make("th", { scope: "row" }, link.name), make("td"), make("td"));
    body.append(row);
  }
  const [, check, text] = row.cells;
  check.className = `word ${link.status.replace(" ", "-")}`;
  check.textContent = link.status;
  text.className = "wrap";
  // gridwatch's own page of it first, where there is one; other programs beside it.
  const { inside } = text.dataset;
  const away = (words) => make("a", { href: link.url, rel: "noreferrer" }, words);
  if (inside) text.replaceChildren(make("a", { href: inside }, link.text), ...(link.url ? [" · ", away(text.dataset.away)] : []));
  else text.replaceChildren(link.url ? away(link.text) : link.text);
}

wire("check", "Hashing rows and bytes, asking MLflow …", (chain) => {
  chain.links.forEach(showLink);
  found.textContent = chain.sound ? "Sound: nothing has changed or is missing." : "Not sound: see the links below.";
  found.classList.add(chain.sound ? "ok" : "missing");
});

wire("replay", "Computing it again from the stored model and rows …", (done) => {
  found.textContent = done.text;
  if (done.verdict !== "not replayed") found.classList.add(done.verdict === "bit-equal" ? "ok" : "missing");
  const table = document.getElementById("numbers");
  table.hidden = !done.columns.length;
  table.tBodies[0].replaceChildren(
    ...done.columns.map((one) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, one.column),
        make("td", { class: "wrap" }, String(one.stored ?? "–")),
        make("td", { class: "wrap" }, String(one.again ?? "–")),
        make("td", { class: one.equal ? "ok" : "missing" }, one.equal ? "yes" : "no"),
      ),
    ),
  );
});
