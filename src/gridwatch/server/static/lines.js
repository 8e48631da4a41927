// Lines over time or epochs: a chart that is read by mouse, touch and keyboard, and takes its colours from the page.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { number, shown } from "./times.js";

const COLOURS = ["--value", "--expected", "--good", "--critical", "--soft"];
/** The day under the first tick, and under each at which another begins; in between the clock alone. */
const ticks = (times) =>
  times.map((ms, at) => {
    const [day, clock = "00:00"] = shown(ms).split(" ");
    const same = at > 0 && shown(times[at - 1]).split(" ")[0] === day;
    if (same) return clock;
    return times.length > 1 && times[1] - times[0] >= 86400000 ? day : `${clock}\n${day}`;
  });

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * Draw lines in a host; an earlier picture in it goes.
 * @param {HTMLElement} host
 * @param {object} what
 * @param {number[]} what.x Epoch ms, or epochs.
 * @param {{label: string, values: (number|null)[], points?: boolean}[]} what.lines
 * @param {boolean} [what.time] Whether x is a time.
 */
export function draw(host, { x, lines, time = true }) {
  host.lines?.destroy();
  host.hidden = false;
  const soft = () => colour("--soft");
  const axis = { stroke: soft, grid: { stroke: () => colour("--line"), width: 1 }, ticks: { stroke: () => colour("--line"), width: 1 } };
  const told = (value) => (time ? `${shown(value)} UTC` : `epoch ${value}`);
  const plot = new uPlot(
    {
      width: Math.max(host.clientWidth, 200),
      height: 260,
      ms: 1,
      tzDate: (ms) => uPlot.tzDate(new Date(ms), "Etc/UTC"),
      scales: { x: { time } },
      axes: [time ? { ...axis, space: 84, values: (_, times) => ticks(times) } : axis, { ...axis, size: 64, values: (_, ticks) => ticks.map((one) => number(one)) }],
      series: [
        { label: time ? "Time" : "Epoch", value: (_, value) => (value === null ? "–" : told(value)) },
        ...lines.map((line, place) => ({
          label: line.label,
          stroke: () => colour(COLOURS[place % COLOURS.length]),
          width: 1.5,
          spanGaps: true,
          points: { show: line.points ?? x.length < 60, size: 6 },
          value: (_, value) => number(value),
        })),
      ],
    },
    [x, ...lines.map((line) => line.values)],
    host,
  );
  host.lines = plot;
  steer(host, plot, x);
}

function steer(host, plot, x) {
  host.tabIndex = 0;
  host.setAttribute("role", "application");
  host.setAttribute("aria-roledescription", "chart");
  let at = -1;
  host.onkeydown = (event) => {
    const { min, max } = plot.scales.x;
    const moved = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const zoomed = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
    if (moved) {
      at = Math.min(Math.max((plot.cursor.idx ?? at) + moved, 0), x.length - 1);
      plot.setCursor({ left: plot.valToPos(x[at], "x"), top: plot.over.clientHeight / 2 });
    } else if (zoomed) {
      const middle = at >= 0 ? x[at] : (min + max) / 2;
      plot.setScale("x", { min: middle - (middle - min) * zoomed, max: middle + (max - middle) * zoomed });
    } else if (event.key === "Home") plot.setScale("x", { min: x[0], max: x.at(-1) });
    else return;
    event.preventDefault();
  };
}

// Charts follow their host's width, and the page's colours when the system turns dark.
const follow = (work) => document.querySelectorAll(".chart").forEach((host) => host.lines && work(host));
addEventListener("resize", () => follow((host) => host.lines.setSize({ width: Math.max(host.clientWidth, 200), height: 260 })));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => follow((host) => host.lines.redraw(false, true)));
