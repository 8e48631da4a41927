// The rows around one anomaly: value, expectation and band, to move and to zoom with mouse, touch and keys.
import uPlot from "./vendor/uplot/uPlot.esm.js";
import { load } from "./shell.js";

const HEIGHT = 320;
const DAY_S = 86_400;
const SEVERITIES = ["critical", "high", "medium", "low"];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const utc = (seconds) => new Date(seconds * 1000).toISOString().replace("T", " ");

/** Draw into an element whose data tell where the rows are, which to begin with, and when the anomaly was. */
export function draw(place) {
  const { rows, value, id } = place.dataset;
  const home = [Number(place.dataset.from), Number(place.dataset.to)];
  const at = Number(place.dataset.at);
  const note = document.getElementById("plot-note");
  let span = home;
  let limits = home;
  let shown = null;
  let chart = null;
  let asked = null;
  let timer = 0;

  function marks(u) {
    const { ctx } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    for (const one of shown.anomalies) {
      if (one.actual === null) continue;
      const x = u.valToPos(one.ts_ms / 1000, "x", true);
      const own = one.id === id;
      ctx.fillStyle = ctx.strokeStyle = colour(`mark-${SEVERITIES.includes(one.severity) ? one.severity : "low"}`);
      ctx.beginPath();
      ctx.arc(x, u.valToPos(one.actual, "y", true), (own ? 6 : 4) * devicePixelRatio, 0, 2 * Math.PI);
      ctx.fill();
      if (own) {
        ctx.globalAlpha = 0.5;
        ctx.beginPath();
        ctx.moveTo(x, u.bbox.top);
        ctx.lineTo(x, u.bbox.top + u.bbox.height);
        ctx.stroke();
        ctx.globalAlpha = 1;
      }
    }
    ctx.restore();
  }

  function options() {
    const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    return {
      width: Math.max(place.clientWidth, 240),
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      cursor: { drag: { x: false, y: false } },
      scales: { x: { min: span[0] / 1000, max: span[1] / 1000 } },
      axes: [
        { ...axis, space: 90, values: (u, times, place, space, step) => times.map((one) => (step >= DAY_S ? utc(one).slice(0, 10) : utc(one).slice(5, 16))) },
        { ...axis, size: 64 },
      ],
      series: [
        { label: "UTC", value: (u, one) => (one === null ? "–" : utc(one).slice(0, 16)) },
        { label: "lowest ordinary", stroke: colour("band"), width: 1, points: { show: false } },
        { label: "highest ordinary", stroke: colour("band"), width: 1, points: { show: false } },
        { label: "expected", stroke: colour("expected"), width: 1.5, dash: [5, 4], points: { show: false } },
        { label: shown.value || value, stroke: colour("value"), width: 2, points: { show: false } },
      ],
      bands: [{ series: [2, 1], fill: colour("band") }],
      hooks: { draw: [marks] },
    };
  }

  function paint() {
    const data = [shown.times_ms.map((ms) => ms / 1000), shown.lower, shown.upper, shown.expected, shown.actual];
    chart?.destroy();
    chart = new uPlot(options(), data, place);
  }

  async function fetchRows() {
    asked?.abort();
    asked = new AbortController();
    // Half a screen more on each side, so that a small move shows rows at once.
    const more = Math.round((span[1] - span[0]) / 2);
    const pieces = Math.max(2 * place.clientWidth, 400);
    const address = `${rows}?from=${Math.max(span[0] - more, 0)}&to=${span[1] + more}&pieces=${Math.min(pieces, 4000)}`;
    try {
      shown = await load(address, { signal: asked.signal });
      limits = shown.span || home;
      note.textContent = "";
      paint();
      place.dataset.ready = String(shown.times_ms.length);
    } catch (error) {
      if (error.name !== "AbortError") note.textContent = error.message;
    }
  }

  function look(first, last) {
    const least = 2000;
    const width = Math.max(Math.min(last - first, limits[1] - limits[0] || last - first), least);
    const begin = Math.round(Math.min(Math.max(first, limits[0] - width / 2), limits[1] - width / 2));
    span = [begin, Math.round(begin + width)];
    chart?.setScale("x", { min: span[0] / 1000, max: span[1] / 1000 });
    clearTimeout(timer);
    timer = setTimeout(fetchRows, 120);
  }

  const move = (share) => look(span[0] + share * (span[1] - span[0]), span[1] + share * (span[1] - span[0]));
  const zoom = (factor, about = at >= span[0] && at <= span[1] ? at : (span[0] + span[1]) / 2) =>
    look(about - (about - span[0]) * factor, about + (span[1] - about) * factor);
  const keys = {
    ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2), "+": () => zoom(0.5), "=": () => zoom(0.5),
    "-": () => zoom(2), Home: () => look(...home),
  };
  place.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });

  const timeAt = (event) => {
    const over = chart.over.getBoundingClientRect();
    return span[0] + ((event.clientX - over.left) / over.width) * (span[1] - span[0]);
  };
  place.addEventListener("wheel", (event) => {
    // Without a modifier, a page that scrolls under the mouse must not get stuck in the plot.
    if (!chart || !(event.ctrlKey || document.activeElement === place)) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event));
  }, { passive: false });

  let held = null;
  place.addEventListener("pointerdown", (event) => {
    if (!chart || event.button !== 0 || !chart.over.contains(event.target)) return;
    held = { x: event.clientX, span };
    place.focus({ preventScroll: true });
  });
  addEventListener("pointermove", (event) => {
    if (!held) return;
    const width = chart.over.getBoundingClientRect().width || 1;
    const by = ((held.x - event.clientX) / width) * (held.span[1] - held.span[0]);
    look(held.span[0] + by, held.span[1] + by);
  });
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { held = null; });

  new ResizeObserver(() => chart?.setSize({ width: Math.max(place.clientWidth, 240), height: HEIGHT })).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => shown && paint());
  fetchRows();
}
