// The plot around one anomaly: the chart of its series, with this one pointed out.
import { SeriesChart } from "./chart.js";
import { load } from "./shell.js";

/** Draw into an element whose data tell where the rows are, which to begin with, and which anomaly it is about. */
export function draw(host, back) {
  const { rows, value, id, anomaly: pages } = host.dataset;
  const home = [Number(host.dataset.from), Number(host.dataset.to)];
  const note = document.getElementById("plot-note");
  let asking = null;
  let waiting = 0;

  const chart = new SeriesChart(host, {
    value,
    marked: id,
    onRange: (from, to) => {
      // While a finger or a wheel moves, only the last range is asked for.
      clearTimeout(waiting);
      waiting = setTimeout(() => ask(from, to), 40);
    },
    onAnomaly: (one) => one.id !== id && location.assign(pages.replace("CONTAINER", one.container).replace("KEY", one.id)),
  });

  async function ask(from, to) {
    asking?.abort();
    const mine = (asking = new AbortController());
    const pieces = Math.min(Math.max(Math.round(host.clientWidth), 200), 2000);
    host.setAttribute("aria-busy", "true");
    try {
      const data = await load(`${rows}?from=${from}&to=${to}&pieces=${pieces}`, { signal: mine.signal });
      chart.show(data);
      note.textContent = "";
      host.dataset.ready = String(data.times_ms.length);
    } catch (error) {
      if (error.name !== "AbortError") note.textContent = `Could not load: ${error.message}`;
    } finally {
      if (asking === mine) host.setAttribute("aria-busy", "false");
    }
  }

  back.hidden = false;
  back.addEventListener("click", () => chart.go(...home));
  ask(...home);
}
