// One series: value, expected value and band, anomalies by severity, labels as shaded ranges. Zoom and pan by mouse,
// touch and keyboard. What is drawn is asked for by `onRange`; the chart keeps no more than the visible range.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { number, shown } from "./times.js";

export const SEVERITIES = ["low", "medium", "high", "critical"];
const NEAR_PX = 14;
const SHORTEST_MS = 20;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Text of a tick: the time of day, with the day below where it changes; where ticks are days apart, the day alone. */
function tick(ms, before, step) {
  const [day, clock = "00:00"] = shown(ms).split(" ");
  if (step >= 28 * 86400000) return day.slice(0, 7);
  if (step >= 86400000) return day;
  const same = before !== undefined && shown(before).split(" ")[0] === day;
  return same ? clock : `${clock}\n${day}`;
}

/** Path of the mark of a severity, `size` pixels from its middle: shapes differ, for not everybody sees the colours. */
function mark(path, severity, x, y, size) {
  if (severity === "critical") {
    path.moveTo(x, y - size * 1.2);
    path.lineTo(x + size * 1.2, y);
    path.lineTo(x, y + size * 1.2);
    path.lineTo(x - size * 1.2, y);
    path.closePath();
  } else if (severity === "high") {
    path.moveTo(x, y - size);
    path.lineTo(x + size, y + size * 0.8);
    path.lineTo(x - size, y + size * 0.8);
    path.closePath();
  } else {
    path.moveTo(x + size, y);
    path.arc(x, y, severity === "low" ? size * 0.7 : size, 0, 2 * Math.PI);
  }
}

export class SeriesChart {
  /**
   * @param {HTMLElement} host Gets the chart; it is made focusable.
   * @param {object} how
   * @param {string} how.value What the value is called.
   * @param {(from: number, to: number) => void} how.onRange Another range is to be shown; answer with `show`.
   * @param {(from: number, to: number) => void} [how.onPick] A range was dragged while `picking`.
   * @param {(anomaly: object) => void} [how.onAnomaly] An anomaly was clicked.
   * @param {string} [how.marked] Id of the anomaly to point out.
   */
  constructor(host, { value, onRange, onPick = () => {}, onAnomaly = () => {}, marked = null }) {
    Object.assign(this, { host, value, onRange, onPick, onAnomaly, marked, picking: false });
    this.drawn = { times_ms: [], actual: [], expected: [], lower: [], upper: [], anomalies: [], labels: [] };
    this.range = [0, 1];
    this.whole = null;
    host.tabIndex = 0;
    host.setAttribute("role", "application");
    host.setAttribute("aria-roledescription", "chart");
    this.tip = document.createElement("div");
    this.tip.className = "chart-tip";
    this.tip.hidden = true;
    host.append(this.tip);
    this.#make();
    this.#listen();
  }

