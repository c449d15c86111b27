// Curves with bands, published points, dose rug and a cursor, as SVG. Everything is drawn with attributes, none by style sheet, so that an
// exported picture looks like the page.

import { shown, unitText } from "./state.js";

const SVG = "http://www.w3.org/2000/svg";
export const LETTERS = ["A", "B", "C", "D"];
export const DASHES = ["", "9 4", "2.5 3", "10 3 2 3"];
const RUG_PX = 7;
const MOST_OVER = 1.6; // published points of other schedules stretch the axis up to so many times the curves' range

// Okabe and Ito's colours, which people with any kind of colour vision can tell apart
export const LIGHT = {
  lines: ["#0072B2", "#D55E00", "#009E73", "#CC79A7"], ground: "#ffffff", ink: "#1c2430", soft: "#5a6675", grid: "#e4e8ee", other: "#7b8494",
};
export const DARK = {
  lines: ["#56B4E9", "#E69F00", "#2bc79a", "#e08fbd"], ground: "#171c24", ink: "#e8ecf2", soft: "#a4afbf", grid: "#2b3340", other: "#8f9aab",
};

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Round numbers that divide low..high into about `count` pieces. */
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((k) => k * power >= raw * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(+(k * step).toPrecision(12));
  return found;
}

/** Days, weeks and cycles of four weeks, at most `count` of them. */
function dayTicks(days, count) {
  const step = [1, 2, 7, 14, 28, 56, 84, 168].find((k) => days / k <= count) ?? 336;
  return Array.from({ length: Math.floor(days / step) + 1 }, (_, i) => i * step);
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) found.push(10 ** power);
  return found.filter((value) => value >= low && value <= high);
}

/** The linear interpolation of a curve at a day, null outside. */
export function valueAt(days, values, day) {
  if (!days.length || day < days[0] || day > days.at(-1)) return null;
  let low = 0;
  let high = days.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (days[middle] <= day) low = middle; else high = middle;
  }
  const width = days[high] - days[low];
  const share = width > 0 ? (day - days[low]) / width : 0;
  return values[low] + share * (values[high] - values[low]);
}

/** A published number on the curves' own scale: a change is drawn from the model's median at rest. */
export function placed(point, rest) {
  const scale = {
    value: (x) => x, change: (x) => rest + x, percent_change: (x) => rest * (1 + x / 100), fold: (x) => rest * x,
  }[point.measure];
  const [value, low, high] = [point.value, point.low, point.high].map((x) => (x === null ? null : scale(x)));
  return { ...point, value, low, high };
}

/**
 * Draw one chart into an svg element, and return where things are: `x(day)`, `y(value)`, `day(px)`, `dots`.
 *
 * view: {output, arms: [{curve, doses, points: Set}], points, days, log, theme, width, height}
 */
