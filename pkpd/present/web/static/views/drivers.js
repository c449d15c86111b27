// Drivers: what moves an endpoint under one schedule, as a tornado with shares of the variance beside it.

import { svg, tickText } from "../charts.js";
import { choice, select } from "../controls.js";
import { Frame, scheduleOf } from "../framing.js";
import { noticeBox, tellNotices } from "../notices.js";
import { ends, keys, letters, plainTable, refill, remarks, scroller } from "../picture.js";
import { lit, meanings, replaceTable } from "../standing.js";
import { element, shown, unitText } from "../state.js";
import { scaleLinear } from "../vendor/d3.js";

const MOST = 14; // bars
const ROW = 26;
const parts = {};
let answer = null;
let page;

export const view = {
  name: "drivers",
  title: "Drivers",
  start: { of: "A", endpoint: "", by: "people" },

  build(panel, given) {
    page = given;
    parts.of = select("drivers-of", []);
    parts.endpoint = select("drivers-endpoint", []);
    parts.by = select("drivers-by", [["people", "differences between people"], ...(page.facts.fitted ? [["parameters", "what is not known of the parameters"]] : [])]);
    const field = (name, label) => {
      const root = choice(label, parts[name]);
      root.dataset.field = name;
      parts[name].addEventListener("input", (event) => { page.own(view)[name] = parts[name].value; page.changed(event); });
      return root;
    };
    parts.notices = noticeBox("drivers-notices");
    parts.figure = new Frame(page, { draw: tornado, keys: entries, told: () => answer, lines: (told) => scheduleOf(told, parts.of.value) });
    parts.keys = element("div");
    parts.table = scroller("Inputs");
    parts.lights = element("p", { class: "hint" });
    parts.remarks = element("ul", { class: "hint", "aria-label": "How to read it" });
    panel.append(
      element("div", { class: "look" }, field("of", "Schedule"), field("endpoint", "Endpoint"), field("by", "Driven by")),
      parts.notices, parts.keys, parts.figure.root, parts.table, parts.lights, parts.remarks,
    );
  },

  show(told) {
    answer = told;
    const { found } = told;
    letters(parts.of, page, page.own(view).of);
    refill(parts.endpoint, told.endpoints.map((name) => [name, name]), told.endpoint);
    parts.by.value = told.by;
    const unit = unitText(found.endpoint.unit);
    tellNotices(parts.notices, told.notices);
    parts.figure.caption = `What drives ${told.endpoint}${unit && ` (${unit})`}: ${found.schedule}`;
    const theme = page.theme();
    parts.keys.replaceChildren(keys(entries(theme), theme));
    const percent = (share, from, to) => (share === null ? "–" : `${[share, from, to].map((one) => Math.round(100 * Math.min(1, Math.max(0, one)))).join(" (").replace(/ \((\d+)$/, " to $1")})`);
    const number = (words) => lit(page.facts, told.arms[0], "ABCD".indexOf(parts.of.value), told.endpoint, words);
    replaceTable(parts.table, plainTable(
      ["Input", "its 5 % to 95 %", `${told.endpoint} there`, "first, %", "total, %"],
      found.drivers.map((one) => [
        one.description ? `${one.name}: ${one.description}` : one.name, `${shown(one.low_value)} to ${shown(one.high_value)} ${unitText(one.unit)}`, number(`${shown(one.low)} to ${shown(one.high)}`),
        percent(one.first, one.first_from, one.first_to), percent(one.total, one.total_from, one.total_to),
      ]),
    ));
    parts.lights.replaceChildren(...meanings(page.facts, told.arms));
    parts.remarks.replaceChildren(...remarks(found));
    parts.figure.again();
  },
};

/** What its parts are. */
function entries(theme) {
  const other = answer.by === "people" ? "by what is not known of the parameters" : "by differences between people";
  return [
    { colour: theme.lines[1], band: 1, words: "input at its 5 %" }, { colour: theme.lines[0], band: 1, words: "at its 95 %" },
    ...(answer.found.drivers.some((bar) => bar.low_from !== null) ? [{ colour: theme.ink, words: `90 % of the same change ${other}` }] : []),
    { colour: theme.ink, point: true, words: "first: of the variance, gone if it were known" }, { colour: theme.ink, point: true, hollow: true, words: "total: left if all others were" },
  ];
}

