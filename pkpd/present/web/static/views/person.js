// One person: what measured values say, and what the schedules on the left would do from a later day on.

import { badge, DASHES, LETTERS } from "../charts.js";
import { check, choice, select, typed } from "../controls.js";
import { csv, download, exporting } from "../exports.js";
import { Frame } from "../framing.js";
import { Measured } from "../measured.js";
import { noticeBox, tellNotices } from "../notices.js";
import { ends, keys, plainTable, plot, scroller } from "../picture.js";
import { meanings } from "../standing.js";
import { element, shown, unitText } from "../state.js";
import { endpointTable } from "../table.js";

const TYPED_MS = 600; // after the last letter
const parts = {};
const fields = {}; // by name, of single texts
const laid = {}; // what the fields were last given, by name
let figures = [];
let measured;
let answer = null;
let page;

export const view = {
  name: "person",
  title: "One person",
  // every: whether the table has every endpoint or the main ones; all others as the server takes them
  start: { given: "", measured: "", weight: "", height: "", formula: "Mosteller", known: "", begin: "", wish: "", every: false },

  build(panel, given) {
    page = given;
    const { person } = page.facts;
    if (person.why_not) return panel.append(element("div", { class: "rests-on" }, element("p", {}, person.why_not)));
    const set = (name, value, event) => {
      page.own(view)[name] = laid[name] = value;
      page.changed(event);
    };
    const field = (name, label, made) => {
      fields[name] = made;
      if (made.tagName === "SELECT") made.addEventListener("input", (event) => set(name, made.value, event));
      else typed(made, (event) => set(name, made.value.trim(), event), TYPED_MS);
      const root = choice(label, made);
      root.dataset.field = name;
      return root;
    };
    const text = (name, more = {}) => element("input", { type: "text", id: `person-${name}`, maxlength: 400, spellcheck: "false", autocomplete: "off", ...more });
    const area = (name, maxlength) => element("textarea", { id: `person-${name}`, rows: 1, maxlength, spellcheck: "false" });
    const number = (name) => text(name, { inputmode: "decimal", maxlength: 20, size: 6 });
    measured = new Measured(person.outputs, person.most, (now, event) => set("measured", now, event));
    const table = element("button", { type: "button" }, "Save as person.csv");
    measured.foot.append(table);
    exporting(table, page, () => download("person.csv", csv([], measured.table), "text/csv"));
    const had = field("given", "Doses that were given", area("given", 4000));
    had.append(element("pre", { class: "error", id: "person-given-error", role: "alert", hidden: true }));
    const size = [field("weight", "Weight (kg)", number("weight")), field("height", "Height (cm)", number("height")), field("formula", "Body surface by", select("person-formula", person.formulas.map((name) => [name, name])))];
    const [example] = person.known;
    const known = field("known", "Also known", text("known", { placeholder: example ? `${example.name} = ${example.usual} ${unitText(example.unit) && example.unit}`.trim() : "" }));
    const begin = field("begin", "What follows begins on day", number("begin"));
    const wish = field("wish", "Wish", area("wish", 300));
    parts.every = element("input", { type: "checkbox", id: "person-every" });
    parts.every.addEventListener("input", () => { page.own(view).every = parts.every.checked; page.redraw(); });
    parts.answer = element("p", { class: "answer", role: "status" });
    parts.worth = element("p", { class: "hint" });
    parts.notices = noticeBox("person-notices");
    parts.keys = element("div");
    parts.charts = element("div", { class: "charts" });
    parts.values = scroller("Measured and expected values");
    parts.parameters = scroller("Parameters of this person");
    parts.wishes = scroller("Probability of the wishes");
    parts.endpoints = element("table");
    parts.lights = element("p", { class: "hint" });
    parts.reading = element("ul", { class: "hint", "aria-label": "How to read it" });
    const part = (title, ...content) => element("section", {}, element("h2", {}, title), ...content);
    parts.ofValues = part("Measured and expected", parts.values);
    parts.ofWishes = part("How probable the wish is", parts.wishes);
    panel.append(
      element("p", { class: "hint" }, "What is typed here goes to the program that serves this page and nowhere else; it keeps and logs none of it. It stands in the link of this page, and so in the history of this browser, and in a state that is saved."),
      element("div", { class: "look wide" }, had), measured.root,
      element("div", { class: "look" }, ...(person.body ? size : []), begin),
      element("div", { class: "look wide" }, ...(example ? [known] : []), wish),
      element("p", { class: "hint" }, "What follows are the schedules on the left, each from that day on. A wish is an endpoint and a bound: \u201cCmax under 20\u201d, \u201ctrough at least 3\u201d."),
      parts.answer, parts.worth, parts.notices, parts.keys, parts.charts, parts.ofValues,
      part("What the values say of the parameters", parts.parameters), parts.ofWishes,
      part("What may follow", check("Every endpoint, not the main ones only", parts.every), element("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Endpoints of what may follow" }, parts.endpoints), parts.lights, parts.reading),
    );
  },

  question() {
    if (page.facts.person.why_not) return "Nothing is computed here: why, and what would be right, stands below.";
    const { every, ...asked } = page.own(view);
    follow(asked);
    return asked;
  },

  show(told) {
    answer = told;
    const own = page.own(view);
    follow(own);
    if (!own.given && document.activeElement !== fields.given) fields.given.value = told.given;
    fields.begin.placeholder = own.begin ? "" : String(told.begin);
    parts.every.checked = own.every;
    const n = told.measurements.length;
    parts.answer.textContent = `${n ? `${n} measured value${n > 1 ? "s" : ""}` : "Nothing measured yet: this person is anybody"}, after ${told.given}. What follows begins on day ${told.begin}.`;
    parts.worth.textContent = `Median and 90 % of ${told.subjects} draws of what this person may be, taken from weighted ones that are worth ${Math.round(told.effective)}; the command below takes 1000.`;
    tellNotices(parts.notices, told.notices);
    drawCharts();
    parts.ofValues.hidden = !n;
    parts.values.replaceChildren(plainTable(
      ["Day", "output", "measured ± SD of its error", "people", "this person"],
      told.measurements.map((row) => [String(row.day), named(titleOf(row.output), row.unit), `${shown(row.value)} ± ${shown(row.error)}`, three(row.before), three(row.after)]),
    ));
    parts.parameters.replaceChildren(plainTable(
      ["Parameter", "people", "this person", "learned, %"],
      told.parameters.map((row) => [named(row.name, row.unit), three(row.before), three(row.after), String(Math.round(100 * row.learned))]),
    ));
    parts.ofWishes.hidden = !told.wishes.length;
    parts.wishes.replaceChildren(plainTable(
      ["Probability that", ...told.arms.map((arm, i) => badge(i))], told.wishes.map(({ wish, held }) => [wish, ...held.map((share) => `${Math.round(100 * share)} %`)]),
    ));
    endpointTable(parts.endpoints, told.endpoints.filter((endpoint) => endpoint.main || own.every), told.arms, {}, page.facts);
    parts.lights.replaceChildren(...meanings(page.facts, told.arms), ". A number opens what is behind it; arrow keys move among them.");
    parts.reading.replaceChildren(
      element("li", {}, "Learned: by how much the measured values narrowed the variance of a parameter\u2019s logarithm; 0 % is anybody."),
      ...told.reading.map((sentence) => element("li", {}, sentence)),
    );
  },
};

