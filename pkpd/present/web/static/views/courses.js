// Courses: what becomes of each output over time under each schedule, the endpoints, and the published numbers behind the points.

import { DASHES, LETTERS, svg } from "../charts.js";
import { check, choice, select } from "../controls.js";
import { crowded, CycleChart, cyclesOf } from "../cycles.js";
import { Detail } from "../detail.js";
import { curvesCsv, download, exporting, paper, png, svgText, tableCsv } from "../exports.js";
import { noticeBox, tellNotices } from "../notices.js";
import { Chart } from "../plots.js";
import { Sight } from "../sight.js";
import { called, element } from "../state.js";
import { meanings } from "../standing.js";
import { endpointTable, pointTable } from "../table.js";

const KEPT = 24; // curves of schedules that were looked at before
const GIVEN = { name: "doses given", title: "Cumulative doses, as planned", remark: "", stepped: true };
const curves = new Map(); // key -> curves
const parts = {}; // elements by name
let page;
let charts = []; // of outputs
let cycles = new Map(); // chart -> that of one cycle of it
let given; // the chart of cumulative doses
let expected = []; // of events, by risk
let switches = []; // of groups that are shown on request
let answer = null; // the last one, with curves
let typing = null; // the field whose day somebody is writing: no answer that comes meanwhile changes it
const sight = new Sight();
const zoomed = new Detail(() => page.redraw());
const enlarged = new Detail(() => drawCycles());

export const view = {
  name: "courses",
  title: "Courses",
  asks: "compare",
  // points: "all", "same" (only of patients with the same doses) or "none"; log: names of outputs with a logarithmic axis, between commas;
  // every: whether the table has every endpoint or the main ones; from, to: the days that are seen, the whole time where to is 0;
  // cycle, of: which one is enlarged, of which schedule
  start: { points: "all", log: "", every: false, from: 0, to: 0, cycle: 1, of: LETTERS[0] },

  build(panel, given) {
    page = given;
    const button = (id, words) => element("button", { type: "button", id }, words);
    const actions = element(
      "div", { class: "actions", role: "group", "aria-label": "Export" },
      button("export-png", "Charts as PNG"), button("export-curves", "Curves as CSV"), button("export-table", "Table as CSV"),
    );
    parts.points = select("show-points", [["all", "all"], ["same", "only of patients with the same doses"], ["none", "none"]]);
    parts.from = element("input", { type: "number", id: "zoom-from", min: 0, step: "any", "aria-label": "From day" });
    parts.to = element("input", { type: "number", id: "zoom-to", min: 0, step: "any", "aria-label": "To day" });
    parts.wholeTime = button("whole-time", "Whole time");
    parts.every = element("input", { type: "checkbox", id: "every" });
    const look = element(
      "div", { class: "look" }, choice("Published points", parts.points),
      element("div", { class: "zoom", role: "group", "aria-label": "Days that are shown" }, element("span", {}, "Days"), parts.from, element("span", {}, "to"), parts.to, parts.wholeTime), actions,
    );
    parts.warnings = noticeBox("warnings");
    parts.legend = element("div", { id: "legend", role: "group", "aria-label": "Legend" });
    parts.charts = element("div", { id: "charts", class: "charts" });
    parts.onRequest = element("div", { id: "on-request" });
    parts.endpoints = element("table", { id: "endpoints" });
    parts.lights = element("p", { class: "hint", id: "lights" });
    parts.reading = element("ul", { class: "hint", id: "reading", "aria-label": "How to read the table" });
    parts.numbers = element("table", { id: "points" });
    parts.published = element(
      "details", { id: "published" }, element("summary", {}, "The published numbers behind the points"),
      element("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Published numbers" }, parts.numbers),
    );
    panel.append(
      look, parts.warnings, parts.legend, parts.charts, parts.onRequest,
      element(
        "p", { class: "hint" },
        "Point at a chart, touch it, or focus it and use ← and → (with Shift: ten steps; Home, End, Esc) to read values. Drag over a chart to see a piece of time in all of them (by keyboard: + and −); a double click, Esc or “Whole time” goes back.",
      ),
      element(
        "section", { "aria-labelledby": "endpoints-title" },
        element("h2", { id: "endpoints-title", tabindex: "-1" }, "Endpoints"), check("Every endpoint, not the main ones only", parts.every),
        element("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Table of endpoints" }, parts.endpoints), parts.lights, parts.reading,
      ),
      parts.published,
    );
    parts.points.parentElement.hidden = parts.published.hidden = !page.facts.points.length;
    layCharts();
    const set = (values) => { Object.assign(page.own(view), values); page.redraw(); };
    parts.points.addEventListener("input", () => set({ points: parts.points.value }));
    parts.every.addEventListener("input", () => set({ every: parts.every.checked }));
    for (const field of [parts.from, parts.to]) {
      field.addEventListener("input", () => { typing = field; });
      field.addEventListener("blur", () => { typing = null; });
      field.addEventListener("change", () => { typing = null; zoom(parts.from.valueAsNumber, parts.to.valueAsNumber); });
    }
    parts.wholeTime.addEventListener("click", () => zoom());
    parts.published.addEventListener("toggle", published);
    wireExports();
  },

  question: (given, preview) => ({ have: [...curves.keys()], preview }),

  show(told) {
    if (told !== answer) keep(told);
    sight.begin(answer.subjects < answer.of);
    const own = page.own(view);
    parts.points.value = own.points;
    parts.every.checked = own.every;
    for (const one of switches) one.checked = page.state.show.includes(one.value);
    const { groups, outputs } = shownNow();
    for (const part of parts.onRequest.querySelectorAll("section")) part.hidden = !answer.show.includes(part.dataset.group);
    drawCharts(outputs);
    legend();
    tellNotices(parts.warnings, answer.notices);
    const restsOn = Object.fromEntries(groups.map(({ group, rests_on }) => [group, rests_on]));
    const rows = answer.endpoints.filter((endpoint) => endpoint.main || own.every);
    sight.draw(parts.endpoints, () => endpointTable(parts.endpoints, rows, answer.arms, restsOn, page.facts));
    parts.lights.replaceChildren(...meanings(page.facts, answer.arms), ". A number opens what is behind it; arrow keys move among them.");
    parts.reading.replaceChildren(...answer.reading.map((sentence) => element("li", {}, sentence)));
    published();
  },

  rest: () => sight.rest(),
};

