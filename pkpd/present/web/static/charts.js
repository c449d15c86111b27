// Curves with bands, published points and a dose rug, as SVG, by D3. Everything is drawn with attributes, none by style sheet, so that an
// exported picture looks like the page.

import { element, shown } from "./state.js";
import { area, axisBottom, axisLeft, bisectLeft, bisectRight, curveLinear, curveStepAfter, line, scaleLinear, scaleLog, select } from "./vendor/d3.js";

const SVG = "http://www.w3.org/2000/svg";
export const LETTERS = ["A", "B", "C", "D"];
export const DASHES = ["", "9 4", "2.5 3", "10 3 2 3"];
const RUG_PX = 7;
const MOST_OVER = 1.6; // published points of other schedules stretch the axis up to so many times the curves' range
const LOWEST = 1e-5; // of the largest value: what a logarithmic axis reaches down to, as the server's outline.py

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

/** The mark of a schedule. */
export const badge = (i) => element("span", { class: `badge of-${LETTERS[i]}` }, LETTERS[i]);

/** Hours, days, weeks and cycles of four weeks between two days, at most `count` of them. */
function dayTicks(from, to, count) {
  const step = [1 / 24, 1 / 8, 1 / 4, 1 / 2, 1, 2, 7, 14, 28, 56, 84, 168].find((k) => (to - from) / k <= count) ?? 336;
  const first = Math.ceil(from / step - 1e-9);
  return Array.from({ length: Math.max(0, Math.floor(to / step + 1e-9) - first + 1) }, (_, i) => +((first + i) * step).toFixed(4));
}

/** Powers of ten; where there is one at most, what lies between too. */
function logTicks(y) {
  const [low, high] = y.domain().map(Math.log10);
  const first = Math.ceil(low - 1e-9);
  const powers = Array.from({ length: Math.max(0, Math.floor(high + 1e-9) - first + 1) }, (_, i) => +`1e${first + i}`);
  return powers.length > 1 ? powers : y.ticks(4);
}

/** The linear interpolation of a curve at a day, null outside. `stepped`: it stays until the next point. */
export function valueAt(days, values, day, stepped = false) {
  if (!days.length || day < days[0] || day > days.at(-1)) return null;
  const high = Math.min(bisectRight(days, day), days.length - 1);
  const low = Math.max(0, high - 1);
  if (stepped) return values[day >= days[high] ? high : low];
  const width = days[high] - days[low];
  return values[low] + (width > 0 ? (day - days[low]) / width : 0) * (values[high] - values[low]);
}

/** A published number on the curves' own scale: a change is drawn from the model's median at rest. */
export function placed(point, rest) {
  const scale = {
    value: (x) => x, change: (x) => rest + x, percent_change: (x) => rest * (1 + x / 100), fold: (x) => rest * x,
  }[point.measure];
  const [value, low, high] = [point.value, point.low, point.high].map((x) => (x === null ? null : scale(x)));
  return { ...point, value, low, high };
}

/** Scales with their axes drawn into `target`: a grid of `yTicks` and the ticks of `xTicks` with `under` pixels of room above their words. */
export function axes(target, { x, y, xTicks, yTicks, theme, under = 0, xName = "" }) {
  const [left, right] = x.range();
  const [bottom] = y.range();
  const group = select(target).append("g");
  const across = group.append("g").attr("transform", `translate(0,${bottom})`).call(axisBottom(x).tickValues(xTicks).tickFormat(tickText).tickSizeInner(4).tickSizeOuter(0).tickPadding(under + 5).offset(0));
  const up = group.append("g").attr("transform", `translate(${left},0)`).call(axisLeft(y).tickValues(yTicks).tickFormat(tickText).tickSizeInner(left - right).tickSizeOuter(0).tickPadding(6).offset(0));
  up.select(".domain").remove();
  up.selectAll("line").attr("stroke", theme.grid);
  across.selectAll("line, .domain").attr("stroke", theme.soft);
  group.selectAll("text").attr("fill", theme.soft).attr("font-size", 11);
  group.selectAll("g").attr("font-family", "system-ui, sans-serif");
  if (xName) across.append("text").attr("x", left - 6).attr("y", under + 9).attr("dy", "0.71em").attr("text-anchor", "end").attr("font-size", 11).attr("fill", theme.soft).text(xName);
  return group.node();
}