export function draw(target, { output, arms, points, show, days, log, theme, width, height }) {
  target.replaceChildren();
  target.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const left = 50;
  const right = width - 10;
  const top = 10;
  const bottom = height - 24 - RUG_PX * arms.length;
  const rest = arms[0]?.curve.median[0] ?? 0;
  const dots = dotsOf(points, arms, output, rest, days, show);

  let low = Math.min(...arms.map((arm) => Math.min(...arm.curve.low)));
  let high = Math.max(...arms.map((arm) => Math.max(...arm.curve.high)));
  const reach = low + MOST_OVER * (high - low);
  for (const dot of dots) {
    const ends = [dot.low ?? dot.value, dot.high ?? dot.value];
    if (dot.of >= 0 || ends[1] <= reach) [low, high] = [Math.min(low, ends[0]), Math.max(high, ends[1])];
  }
  const logarithmic = log && low > 0;
  if (logarithmic) [low, high] = [low * 0.8, high * 1.25];
  else {
    if (low > 0 && low < 0.45 * high) low = 0;
    const room = (high - low || Math.abs(high) || 1) * 0.05;
    [low, high] = [low === 0 ? 0 : low - room, high + room];
  }
  const f = logarithmic ? Math.log : (v) => v;
  const x = (day) => left + (right - left) * (day / days);
  const y = (value) => bottom - (bottom - top) * ((f(value) - f(low)) / (f(high) - f(low)));
  const at = (number) => Math.round(number * 10) / 10;
  const text = (attributes, words) => svg("text", { "font-size": 11, "font-family": "system-ui, sans-serif", fill: theme.soft, ...attributes }, words);

  const grid = svg("g");
  for (const value of logarithmic ? logTicks(low, high) : ticks(low, high, height > 200 ? 5 : 4)) {
    grid.append(svg("line", { x1: left, x2: right, y1: at(y(value)), y2: at(y(value)), stroke: theme.grid }));
    grid.append(text({ x: left - 6, y: at(y(value)) + 4, "text-anchor": "end" }, tickText(value)));
  }
  for (const value of dayTicks(days, width > 520 ? 9 : 6)) {
    grid.append(svg("line", { x1: at(x(value)), x2: at(x(value)), y1: bottom, y2: bottom + 4, stroke: theme.soft }));
    grid.append(text({ x: at(x(value)), y: height - 6, "text-anchor": "middle" }, tickText(value)));
  }
  grid.append(svg("line", { x1: left, x2: right, y1: bottom, y2: bottom, stroke: theme.soft }));
  grid.append(text({ x: left - 6, y: height - 6, "text-anchor": "end" }, "day"));

  const clip = `clip-${output}-${Math.round(width)}`;
  const inside = svg("g", { "clip-path": `url(#${clip})` });
  target.append(svg("defs", {}, svg("clipPath", { id: clip }, svg("rect", { x: left, y: top - 6, width: right - left, height: bottom - top + 6 }))));
  const path = (line, ds) => ds.map((day, i) => `${i ? "L" : "M"}${at(x(day))} ${at(y(Math.max(line[i], logarithmic ? low : -Infinity)))}`).join("");
  arms.forEach(({ curve }, i) => {
    const back = path([...curve.low].reverse(), [...curve.days].reverse()).replace("M", "L");
    inside.append(svg("path", { class: "band", d: `${path(curve.high, curve.days)}${back}Z`, fill: theme.lines[i], "fill-opacity": arms.length > 2 ? 0.09 : 0.14, stroke: theme.lines[i], "stroke-opacity": 0.35, "stroke-width": 0.8 }));
  });
  arms.forEach(({ curve }, i) => {
    inside.append(svg("path", {
      class: "median", d: path(curve.median, curve.days), fill: "none", stroke: theme.lines[i], "stroke-width": 2, "stroke-dasharray": DASHES[i], "stroke-linejoin": "round",
    }));
  });
  const rug = svg("g", { class: "rug" });
  arms.forEach(({ doses }, i) => {
    const y1 = bottom + 2 + RUG_PX * i;
    const d = doses.map((day) => `M${at(x(day))} ${y1}v${RUG_PX - 2}`).join("");
    rug.append(svg("path", { d, stroke: theme.lines[i], "stroke-width": 1.5, fill: "none" }));
  });
  const marks = svg("g", { class: "points" });
  for (const dot of dots) {
    dot.seen = dot.value <= high && dot.value >= low;
    if (dot.seen) marks.append(mark(dot, x, y, theme, at));
  }
  inside.append(marks);
  target.append(grid, inside, rug);
  return { x, y, day: (px) => ((px - left) / (right - left)) * days, dots, left, right, top, bottom, beyond: dots.filter((dot) => !dot.seen).length };
}

function tickText(value) {
  return (Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(0) : String(value)).replace("-", "\u2212");
}

/** The points of a chart, those of patients with the same doses last; `of` is the schedule they belong to, -1 for none. */
function dotsOf(points, arms, output, rest, days, show) {
  if (show === "none") return [];
  const made = points
    .filter((point) => point.output === output && point.to <= days)
    .map((point) => ({ ...placed(point, rest), of: arms.findIndex((arm) => arm.points.has(point.row)) }));
  return made.filter((dot) => show === "all" || dot.of >= 0).sort((a, b) => a.of - b.of);
}

/** One published number: filled, or hollow if unverified; a triangle if it is a bound; whiskers for 95 %, a bar for its window. */
export function mark(dot, x, y, theme, at) {
  const colour = dot.of >= 0 ? theme.lines[dot.of] : theme.other;
  const [px, py] = [at(x((dot.from + dot.to) / 2)), at(y(dot.value))];
  const group = svg("g", { stroke: colour, "stroke-width": 1.4, fill: "none" });
  if (dot.low !== null && dot.high !== null) group.append(svg("path", { d: `M${px} ${at(y(dot.low))}V${at(y(dot.high))}` }));
  if (dot.to > dot.from) group.append(svg("path", { d: `M${at(x(dot.from))} ${py}H${at(x(dot.to))}`, "stroke-opacity": 0.7 }));
  const fill = dot.provenance === "unverified" ? theme.ground : colour;
  if (dot.bound) {
    const up = dot.bound === "at least" ? -1 : 1;
    group.append(svg("path", { d: `M${px - 5} ${py - 3 * up}H${px + 5}L${px} ${py + 5 * up}Z`, fill }));
  } else group.append(svg("circle", { cx: px, cy: py, r: 4, fill }));
  return group;
}