  /** Draw what the server gave for a range: `times_ms`, `actual`, `expected`, `lower`, `upper`, `anomalies`, `labels`. */
  show(data) {
    this.drawn = data;
    this.range = [data.from_ms, data.to_ms];
    if (data.span) this.whole = data.span;
    this.plot.batch(() => {
      this.plot.setData(this.#columns(), false);
      this.plot.setScale("x", { min: data.from_ms, max: Math.max(data.to_ms, data.from_ms + 1) });
    });
  }

  /** Ask for a range, within what there is; the picture moves at once and is filled in when the answer comes. */
  go(from, to) {
    if (!Number.isFinite(from) || !Number.isFinite(to)) return;
    let span = Math.max(to - from, SHORTEST_MS);
    if (this.whole) {
      const slack = (this.whole[1] - this.whole[0]) * 0.02 + SHORTEST_MS;
      const [first, last] = [this.whole[0] - slack, this.whole[1] + slack];
      span = Math.min(span, last - first);
      from = Math.min(Math.max(from, first), last - span);
    }
    this.range = [Math.max(0, Math.round(from)), Math.round(from + span)];
    this.plot.setScale("x", { min: this.range[0], max: this.range[1] });
    this.onRange(...this.range);
  }

  /** Zoom by a factor around a place between 0 (left) and 1 (right). */
  zoom(factor, at = 0.5) {
    const [from, to] = this.range;
    const span = to - from;
    const fixed = from + span * at;
    this.go(fixed - span * factor * at, fixed + span * factor * (1 - at));
  }

  /** Pan by a share of what is shown. */
  pan(share) {
    const [from, to] = this.range;
    this.go(from + (to - from) * share, to + (to - from) * share);
  }

  all() {
    if (this.whole) this.go(...this.whole);
  }

  /** Show a range as picked, or none. */
  pick(from, to) {
    const left = this.plot.valToPos(from, "x");
    const width = this.plot.valToPos(to, "x") - left;
    this.plot.setSelect({ left, width: Math.max(width, 1), top: 0, height: this.plot.over.clientHeight }, false);
  }

  unpick() {
    this.plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  }

  #columns() {
    const { times_ms, actual, expected, lower, upper } = this.drawn;
    return [times_ms, expected, actual, lower, upper];
  }