/** The part of a curve between two days, with the points on either side: [first, end). */
function visible({ days }, from, to) {
  return [Math.max(0, bisectRight(days, from) - 1), Math.min(days.length, bisectLeft(days, to) + 1)];
}

/** The lowest and the highest value that is drawn; `positive`: of those above zero. */
function reach(arms, from, to, positive) {
  let [low, high] = [Infinity, -Infinity];
  for (const { curve } of arms) {
    const [begin, end] = visible(curve, from, to);
    for (let i = begin; i < end; i++) {
      if (curve.high[i] > high) high = curve.high[i];
      if (curve.low[i] < low && (curve.low[i] > 0 || !positive)) low = curve.low[i];
    }
  }
  return [low, high];
}

/**
 * Draw one chart into an svg element, and return where things are: `x(day)`, `y(value)`, `day(px)`, `dots`.
 *
 * arms: [{curve, doses, points: Set}]; days: the horizon; from, to: the days that are seen; stepped: curves stay until their next point
 */
export function draw(target, { output, arms, points, show, days, from, to, log, theme, width, height, stepped = false }) {
  target.replaceChildren();
  target.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const [left, right, top, bottom] = [50, width - 10, 10, height - 24 - RUG_PX * arms.length];
  const rest = arms[0]?.curve.median[0] ?? 0;
  const dots = dotsOf({ points, arms, output, days, from, to, show }, rest);

  let [low, high] = reach(arms, from, to, log);
  const far = low + MOST_OVER * (high - low);
  for (const dot of dots) {
    const ends = [dot.low ?? dot.value, dot.high ?? dot.value];
    if ((dot.of >= 0 || ends[1] <= far) && (!log || ends[0] > 0)) [low, high] = [Math.min(low, ends[0]), Math.max(high, ends[1])];
  }
  const logarithmic = log && low > 0 && high > 0;
  if (logarithmic) [low, high] = [Math.max(low, LOWEST * high) * 0.8, high * 1.25];
  else {
    if (low > 0 && low < 0.45 * high) low = 0;
    const room = (high - low || Math.abs(high) || 1) * 0.05;
    [low, high] = [low === 0 ? 0 : low - room, high + room];
  }
  const x = scaleLinear([from, to], [left, right]);
  const y = (logarithmic ? scaleLog : scaleLinear)([low, high], [bottom, top]);
  const at = (number) => Math.round(number * 10) / 10;
  const frame = axes(target, {
    x, y, theme, xTicks: dayTicks(from, to, width > 520 ? 9 : 7), yTicks: logarithmic ? logTicks(y) : y.ticks(height > 200 ? 5 : 4), under: RUG_PX * arms.length, xName: "day",
  });
  frame.setAttribute("class", "axes");

  const clip = `clip-${++clips}`;
  const inside = svg("g", { "clip-path": `url(#${clip})` });
  target.append(svg("defs", {}, svg("clipPath", { id: clip }, svg("rect", { x: left, y: top - 6, width: right - left, height: bottom - top + 6 }))));
  const py = (value) => y(logarithmic && value < low ? low : value);
  const shape = (made, { days }) => made.x((i) => x(days[i])).curve(stepped ? curveStepAfter : curveLinear).digits(1);
  const drawn = arms.map(({ curve }) => {
    const [begin, end] = visible(curve, from, to);
    const indices = Array.from({ length: Math.max(0, end - begin) }, (_, i) => begin + i);
    return {
      band: shape(area(), curve).y0((i) => py(curve.low[i])).y1((i) => py(curve.high[i]))(indices),
      median: shape(line(), curve).y((i) => py(curve.median[i]))(indices),
    };
  });
  drawn.forEach(({ band }, i) => {
    inside.append(svg("path", { class: "band", d: band, fill: theme.lines[i], "fill-opacity": arms.length > 2 ? 0.09 : 0.14, stroke: theme.lines[i], "stroke-opacity": 0.35, "stroke-width": 0.8 }));
  });
  drawn.forEach(({ median }, i) => {
    inside.append(svg("path", { class: "median", d: median, fill: "none", stroke: theme.lines[i], "stroke-width": 2, "stroke-dasharray": DASHES[i], "stroke-linejoin": "round" }));
  });
  const rug = svg("g", { class: "rug" });
  arms.forEach(({ doses }, i) => {
    const y1 = bottom + 2 + RUG_PX * i;
    const d = doses.filter((day) => day >= from && day <= to).map((day) => `M${at(x(day))} ${y1}v${RUG_PX - 2}`).join("");
    rug.append(svg("path", { d, stroke: theme.lines[i], "stroke-width": 1.5, fill: "none" }));
  });
  const marks = svg("g", { class: "points" });
  for (const dot of dots) {
    dot.seen = dot.value <= high && dot.value >= low;
    if (dot.seen) marks.append(mark(dot, x, y, theme, at));
  }
  inside.append(marks);
  target.append(inside, rug);
  return { x, y, day: (px) => x.invert(px), dots, left, right, top, bottom, beyond: dots.filter((dot) => !dot.seen).length };
}
let clips = 0; // names of clipping paths, one of its own for each