function tornado(picture, width, theme) {
  if (!answer) return;
  const { found } = answer;
  const bars = found.drivers.filter(({ first }) => first !== null).slice(0, MOST);
  const narrow = width < 520;
  const left = narrow ? 70 : 110;
  const middle = left + (width - left) * (narrow ? 0.6 : 0.62);
  const [top, bottom] = [8, 8 + ROW * bars.length];
  const height = bottom + 40;
  picture.replaceChildren();
  const words = bars.length
    ? `${bars[0].name} moves ${answer.endpoint} most, from ${shown(bars[0].low)} to ${shown(bars[0].high)}. The table below has every value.`
    : "No input has shares of its own.";
  for (const [key, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, height, "aria-label": words })) picture.setAttribute(key, value);
  if (!bars.length) return;
  const [low, high] = spread(bars, found.typical);
  const [from, to] = [middle + 18, width - 12];
  const at = (value) => Math.round(value * 10) / 10;
  const scale = scaleLinear([low, high], [left, middle]);
  const x = (value) => at(scale(value));
  const s = (share) => at(from + (to - from) * Math.min(1, Math.max(0, share)));
  const text = (attributes, said) => svg("text", { "font-size": 11, "font-family": "system-ui, sans-serif", fill: theme.soft, ...attributes }, said);
  const line = (x1, x2, y, attributes) => svg("line", { x1, x2, y1: at(y), y2: at(y), stroke: theme.ink, "stroke-width": 1, ...attributes });
  for (const value of scale.ticks(narrow ? 3 : 5)) {
    picture.append(svg("line", { x1: x(value), x2: x(value), y1: top, y2: bottom, stroke: theme.grid }), text({ x: x(value), y: bottom + 15, "text-anchor": "middle" }, tickText(value)));
  }
  for (const share of narrow ? [0, 1] : [0, 0.5, 1]) {
    picture.append(svg("line", { x1: s(share), x2: s(share), y1: top, y2: bottom, stroke: theme.grid }), text({ x: s(share), y: bottom + 15, "text-anchor": "middle" }, String(100 * share)));
  }
  picture.append(text({ x: (left + middle) / 2, y: height - 5, "text-anchor": "middle" }, answer.endpoint));
  picture.append(text({ x: (from + to) / 2, y: height - 5, "text-anchor": "middle" }, narrow ? "variance, %" : "share of the variance, %"));
  bars.forEach((bar, i) => {
    const y = top + ROW * (i + 0.5);
    picture.append(text({ x: left - 8, y: y + 4, "text-anchor": "end", fill: theme.ink }, bar.name));
    for (const [end, colour, shift] of [["low", theme.lines[1], -4], ["high", theme.lines[0], 4]]) {
      const [one, other] = [x(found.typical), x(bar[end])].sort((a, b) => a - b);
      picture.append(svg("rect", { class: "bar", x: one, y: y - 8, width: Math.max(0.5, other - one), height: 16, fill: colour }));
      if (bar[`${end}_from`] !== null) picture.append(line(x(bar[`${end}_from`]), x(bar[`${end}_to`]), y + shift));
    }
    for (const [name, shift, fill] of [["first", -4, theme.ink], ["total", 5, theme.ground]]) {
      picture.append(line(s(bar[`${name}_from`]), s(bar[`${name}_to`]), y + shift));
      picture.append(svg("circle", { class: name, cx: s(bar[name]), cy: at(y + shift), r: 3.5, fill, stroke: theme.ink }));
    }
  });
  picture.append(svg("line", { x1: x(found.typical), x2: x(found.typical), y1: top, y2: bottom, stroke: theme.soft }));
}

/** The axis of the endpoint: as wide as bars and their intervals, and not from nought. */
function spread(bars, typical) {
  const known = bars.flatMap((bar) => [bar.low, bar.high, bar.low_from, bar.low_to, bar.high_from, bar.high_to, typical]).filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return low === high ? ends(known) : [low - 0.04 * (high - low), high + 0.04 * (high - low)];
}