/** An answer with the curves that the page has already. */
function keep(told) {
  const preview = told.subjects < told.of;
  for (const arm of told.arms) {
    arm.curves ??= curves.get(arm.key);
    if (!preview || curves.delete(arm.key)) curves.set(arm.key, arm.curves); // as the youngest
    arm.points = new Set(arm.points);
  }
  while (curves.size > KEPT) curves.delete(curves.keys().next().value);
  answer = told;
}

/** A chart for each output, with one of a cycle beside it; those of a group on request under its switch and what they rest on. */
function layCharts() {
  const { facts } = page;
  const logged = (chart, whether) => {
    const others = logarithmic().filter((name) => name !== chart.facts.name);
    page.own(view).log = [...others, ...(whether ? [chart.facts.name] : [])].join();
    page.redraw();
  };
  const still = { moved, saved };
  charts = facts.outputs.map((output) => new Chart(output, { ...still, zoomed: zoom, logged }));
  cycles = new Map(charts.map((chart) => [chart, new CycleChart(chart.facts, { ...still, logged }, (which) => { Object.assign(page.own(view), which); page.redraw(); })]));
  given = new Chart(GIVEN, { ...still, zoomed: zoom });
  expected = facts.risks.map((risk) => new Chart({ ...risk, stepped: true }, { ...still, zoomed: zoom }));
  sight.watch(parts.endpoints, ...[...charts, ...cycles.values(), given, ...expected].map(({ root }) => root));
  const placed = (names) => charts.filter((chart) => names.includes(chart.facts.name)).flatMap((chart) => [chart.root, cycles.get(chart).root]);
  const onRequest = new Set(facts.on_request.flatMap(({ outputs }) => outputs));
  parts.charts.append(...placed(facts.outputs.map(({ name }) => name).filter((name) => !onRequest.has(name))), given.root, ...expected.map(({ root }) => root));
  switches = facts.on_request.map(({ group }, i) => element("input", { type: "checkbox", id: `show-${i}`, value: group }));
  facts.on_request.forEach(({ group, title, rests_on, outputs }, i) => {
    switches[i].addEventListener("input", (event) => {
      page.state.show = switches.filter((one) => one.checked).map((one) => one.value);
      page.changed(event);
    });
    parts.onRequest.append(
      check(`Show ${title}, and what they rest on`, switches[i]),
      element(
        "section", { "data-group": group, "aria-label": title, hidden: true },
        element("div", { class: "rests-on" }, ...rests_on.map((sentence) => element("p", {}, sentence))), element("div", { class: "charts" }, ...placed(outputs)),
      ),
    );
  });
}

