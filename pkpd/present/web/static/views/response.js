// Dose response: an endpoint over the dose of one schedule, its interval, or a number of doses or cycles, with published numbers of the same pattern, and over another endpoint, person by person.

import { choice, select } from "../controls.js";
import { Along, valueText } from "../along.js";
import { Frame, scheduleOf } from "../framing.js";
import { noticeBox, tellNotices } from "../notices.js";
import { ends, keys, letters, plainTable, plot, refill, remarks, scroller } from "../picture.js";
import { lit, meanings, replaceTable } from "../standing.js";
import { element, shown, unitText } from "../state.js";

const parts = {};
let answer = null;
let page;

export const view = {
  name: "response",
  title: "Dose response",
  start: { of: "A", along: "dose", range: "", endpoint: "", over: "AUC" },

  build(panel, given) {
    page = given;
    parts.of = select("response-of", []);
    parts.endpoint = select("response-endpoint", []);
    parts.over = select("response-over", []);
    const field = (name, label) => {
      const root = choice(label, parts[name]);
      root.dataset.field = name;
      parts[name].addEventListener("input", (event) => { page.own(view)[name] = parts[name].value; page.changed(event); });
      return root;
    };
    parts.along = new Along("response", page, view);
    const frame = (draw, keys) => new Frame(page, { draw, keys, told: () => answer, lines: (told) => scheduleOf(told, parts.of.value) });
    parts.notices = noticeBox("response-notices");
    parts.dose = frame(overDose, (theme) => [...ofDose(theme), ...ofPublished(theme)]);
    parts.exposure = frame(overExposure, ofExposure);
    parts.keys = element("div");
    parts.table = scroller("The endpoint over what is varied");
    parts.published = element("ul", { class: "hint" });
    parts.lights = element("p", { class: "hint" });
    parts.remarks = element("ul", { class: "hint", "aria-label": "How to read it" });
    panel.append(
      element("div", { class: "look" }, field("of", "Schedule"), ...parts.along.roots, field("endpoint", "Endpoint"), field("over", "Against")),
      parts.notices, parts.keys, element("div", { class: "charts" }, parts.dose.root, parts.exposure.root), parts.published, parts.table, parts.lights, parts.remarks,
    );
  },

  show(told) {
    answer = told;
    const { found } = told;
    const named = (names) => names.map((name) => [name, name]);
    letters(parts.of, page, page.own(view).of);
    parts.along.show(told.along);
    refill(parts.endpoint, named(told.endpoints), told.endpoint);
    refill(parts.over, [["", "nothing"], ...named(told.endpoints.filter((name) => name !== told.endpoint))], told.over);
    const unit = unitText(found.endpoint.unit);
    const what = unit ? `${told.endpoint} (${unit})` : told.endpoint;
    tellNotices(parts.notices, told.notices);
    parts.dose.caption = `${what} over the ${axisWords(told.axis)}: ${found.schedule}`;
    parts.exposure.root.hidden = found.exposure === null;
    if (found.exposure) parts.exposure.caption = `${what} against ${told.over}, person by person`;
    const theme = page.theme();
    parts.keys.replaceChildren(keys([...ofDose(theme), ...ofPublished(theme), ...(found.exposure ? ofExposure(theme).slice(0, 1) : [])], theme));
    parts.published.replaceChildren(...found.published.map((point) => element("li", {}, `Published at ${shown(point.x)}: ${shown(point.value)}${unit && ` ${unit}`}, ${point.said}${point.provenance === "reported" ? "" : `, ${point.provenance.toUpperCase()}`}`)));
    const span = (low, high) => (low === null || high === null ? "–" : `${shown(low)} to ${shown(high)}`);
    const number = (i, words) => lit(page.facts, told.arms[i], "ABCD".indexOf(parts.of.value), told.endpoint, words);
    replaceTable(parts.table, plainTable(
      [told.axis, `median of people${unit && ` (${unit})`}`, "half of people", "90 % of people", ...(byParameters() ? ["median, 90 % by the parameters"] : [])],
      found.x.map((dose, i) => {
        const [low, lower, middle, upper, high] = found.people.map((row) => row[i]);
        return [valueText(dose), number(i, shown(middle)), span(lower, upper), span(low, high), ...(byParameters() ? [span(found.low[i], found.high[i])] : [])];
      }),
    ));
    parts.lights.replaceChildren(...meanings(page.facts, told.arms));
    parts.remarks.replaceChildren(...correlation(found), ...remarks(found));
    parts.dose.again();
    if (found.exposure) parts.exposure.again();
  },
};