  #size() {
    const width = Math.max(this.host.clientWidth, 200);
    return { width, height: width < 520 ? 260 : 380 };
  }

  #make() {
    // Looked up once: a style that is asked for at each mark of each frame would be most of the frame.
    const names = ["soft", "card", ...SEVERITIES.map((word) => `mark-${word}`), "label-true", "label-false", "label-expected"];
    this.colours = Object.fromEntries(names.map((name) => [name, colour(name)]));
    const ink = this.colours.soft;
    const grid = { stroke: colour("line"), width: 1 };
    const at = (_, value) => (value === null ? "–" : number(value));
    const hidden = { stroke: "transparent", width: 0, points: { show: false }, value: at };
    const axis = { stroke: ink, grid, ticks: grid, font: "12px system-ui, sans-serif" };
    const options = {
      ...this.#size(),
      ms: 1,
      padding: [null, 34, null, null],
      tzDate: (ms) => uPlot.tzDate(new Date(ms), "UTC"),
      scales: { x: { time: true }, y: { range: (_, low, high) => this.#reach(low, high) } },
      axes: [
        { ...axis, space: this.host.clientWidth < 520 ? 64 : 84, values: (_, ticks, __, ___, step) => ticks.map((ms, at) => tick(ms, ticks[at - 1], step)) },
        { ...axis, size: this.host.clientWidth < 520 ? 52 : 64, values: (_, ticks) => ticks.map(number) },
      ],
      series: [
        { label: "Time (UTC)", value: (_, ms) => (ms === null ? "–" : shown(ms)) },
        { label: "expected", stroke: colour("expected"), width: 1, dash: [4, 3], points: { show: false }, value: at },
        { label: this.value, stroke: colour("value"), width: 1.4, value: at, points: { size: 4 } },
        { label: "lower", ...hidden },
        { label: "upper", ...hidden },
      ],
      bands: [{ series: [4, 3], fill: colour("band") }],
      cursor: {
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => this.all() },
        points: { size: 6 },
      },
      hooks: {
        drawClear: [(plot) => this.#drawLabels(plot)],
        draw: [(plot) => this.#drawAnomalies(plot)],
        setSelect: [(plot) => this.#selected(plot)],
        setCursor: [(plot) => this.#pointed(plot)],
      },
    };
    this.plot = new uPlot(options, this.#columns(), this.host);
    this.plot.setScale("x", { min: this.range[0], max: this.range[1] });
  }

  #reach(low, high) {
    const [from, to] = this.range;
    const seen = this.drawn.anomalies
      .filter((one) => one.actual !== null && one.ts_ms >= from && one.ts_ms <= to)
      .map((one) => one.actual);
    if (low !== null && low !== undefined) seen.push(low, high);
    if (!seen.length) return [0, 1];
    const [least, most] = [Math.min(...seen), Math.max(...seen)];
    const slack = (most - least) * 0.07 || Math.abs(most) * 0.05 || 1;
    return [least - slack, most + slack];
  }

  #inside(plot, draw) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    draw(ctx, bbox, devicePixelRatio || 1);
    ctx.restore();
  }

  #drawLabels(plot) {
    this.#inside(plot, (ctx, bbox, ratio) => {
      for (const label of this.drawn.labels) {
        const left = plot.valToPos(label.from_ms, "x", true);
        const width = Math.max(plot.valToPos(label.to_ms, "x", true) - left, 3 * ratio);
        ctx.fillStyle = this.colours[`label-${label.verdict}`];
        ctx.globalAlpha = 0.16;
        ctx.fillRect(left, bbox.top, width, bbox.height);
        ctx.globalAlpha = 0.9;
        ctx.fillRect(left, bbox.top, width, 4 * ratio);
        ctx.globalAlpha = 1;
      }
    });
  }

  #place(plot, anomaly, onCanvas) {
    const value = anomaly.actual ?? anomaly.expected;
    const x = plot.valToPos(anomaly.ts_ms, "x", onCanvas);
    // Without a value it stands at the bottom, so that it is seen at all.
    const low = onCanvas ? plot.bbox.top + plot.bbox.height : plot.over.clientHeight;
    return [x, value === null || value === undefined ? low - 8 : plot.valToPos(value, "y", onCanvas)];
  }

  #drawAnomalies(plot) {
    this.#inside(plot, (ctx, _, ratio) => {
      const rank = (one) => SEVERITIES.indexOf(one.severity);
      for (const one of [...this.drawn.anomalies].sort((a, b) => rank(a) - rank(b))) {
        const [x, y] = this.#place(plot, one, true);
        const path = new Path2D();
        mark(path, one.severity, x, y, 5 * ratio);
        ctx.fillStyle = this.colours[SEVERITIES.includes(one.severity) ? `mark-${one.severity}` : "soft"];
        ctx.strokeStyle = this.colours.card;
        ctx.lineWidth = ratio;
        ctx.fill(path);
        ctx.stroke(path);
        if (one.id === this.marked) {
          ctx.strokeStyle = ctx.fillStyle;
          ctx.lineWidth = 2 * ratio;
          ctx.beginPath();
          ctx.arc(x, y, 11 * ratio, 0, 2 * Math.PI);
          ctx.stroke();
        }
      }
    });
  }

  #selected(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    if (this.picking) {
      this.onPick(Math.round(from), Math.round(to));
    } else {
      this.unpick();
      this.go(from, to);
    }
  }

  #nearest(plot) {
    const { left, top } = plot.cursor;
    let best = null;
    let distance = NEAR_PX;
    for (const one of left < 0 ? [] : this.drawn.anomalies) {
      const [x, y] = this.#place(plot, one, false);
      const away = Math.hypot(x - left, y - top);
      if (away < distance) [best, distance] = [one, away];
    }
    return best;
  }

  #pointed(plot) {
    const found = this.#nearest(plot);
    this.tip.hidden = found === null;
    plot.over.classList.toggle("points-at", found !== null);
    if (found === null) return;
    const parts = [found.severity || "anomaly", `score ${number(found.severity_score)}`];
    if (found.driver) parts.push(found.driver);
    this.tip.textContent = `${shown(found.ts_ms)} · ${parts.join(" · ")}`;
    const [x, y] = this.#place(plot, found, false);
    const right = x > plot.over.clientWidth / 2;
    this.tip.style.left = `${plot.over.offsetLeft + x + (right ? -12 : 12)}px`;
    this.tip.style.top = `${Math.max(plot.over.offsetTop + y - 34, 0)}px`;
    this.tip.style.transform = right ? "translateX(-100%)" : "";
  }

  #listen() {
    const { host } = this;
    host.addEventListener("keydown", (event) => this.#key(event));
    host.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    // Before uPlot's own listener, which would begin to select.
    host.addEventListener("mousedown", (event) => this.#grab(event), true);
    host.addEventListener("click", (event) => {
      const found = event.target === this.plot.over ? this.#nearest(this.plot) : null;
      if (found && !this.picking) this.onAnomaly(found);
    });
    this.#touch();
    new ResizeObserver(() => {
      const size = this.#size();
      if (size.width !== this.plot.width) this.plot.setSize(size);
    }).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.plot.destroy();
      this.#make();
    });
  }

  #key(event) {
    const moves = {
      ArrowLeft: () => this.pan(event.shiftKey ? -0.9 : -0.2),
      ArrowRight: () => this.pan(event.shiftKey ? 0.9 : 0.2),
      "+": () => this.zoom(0.5),
      "=": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      0: () => this.all(),
      Home: () => this.whole && this.go(this.whole[0], this.whole[0] + this.range[1] - this.range[0]),
      End: () => this.whole && this.go(this.whole[1] - this.range[1] + this.range[0], this.whole[1]),
    };
    const move = event.ctrlKey || event.metaKey || event.altKey ? null : moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  }

  #wheel(event) {
    // A wheel alone scrolls the page, as everywhere.
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
    event.preventDefault();
    const box = this.plot.over.getBoundingClientRect();
    if (event.shiftKey) this.pan((event.deltaY || event.deltaX) / 1000);
    else this.zoom(Math.exp(event.deltaY / 400), Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1));
  }

  #grab(event) {
    if (!event.shiftKey || event.button !== 0 || event.target !== this.plot.over) return;
    event.stopPropagation();
    event.preventDefault();
    const [from, to] = this.range;
    const share = (to - from) / this.plot.over.clientWidth;
    const move = (moved) => this.go(from - (moved.clientX - event.clientX) * share, to - (moved.clientX - event.clientX) * share);
    const end = () => {
      removeEventListener("mousemove", move);
      removeEventListener("mouseup", end);
    };
    addEventListener("mousemove", move);
    addEventListener("mouseup", end);
  }

  /** One finger pans, or picks while `picking`; two zoom. Up and down scroll the page. */
  #touch() {
    const fingers = new Map();
    let begin = null;
    const restart = () => {
      const xs = [...fingers.values()];
      begin = xs.length ? { xs, range: this.range, box: this.plot.over.getBoundingClientRect() } : null;
    };
    const over = (event) => event.pointerType === "touch" && event.target === this.plot.over;
    this.host.addEventListener("pointerdown", (event) => {
      if (!over(event)) return;
      fingers.set(event.pointerId, event.clientX);
      restart();
    });
    this.host.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId) || begin === null) return;
      fingers.set(event.pointerId, event.clientX);
      const [from, to] = begin.range;
      const share = (to - from) / begin.box.width;
      const value = (x) => from + (x - begin.box.left) * share;
      const xs = [...fingers.values()];
      if (xs.length === 1 && this.picking) {
        const ends = [value(begin.xs[0]), value(xs[0])].sort((a, b) => a - b);
        this.pick(...ends);
      } else if (xs.length === 1) {
        this.go(from - (xs[0] - begin.xs[0]) * share, to - (xs[0] - begin.xs[0]) * share);
      } else if (xs.length === 2) {
        const [a, b] = [value(begin.xs[0]), value(begin.xs[1])];
        const scale = (b - a) / (xs[1] - xs[0] || 1);
        if (scale > 0) this.go(a - (xs[0] - begin.box.left) * scale, b + (begin.box.right - xs[1]) * scale);
      }
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      addEventListener(kind, (event) => {
        const mine = fingers.delete(event.pointerId);
        if (mine && this.picking && kind === "pointerup" && this.plot.select.width >= 4) this.#selected(this.plot);
        if (mine) restart();
      });
    }
  }
}