export function tickText(value) {
  return (Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(0) : String(+value.toPrecision(6))).replace("-", "\u2212");
}

/** The points of a chart, those of patients with the same doses last; `of` is the schedule they belong to, -1 for none. */
function dotsOf({ points, arms, output, days, from, to, show }, rest) {
  if (show === "none") return [];
  const made = points
    .filter((point) => point.output === output && point.to <= days && (point.from + point.to) / 2 >= from && (point.from + point.to) / 2 <= to)
    .map((point) => ({ ...placed(point, rest), of: arms.findIndex((arm) => arm.points.has(point.row)) }));
  return made.filter((dot) => show === "all" || dot.of >= 0).sort((a, b) => a.of - b.of);
}

/** One published number: filled, or hollow if unverified; a triangle if it is a bound; whiskers for 95 %, a bar for its window. */
export function mark(dot, x, y, theme, at) {
  const colour = dot.of >= 0 ? theme.lines[dot.of] : theme.other;
  const [px, py] = [at(x((dot.from + dot.to) / 2)), at(y(dot.value))];
  const group = svg("g", { stroke: colour, "stroke-width": 1.4, fill: "none" });
  if (dot.low !== null && dot.high !== null) group.append(svg("path", { d: `M${px} ${at(y(Math.max(dot.low, y.domain()[0])))}V${at(y(dot.high))}` }));
  if (dot.to > dot.from) group.append(svg("path", { d: `M${at(x(dot.from))} ${py}H${at(x(dot.to))}`, "stroke-opacity": 0.7 }));
  const fill = dot.provenance === "unverified" ? theme.ground : colour;
  if (dot.bound) {
    const up = dot.bound === "at least" ? -1 : 1;
    group.append(svg("path", { d: `M${px - 5} ${py - 3 * up}H${px + 5}L${px} ${py + 5 * up}Z`, fill }));
  } else group.append(svg("circle", { cx: px, cy: py, r: 4, fill }));
  return group;
}

/** The part of a view that one chart draws. */
export function viewOf(view, name) {
  return {
    output: name, points: view.points, show: view.show, days: view.days, from: view.from, to: view.to, theme: view.theme, log: view.log.includes(name),
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