/** Whether there is an interval by what is not known of the parameters. */
const byParameters = () => answer.found.low[0] !== null;

/** What the parts of the pictures are. */
const ofDose = (theme) => [
  { colour: theme.lines[0], words: "median of people" }, { colour: theme.lines[0], band: 0.3, words: "half and 90 % of people" },
  ...(byParameters() ? [{ colour: theme.ink, dash: "4 3", words: "median, 90 % by the parameters alone" }] : []),
  { colour: theme.soft, dash: "2 3", words: "what the schedule has" },
];
const ofPublished = (theme) => (answer.found.published.length
  ? [{ colour: theme.lines[1], point: true, words: "published, each at its own time" }, { colour: theme.lines[1], point: true, hollow: true, words: "unverified" }]
  : []);
const ofExposure = (theme) => [
  { colour: theme.lines[2], point: true, words: "a person at one dose" }, { colour: theme.ink, words: "median of people of like exposure" },
  { colour: theme.other, band: 0.2, words: "90 % of them" },
];

/** "dose", "interval", "doses of a course" as they stand within a sentence. */
const axisWords = (axis) => (axis.startsWith("days (") ? "number of doses in a course" : axis.startsWith("cycles") ? "number of cycles" : axis.replace(/ \(.*/, ""));

function correlation({ exposure }) {
  if (!exposure || exposure.spearman === null) return [];
  const within = exposure.within === null ? "" : `; among people at one dose ${shown(exposure.within)}`;
  return [element("li", {}, `Rank correlation with ${exposure.over.name}: ${shown(exposure.spearman)} over all doses${within}.`)];
}

/** From where to where the endpoint goes: the same in both pictures. */
function height({ people, low, high, published }) {
  const [from, to] = ends(people, low, high, published.map((point) => [point.value, point.low, point.high]));
  return { low: from, high: to };
}

function overDose(picture, width, theme) {
  if (!answer) return;
  const { found, own, axis, along } = answer;
  const [low, lower, middle, upper, high] = found.people;
  const log = along.name === "dose" && found.x.at(-1) > 4 * found.x[0];
  const colour = theme.lines[0];
  const parameters = !byParameters() ? [] : [found.low, found.high].map((y) => ({ x: found.x, y, colour: theme.ink, dash: "4 3", width: 1 }));
  plot(picture, {
    width, theme, x: { low: found.x[0] * (log ? 0.95 : 1), high: found.x.at(-1) * (log ? 1.05 : 1), log, text: axis }, y: height(found),
    bands: [{ x: found.x, low, high, colour }, { x: found.x, low: lower, high: upper, colour, opacity: 0.2 }],
    lines: [...parameters, { x: found.x, y: middle, colour, dots: true }], upright: own,
    points: found.published.map((point) => ({ x: point.x, y: point.value, low: point.low, high: point.high, colour: theme.lines[1], hollow: point.provenance === "unverified" })),
    words: `${answer.endpoint} over the ${axisWords(axis)}: the median of people goes from ${shown(middle[0])} at ${shown(found.x[0])} to ${shown(middle.at(-1))} at ${shown(found.x.at(-1))}. The table below has every value.`,
  });
}

function overExposure(picture, width, theme) {
  const exposure = answer?.found.exposure;
  if (!exposure) return;
  const [low, middle, high] = exposure.curve;
  const xs = exposure.x.flat().filter((value) => value !== null);
  const log = Math.min(...xs) > 0 && Math.max(...xs) > 8 * Math.min(...xs);
  const [from, to] = log ? [Math.min(...xs) * 0.9, Math.max(...xs) * 1.1] : ends(xs);
  const unit = unitText(exposure.over.unit);
  const [bottom, top] = ends(exposure.y);
  plot(picture, {
    width, theme, x: { low: from, high: to, log, text: unit ? `${exposure.over.name} (${unit})` : exposure.over.name }, y: { low: bottom, high: top },
    bands: [{ x: exposure.centres, low, high, colour: theme.other, opacity: 0.2 }], lines: [{ x: exposure.centres, y: middle, colour: theme.ink }],
    points: exposure.x.flatMap((row, i) => row.map((value, k) => ({ x: value, y: exposure.y[i][k], colour: theme.lines[2], r: 2, opacity: 0.2 + (0.6 * (i + 1)) / exposure.x.length }))),
    words: `${answer.endpoint} against ${exposure.over.name}, a point for each person and dose; the median goes from ${shown(middle[0])} to ${shown(middle.at(-1))}.`,
  });
}
