// A plain picture of lines, bands and points over two axes, for views whose x axis is no time of a course, or whose lines are not schedules.
// Everything is drawn with attributes, as in charts.js.

import { axes, DASHES, svg } from "./charts.js";
import { element } from "./state.js";
import { scaleLinear, scaleLog } from "./vendor/d3.js";

const PX = 110; // between ticks of the x axis
const RUG_PX = 7;

/** The look of line i: its colour, and from the fifth on another dash as well. */
export function look(theme, i) {
  const own = [...theme.lines, theme.other];
  return { colour: own[i % own.length], dash: DASHES[(i + Math.floor(i / own.length)) % DASHES.length] };
}

/** Finite ends of some lists of numbers, with a little room; from nought if that is near. */
export function ends(...lists) {
  const known = lists.flat(Infinity).filter((value) => value !== null && Number.isFinite(value));
  let [low, high] = [Math.min(...known), Math.max(...known)];
  if (low > 0 && low < 0.45 * high) low = 0;
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  return [low === 0 ? 0 : low - room, high + room];
}

/**
 * Draw. x, y: {low, high, log, text}; bands: [{x, low, high, colour, opacity}]; lines: [{x, y, colour, dash, width, dots}];
 * points: [{x, y, low, high, colour, hollow, r, opacity}]; shaded: [from, to] of x; upright: x of a thin line; rugs: [{x, colour, row}], ticks above the x axis; words: for those who listen.
 */
export function plot(picture, { width, height = 260, x, y, bands = [], lines = [], points = [], rugs = [], shaded = null, upright = null, level = null, theme, words }) {
  picture.replaceChildren();
  for (const [key, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, height, "aria-label": words })) picture.setAttribute(key, value);
  const [left, right, top, bottom] = [58, width - 12, 10, height - 40];
  const scale = (axis, range) => (axis.log ? scaleLog : scaleLinear)([axis.low, axis.high], range);
  const at = (value) => Math.round(value * 10) / 10;
  const px = scale(x, [left, right]);
  const py = scale(y, [bottom, top]);
  if (shaded) picture.append(svg("rect", { x: at(px(shaded[0])), y: top, width: Math.max(0, at(px(shaded[1]) - px(shaded[0]))), height: bottom - top, fill: theme.other, "fill-opacity": 0.13 }));
  axes(picture, { x: px, y: py, theme, xTicks: x.log ? fewPowers(px) : px.ticks(Math.max(2, Math.floor(width / PX))), yTicks: py.ticks(5) });
  if (level !== null && level >= y.low && level <= y.high) picture.append(svg("line", { x1: left, x2: right, y1: at(py(level)), y2: at(py(level)), stroke: theme.soft }));
  picture.append(svg("text", { x: (left + right) / 2, y: height - 5, "text-anchor": "middle", "font-size": 11, "font-family": "system-ui, sans-serif", fill: theme.soft }, x.text));
  const inside = svg("g");
  const path = (xs, ys) => xs.map((value, i) => (ys[i] === null ? "" : `${i && ys[i - 1] !== null ? "L" : "M"}${at(px(value))} ${at(py(ys[i]))}`)).join("");
  for (const band of bands) {
    const back = path([...band.x].reverse(), [...band.low].reverse()).replace("M", "L");
    inside.append(svg("path", { class: "band", d: `${path(band.x, band.high)}${back}Z`, fill: band.colour, "fill-opacity": band.opacity ?? 0.14 }));
  }
  if (upright !== null) inside.append(svg("line", { class: "upright", x1: at(px(upright)), x2: at(px(upright)), y1: top, y2: bottom, stroke: theme.soft, "stroke-dasharray": "2 3" }));
  for (const { x: xs, y: ys, colour, dash = "", width: wide = 2, dots } of lines) {
    inside.append(svg("path", { class: "line", d: path(xs, ys), fill: "none", stroke: colour, "stroke-width": wide, "stroke-dasharray": dash, "stroke-linejoin": "round" }));
    if (dots) xs.forEach((value, i) => { if (ys[i] !== null) inside.append(svg("circle", { cx: at(px(value)), cy: at(py(ys[i])), r: 3, fill: colour })); });
  }
  for (const { x: value, y: height, low, high, colour, hollow, r = 4, opacity = 1 } of points) {
    if (value === null || height === null) continue;
    if (low !== null && low !== undefined && high !== null) inside.append(svg("path", { d: `M${at(px(value))} ${at(py(low))}V${at(py(high))}`, stroke: colour, "stroke-width": 1.4 }));
    inside.append(svg("circle", { class: "point", cx: at(px(value)), cy: at(py(height)), r, fill: hollow ? theme.ground : colour, stroke: r > 3 ? colour : "none", "stroke-width": 1.4, "fill-opacity": opacity }));
  }
  for (const { x: xs, colour, row } of rugs) picture.append(svg("path", { class: "rug", d: xs.map((value) => `M${at(px(value))} ${bottom - 1 - RUG_PX * row}v${2 - RUG_PX}`).join(""), stroke: colour, "stroke-width": 1.5 }));
  picture.append(inside);
}