const logarithmic = () => page.own(view).log.split(",").filter(Boolean);

/** The days that are seen: those of the link, as far as there are such days. */
function window() {
  const { from, to } = page.own(view);
  const end = to > 0 ? Math.min(to, answer.days) : answer.days;
  return from >= 0 && from < end ? { from, to: end } : { from: 0, to: answer.days };
}

/** See a piece of the time in all charts; without arguments the whole of it. */
function zoom(from = 0, to = 0) {
  if (!answer) return;
  const inside = from < to && to > 0 && from < answer.days;
  [from, to] = inside ? [Math.max(0, +from.toFixed(2)), Math.min(answer.days, +to.toFixed(2))] : [0, 0];
  Object.assign(page.own(view), from === 0 && to === answer.days ? { from: 0, to: 0 } : { from, to });
  page.redraw();
}

/** The charts of outputs that are shown, those of cycles, and the doses. */
function drawCharts(outputs) {
  const { from, to } = window();
  const whole = from === 0 && to === answer.days;
  for (const [field, day] of [[parts.from, from], [parts.to, to]]) if (field !== typing) field.value = day;
  parts.from.max = parts.to.max = answer.days;
  parts.wholeTime.disabled = whole;
  const names = outputs.map(({ name }) => name);
  const seen = { ...look(), from, to, arms: whole ? answer.arms : zoomed.of(answer, names, from, to) };
  for (const chart of charts) if (names.includes(chart.facts.name)) sight.draw(chart.root, () => chart.draw(seen));
  sight.draw(given.root, () => given.draw({ ...seen, show: "none", arms: answer.arms.map((arm) => ({ ...arm, curves: { [GIVEN.name]: counted(arm.doses) } })) }));
  for (const chart of expected) drawExpected(chart, seen);
  drawCycles();
}

/** How many courses with an event are expected until when; nothing where that is not known of all schedules with doses. */
function drawExpected(chart, seen) {
  const { name } = chart.facts;
  const known = answer.arms.filter((arm) => arm.expected[name]);
  chart.root.hidden = !known.length || answer.arms.some((arm) => arm.doses.length && !arm.expected[name]);
  if (chart.root.hidden) return;
  const arms = answer.arms.map((arm) => {
    const { days, low, median, high } = arm.expected[name] ?? { days: [0], low: [0], median: [0], high: [0] };
    const end = (line) => [...line, line.at(-1)]; // it stays
    return { ...arm, curves: { [name]: { days: [...days, answer.days], low: end(low), median: end(median), high: end(high), unit: "1" } } };
  });
  sight.draw(chart.root, () => chart.draw({ ...seen, show: "none", arms }));
}

const look = () => ({ points: page.facts.points, show: page.own(view).points, days: answer.days, log: logarithmic(), theme: page.theme() });