/** A chart of the page: redraws with its width, follows mouse, touch and keys. `moved(day | null, chart)` tells the others. */
export class Chart {
  constructor(facts, moved) {
    this.facts = facts;
    this.moved = moved;
    this.heading = document.createElement("figcaption");
    this.target = svg("svg", { tabindex: "0", role: "img", class: "chart" });
    this.cursor = svg("g", { "pointer-events": "none" });
    this.readout = Object.assign(document.createElement("div"), { className: "readout", hidden: true });
    this.remark = Object.assign(document.createElement("p"), { className: "remark", textContent: facts.remark, hidden: !facts.remark });
    this.root = document.createElement("figure");
    this.root.dataset.output = facts.name;
    const plot = Object.assign(document.createElement("div"), { className: "plot" });
    plot.append(this.target, this.readout);
    this.root.append(this.heading, plot, this.remark);
    new ResizeObserver(() => this.view && this.draw(this.view)).observe(plot);
    const point = (event) => {
      if (!this.place) return;
      const box = this.target.getBoundingClientRect();
      this.near = [event.clientX - box.left, event.clientY - box.top];
      moved(this.place.day(this.near[0]), this);
    };
    this.target.addEventListener("pointermove", point);
    this.target.addEventListener("pointerdown", point);
    this.target.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") moved(null, this); });
    this.target.addEventListener("blur", () => moved(null, this));
    this.target.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    if (!this.view) return;
    const { days } = this.view;
    const step = (days > 140 ? 1 : days > 28 ? 0.5 : 0.25) * (event.shiftKey ? 10 : 1);
    const now = this.day ?? 0;
    const to = { ArrowRight: this.day === undefined ? 0 : now + step, ArrowLeft: now - step, Home: 0, End: days, Escape: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.near = null;
    this.moved(to === null ? null : Math.min(days, Math.max(0, to)), this);
  }

  draw(view) {
    this.view = view;
    const { name, title } = this.facts;
    const unit = unitText(view.arms[0].curves[name].unit);
    this.heading.textContent = unit ? `${title} (${unit})` : title;
    const width = Math.max(240, this.target.parentElement.clientWidth || 600);
    const height = width > 520 ? 250 : 210;
    this.target.setAttribute("height", height);
    this.place = draw(this.target, { ...viewOf(view, name), width, height });
    const peaks = view.arms.map((arm, i) => `${LETTERS[i]} reaches ${shown(Math.max(...arm.curves[name].median))} in the median`).join(", ");
    this.target.setAttribute("aria-label", `${this.heading.textContent} over ${view.days} days: ${peaks}. Arrow keys read values.`);
    const { beyond } = this.place;
    this.remark.textContent = [this.facts.remark, beyond ? `${beyond} published point${beyond > 1 ? "s" : ""} beyond this axis.` : ""].filter(Boolean).join(" ");
    this.remark.hidden = !this.remark.textContent;
    this.target.append(this.cursor);
    this.point(this.day ?? null, false);
  }

  /** Put the cursor at a day (null: nowhere); with `active`, show and return the values there. */
  point(day, active) {
    this.cursor.replaceChildren();
    this.readout.hidden = true;
    this.day = day === null ? undefined : day;
    if (day === null || !this.view || day < 0 || day > this.view.days) return "";
    const { x, y, top, bottom, left, right } = this.place;
    const { theme, arms } = this.view;
    const { name } = this.facts;
    this.cursor.append(svg("line", { x1: x(day), x2: x(day), y1: top, y2: bottom, stroke: theme.soft, "stroke-width": 1 }));
    const lines = arms.map((arm, i) => {
      const curve = arm.curves[name];
      const [low, median, high] = [curve.low, curve.median, curve.high].map((line) => valueAt(curve.days, line, day));
      if (median === null) return "";
      this.cursor.append(svg("circle", { cx: x(day), cy: y(median), r: 3.5, fill: theme.lines[i], stroke: theme.ground, "stroke-width": 1.5 }));
      return `${LETTERS[i]}  ${shown(median)}  (${shown(low)} to ${shown(high)})`;
    });
    if (!active) return "";
    const said = [`day ${day.toFixed(1)}`, ...lines, ...this.#close().map(pointText)].filter(Boolean);
    this.readout.replaceChildren(...said.map((line) => Object.assign(document.createElement("div"), { textContent: line })));
    this.readout.hidden = false;
    const room = this.readout.offsetWidth + 12;
    const place = x(day) + room < right ? x(day) + 10 : Math.max(left - 40, x(day) - room);
    this.readout.style.left = `${place}px`;
    return said.join("; ");
  }

  /** Published points within reach of the pointer (or, by keyboard, of the cursor's day), those with a schedule's colour first. */
  #close() {
    const { x, y, dots } = this.place;
    const px = this.near ? this.near[0] : x(this.day);
    return dots.filter((dot) => {
      if (!dot.seen) return false;
      const [left, right] = [x(dot.from), x(dot.to)];
      const across = Math.max(0, left - px, px - right);
      return this.near ? Math.hypot(across, y(dot.value) - this.near[1]) < 12 : across < 4;
    }).reverse().slice(0, 4);
  }
}

/** The part of a page's view that one chart draws. */
export function viewOf(view, name) {
  return {
    output: name, points: view.points, show: view.show, days: view.days, theme: view.theme, log: view.log && view.logged.includes(name),
    arms: view.arms.map((arm) => ({ curve: arm.curves[name], doses: arm.doses, points: arm.points })),
  };
}

/** One line on a published number. */
export function pointText(point) {
  const interval = point.low !== null && point.high !== null ? ` (${shown(point.low)} to ${shown(point.high)})` : "";
  const n = point.n ? `, n ${point.n}` : "";
  const doubt = point.provenance === "reported" ? "" : `, ${point.provenance.toUpperCase()}`;
  return `${point.study}, ${point.arm}: ${point.bound ? `${point.bound} ` : ""}${shown(point.value)}${interval}${n}${doubt}`;
}