/** Powers of ten, and where there are few of them twice and five times these. */
function fewPowers(scale) {
  const [low, high] = scale.domain();
  const first = Math.floor(Math.log10(low));
  const powers = Array.from({ length: Math.ceil(Math.log10(high)) - first + 1 }, (_, i) => +`1e${first + i}`);
  const within = (values) => values.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  const fine = within(powers.flatMap((power) => [power, 2 * power, 5 * power]));
  return fine.length <= 7 ? fine : within(powers);
}

/** What a line, a band or a point of a picture looks like, 30 by 14: {colour, dash, band, point, hollow}. */
export function swatch({ colour, dash = "", band, point, hollow }, theme) {
  if (band) return [svg("rect", { x: 0, y: 1, width: 30, height: 12, fill: colour, "fill-opacity": band })];
  if (point) return [svg("circle", { cx: 15, cy: 7, r: 4, fill: hollow ? theme.ground : colour, stroke: colour, "stroke-width": 1.4 })];
  return [svg("line", { x1: 0, x2: 30, y1: 7, y2: 7, stroke: colour, "stroke-width": 2.2, "stroke-dasharray": dash })];
}

/** What the parts of a picture are: entries as of `swatch`, with their words. */
export function keys(entries, theme) {
  const marked = (entry) => svg("svg", { width: 30, height: 14, "aria-hidden": "true" }, ...swatch(entry, theme));
  return element("div", { class: "keys" }, ...entries.map((entry) => element("span", {}, marked(entry), entry.words)));
}

/** A table of texts, or of parts of a page: heads, and rows whose first cell is their heading. `strong`: numbers of rows that stand out. */
export function plainTable(heads, rows, strong = []) {
  return element(
    "table", {}, element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...rows.map(([first, ...cells], i) => element(
      "tr", { class: strong.includes(i) ? "strong" : null }, element("th", { scope: "row" }, first), ...cells.map((cell) => element("td", {}, ...[cell].flat())),
    ))),
  );
}

/** A box for a table that may be wider than the page. */
export function scroller(name) {
  return element("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": name });
}

/** The same options as before, or others; the choice stays where it can. */
export function refill(list, options, value) {
  const now = JSON.stringify(options);
  if (list.dataset.options !== now) {
    list.dataset.options = now;
    list.replaceChildren(...options.map(([name, text]) => element("option", { value: name }, text)));
  }
  list.value = value;
}

/** Which schedule a view looks at: a list of the letters that there are. */
export function letters(list, page, own) {
  const known = page.state.schedules.map((text, i) => ["ABCD"[i], `${"ABCD"[i]}: ${text}`]);
  refill(list, known, known.some(([letter]) => letter === own) ? own : "A");
}

/** Sentences below a view: how it is read. */
export function remarks({ reading }) {
  return reading.map((sentence) => element("li", {}, sentence));
}