/** One cycle of each output whose peaks cannot be told apart. */
function drawCycles() {
  const doses = answer.arms.map((arm) => cyclesOf(arm.doses, answer.days));
  const blocks = shownNow().outputs.map(({ name }) => name).filter((name) => answer.arms.some((arm, i) => crowded(arm.curves[name], doses[i])));
  for (const [chart, cycle] of cycles) {
    cycle.root.hidden = !blocks.includes(chart.facts.name);
    if (cycle.root.hidden) continue;
    const piece = cycle.choose(page.own(view), answer.arms, answer.days);
    const arms = enlarged.of(answer, blocks, piece.from, piece.to);
    sight.draw(cycle.root, () => cycle.draw({ ...look(), ...piece, arms }));
  }
}

/** How many doses have been given, over days. */
function counted(doses) {
  const numbers = [0, ...doses.map((day, i) => i + 1), doses.length];
  return { days: [0, ...doses, answer.days], low: numbers, median: numbers, high: numbers, unit: "1" };
}

/** The groups on request that the answer has, and the outputs and published points that are shown with them. */
function shownNow() {
  const { facts } = page;
  const groups = facts.on_request.filter(({ group }) => answer.show.includes(group));
  const kept = new Set(facts.on_request.filter((group) => !groups.includes(group)).flatMap(({ outputs }) => outputs));
  return { groups, outputs: facts.outputs.filter(({ name }) => !kept.has(name)), points: facts.points.filter(({ output }) => !kept.has(output)) };
}

/** The list of published numbers, once somebody looks at it. */
function published() {
  if (!parts.published.open || !answer) return;
  pointTable(parts.numbers, shownNow().points, Object.fromEntries(page.facts.outputs.map((output) => [output.name, output.title])), answer.arms);
}

function legend() {
  const theme = page.theme();
  const { points: show } = page.own(view);
  const swatch = (width, ...parts) => svg("svg", { width, height: 14, "aria-hidden": "true" }, ...parts);
  const lines = answer.arms.map((arm, i) => element(
    "span", {}, swatch(
      34,
      svg("rect", { x: 0, y: 1, width: 34, height: 12, fill: theme.lines[i], "fill-opacity": 0.16 }),
      svg("line", { x1: 0, x2: 34, y1: 7, y2: 7, stroke: theme.lines[i], "stroke-width": 2.2, "stroke-dasharray": DASHES[i] }),
    ), element("strong", {}, LETTERS[i]), ` ${arm.text}`, doseDays(arm, i),
  ));
  const dot = (fill) => swatch(12, svg("circle", { cx: 6, cy: 7, r: 4, fill, stroke: theme.other, "stroke-width": 1.4 }));
  const triangle = swatch(12, svg("path", { d: "M1 10H11L6 2Z", fill: theme.other }));
  const notes = [
    element("span", {}, "line: median; band: 5 to 95 % of subjects; ticks: doses"),
    ...(show === "none" || !page.facts.points.length ? [] : [
      element("span", {}, dot(theme.other), "published, 95 % interval"),
      element("span", {}, dot(theme.ground), "hollow: unverified"),
      element("span", {}, triangle, "at least (upwards), at most (downwards)"),
      element("span", {}, "coloured: the same doses by then; grey: other doses"),
      element("span", {}, "changes are drawn from the model's median at rest"),
    ]),
  ];
  parts.legend.replaceChildren(element("div", { class: "schedules" }, ...lines), element("div", { class: "notes" }, ...notes));
}

/** When doses are given in a sentence, and each of their days in a list for whoever opens it. */
function doseDays(arm, i) {
  if (!arm.doses.length) return element("span", { class: "when" }, arm.when);
  const list = element("ul", { tabindex: "0", "aria-label": `Days of doses of ${LETTERS[i]}` });
  const open = parts.legend.querySelector(`details[data-arm="${i}"]`)?.open;
  const details = element("details", { class: "when", "data-arm": i, open }, element("summary", {}, arm.when), list);
  const fill = () => { if (details.open && !list.childElementCount) list.append(...dayLines(arm).map((words) => element("li", {}, words))); };
  details.addEventListener("toggle", fill);
  fill();
  return details;
}