/** Fields follow the state where something else has changed it: a link, the back button, a file. */
function follow(own) {
  for (const [name, field] of Object.entries(fields)) if (own[name] !== laid[name]) field.value = laid[name] = own[name];
  if (own.measured !== laid.measured) measured.set(laid.measured = own.measured);
}

const titleOf = (output) => page.facts.person.outputs.find(({ name }) => name === output)?.title ?? output;
const named = (name, unit) => (unitText(unit) ? `${name} (${unitText(unit)})` : name);
const three = ([low, median, high]) => `${shown(median)} (${shown(low)} to ${shown(high)})`;

/** A chart for each output that was measured. */
function drawCharts() {
  const theme = page.theme();
  parts.keys.replaceChildren(keys(entries(theme), theme));
  if (figures.map(({ name }) => name).join() !== answer.charts.map(({ name }) => name).join()) {
    figures = answer.charts.map(({ name }) => ({ name, figure: frameOf(name) }));
    parts.charts.classList.toggle("single", figures.length === 1);
    parts.charts.replaceChildren(...figures.map(({ figure }) => figure.root));
  }
  figures.forEach(({ figure }, k) => {
    const { title, unit } = answer.charts[k];
    figure.caption = named(title, unit);
    figure.again();
  });
}

/** The picture of an output. */
function frameOf(name) {
  const draw = (picture, width, theme) => drawOne(name, picture, width, theme);
  return new Frame(page, { draw, keys: entries, told: () => answer, lines: (told) => [`after ${told.given}`], who: "draws of one person" });
}

/** What the parts of the pictures are. */
function entries(theme) {
  return [
    { colour: theme.other, band: 0.25, words: "people, 90 %" }, { colour: theme.ink, words: "this person, median and 90 %" },
    ...answer.arms.map((arm, i) => ({ colour: theme.lines[i], dash: DASHES[i], words: `${LETTERS[i]}: ${arm.text}` })),
    ...(answer.measurements.length ? [{ colour: theme.ink, point: true, words: "measured, two SDs of its error" }] : []),
    { colour: theme.soft, dash: "2 3", words: "what follows begins; ticks: doses" },
  ];
}

function drawOne(name, picture, width, theme) {
  const chart = answer?.charts.find((one) => one.name === name);
  if (!chart) return;
  const { before, after, following } = chart;
  const points = chart.points.map(({ day, value, error }) => ({ x: day, y: value, low: value - 2 * error, high: value + 2 * error, colour: theme.ink }));
  const curves = [before, after, ...following].filter(({ days }) => days.length);
  const [low, high] = ends(curves.map((curve) => [curve.low, curve.high]), points.map((point) => [point.low, point.high]));
  const band = (curve, colour, opacity) => ({ x: curve.days, low: curve.low, high: curve.high, colour, opacity });
  const line = (curve, colour, dash) => ({ x: curve.days, y: curve.median, colour, dash });
  const words = `${chart.title}: this person from ${shown(after.median[0])} on day ${after.days[0]} to ${shown(after.median.at(-1))} on day ${after.days.at(-1)}; `
    + following.map((curve, i) => `${LETTERS[i]} then reaches ${shown(Math.max(...curve.median))} in the median`).join(", ") + ".";
  plot(picture, {
    width, theme, words, x: { low: Math.min(...curves.map(({ days }) => days[0])), high: Math.max(...curves.map(({ days }) => days.at(-1))), text: "day" }, y: { low, high },
    bands: [band(before, theme.other, 0.25), band(after, theme.ink, 0.16), ...following.map((curve, i) => band(curve, theme.lines[i], following.length > 2 ? 0.1 : 0.16))],
    lines: [line(before, theme.other, "1 3"), line(after, theme.ink), ...following.map((curve, i) => line(curve, theme.lines[i], DASHES[i]))],
    points, upright: answer.begin, rugs: [{ x: answer.doses, colour: theme.ink, row: 0 }, ...answer.arms.map(({ doses }, i) => ({ x: doses, colour: theme.lines[i], row: i }))],
  });
}