/** A line for each cycle: "day 0, 1, 2: 10 mg sc". */
function dayLines(arm) {
  const texts = arm.amounts.flatMap(([text, times]) => Array(times).fill(text));
  return cyclesOf(arm.doses, Infinity).map(({ first, last }) => {
    const alike = [];
    for (let k = first; k <= last; k++) {
      if (texts[k] === alike.at(-1)?.text) alike.at(-1).days.push(arm.doses[k]);
      else alike.push({ text: texts[k], days: [arm.doses[k]] });
    }
    return alike.map(({ text, days }) => `day ${days.map((day) => +day.toFixed(2)).join(", ")}: ${text}`).join("; ");
  });
}

/** The cursor of one chart is that of all; values are shown where it is moved. */
let speaking = 0;
function moved(day, from) {
  if (!answer) return;
  let said = "";
  for (const chart of onPage()) {
    if (chart !== from) chart.near = null;
    said = chart.point(day, chart === from) || said;
  }
  clearTimeout(speaking);
  if (from.near === null && said) speaking = setTimeout(() => { page.say(said); }, 150);
}

/** What the groups on request rest on that are shown. */
function restingOn() {
  return shownNow().groups.flatMap(({ title, rests_on }) => rests_on.map((sentence) => `${title}: ${sentence}`));
}

/** What stands above exported numbers. */
function above() {
  return [`${called(page.facts)}. A model, not medical advice.`, ...restingOn(), answer.command, ...answer.reading, ...answer.notices.map(({ sentence, arms }) => `${arms.map((i) => LETTERS[i]).join(", ")}${arms.length ? ": " : ""}${sentence}`)];
}

/** The charts that are seen, in the order of the page. */
function onPage() {
  const { outputs } = shownNow();
  const shown = charts.filter((chart) => outputs.includes(chart.facts)).flatMap((chart) => [chart, ...(cycles.get(chart).root.hidden ? [] : [cycles.get(chart)])]);
  return [...shown, given, ...expected.filter(({ root }) => !root.hidden)];
}

/** What stands under pictures. */
function foot() {
  const beyond = answer.arms.map((arm, i) => (arm.warnings.length ? LETTERS[i] : "")).filter(Boolean);
  return [
    ...restingOn(),
    `A model, not medical advice. ${called(page.facts)}; ${answer.subjects} virtual subjects; line: median, band: 5 to 95 %${page.facts.points.length ? "; points: published, hollow ones unverified, triangles at least or at most" : ""}.`,
    ...(beyond.length ? [`${beyond.join(", ")}: in part beyond the doses, cycles and times that the fit has seen; the page and pkpd compare say where.`] : []),
  ];
}

/** Wait until all that is seen is of all subjects and as fine as it gets. */
async function settled() {
  await page.whole();
  await Promise.all([zoomed.asked, enlarged.asked]);
}

/** Save one chart. */
async function saved(chart, kind) {
  try {
    await settled();
    const picture = paper([chart], answer.arms, foot(), 1);
    const name = `pkpd_${chart.facts.title.replaceAll(/[^\p{L}\p{N}-]+/gu, "_").replaceAll(/^_|_$/g, "")}.${kind}`;
    download(name, kind === "svg" ? svgText(picture) : await png(picture), kind === "svg" ? "image/svg+xml" : "image/png");
  } catch (error) {
    page.fail(`This did not work: ${error.message}`);
  }
}

function wireExports() {
  const act = (id, action) => exporting(document.getElementById(id), page, async () => {
    await settled();
    await action();
  });
  act("export-curves", () => download("pkpd_curves.csv", curvesCsv(answer.arms, shownNow().outputs, above()), "text/csv"));
  act("export-table", () => download("pkpd_endpoints.csv", tableCsv(answer.endpoints, answer.arms, above()), "text/csv"));
  act("export-png", async () => download("pkpd_charts.png", await png(paper(onPage(), answer.arms, foot(), 2)), "image/png"));
}
