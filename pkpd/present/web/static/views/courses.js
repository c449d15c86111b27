// Courses: what becomes of each output over time under each schedule, the endpoints, and the published numbers behind the points.

import { Chart, DASHES, LETTERS, svg } from "../charts.js";
import { check, choice, select } from "../controls.js";
import { chartsPng, curvesCsv, download, exporting, tableCsv } from "../exports.js";
import { element } from "../state.js";
import { endpointTable, pointTable } from "../table.js";

const KEPT = 24; // curves of schedules that were looked at before
const curves = new Map(); // key -> curves
const parts = {}; // elements by name
let page;
let charts = [];
let switches = []; // of groups that are shown on request
let answer = null; // the last one, with curves

export const view = {
  name: "courses",
  title: "Courses",
  asks: "compare",
  // points: "all", "same" (only of patients with the same doses) or "none"; log: whether concentrations have a logarithmic axis;
  // every: whether the table has every endpoint or the main ones
  start: { points: "all", log: false, every: false },

  build(panel, given) {
    page = given;
    const button = (id, words) => element("button", { type: "button", id }, words);
    const actions = element(
      "div", { class: "actions", role: "group", "aria-label": "Export" },
      button("export-png", "Charts as PNG"), button("export-curves", "Curves as CSV"), button("export-table", "Table as CSV"),
    );
    parts.points = select("show-points", [["all", "all"], ["same", "only of patients with the same doses"], ["none", "none"]]);
    parts.log = element("input", { type: "checkbox", id: "log" });
    parts.every = element("input", { type: "checkbox", id: "every" });
    const logged = page.facts.outputs.find((output) => output.log);
    const look = element(
      "div", { class: "look" }, choice("Published points", parts.points),
      ...(logged ? [check(`${logged.title} on a logarithmic axis`, parts.log)] : []), actions,
    );
    parts.warnings = element("details", { id: "warnings", hidden: true, open: matchMedia("(min-width: 861px)").matches }, element("summary"), element("ul"));
    parts.legend = element("div", { id: "legend", role: "group", "aria-label": "Legend" });
    parts.charts = element("div", { id: "charts", class: "charts" });
    parts.onRequest = element("div", { id: "on-request" });
    parts.endpoints = element("table", { id: "endpoints" });
    parts.reading = element("ul", { class: "hint", id: "reading", "aria-label": "How to read the table" });
    parts.numbers = element("table", { id: "points" });
    parts.published = element(
      "details", { id: "published" }, element("summary", {}, "The published numbers behind the points"),
      element("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Published numbers" }, parts.numbers),
    );
    panel.append(
      look, parts.warnings, parts.legend, parts.charts, parts.onRequest,
      element("p", { class: "hint" }, "Point at a chart, touch it, or focus it and use ← and → (with Shift: ten steps; Home, End, Esc) to read values."),
      element(
        "section", { "aria-labelledby": "endpoints-title" },
        element("h2", { id: "endpoints-title", tabindex: "-1" }, "Endpoints"), check("Every endpoint, not the main ones only", parts.every),
        element("div", { class: "scroller", tabindex: "0", role: "region", "aria-labelledby": "endpoints-title" }, parts.endpoints), parts.reading,
      ),
      parts.published,
    );
    layCharts();
    const own = () => page.own(view);
    parts.points.addEventListener("input", () => { own().points = parts.points.value; page.redraw(); });
    parts.log.addEventListener("input", () => { own().log = parts.log.checked; page.redraw(); });
    parts.every.addEventListener("input", () => { own().every = parts.every.checked; page.redraw(); });
    parts.published.addEventListener("toggle", published);
    wireExports();
  },

  question: (given, preview) => ({ have: [...curves.keys()], preview }),

  show(told) {
    if (told !== answer) keep(told);
    const own = page.own(view);
    parts.points.value = own.points;
    parts.log.checked = own.log;
    parts.every.checked = own.every;
    for (const one of switches) one.checked = page.state.show.includes(one.value);
    const drawn = seen();
    const { groups, outputs } = shownNow();
    for (const part of parts.onRequest.querySelectorAll("section")) part.hidden = !answer.show.includes(part.dataset.group);
    for (const chart of charts) if (outputs.includes(chart.facts)) chart.draw(drawn);
    legend(drawn);
    warnings();
    const restsOn = Object.fromEntries(groups.map(({ group, rests_on }) => [group, rests_on]));
    endpointTable(parts.endpoints, answer.endpoints.filter((endpoint) => endpoint.main || own.every), answer.arms, restsOn);
    parts.reading.replaceChildren(...answer.reading.map((sentence) => element("li", {}, sentence)));
    published();
  },
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

/** A chart for each output; those of a group on request under its switch and what they rest on. */
function layCharts() {
  const { facts } = page;
  charts = facts.outputs.map((output) => new Chart(output, moved));
  const placed = (names) => charts.filter((chart) => names.includes(chart.facts.name)).map((chart) => chart.root);
  const onRequest = new Set(facts.on_request.flatMap(({ outputs }) => outputs));
  parts.charts.append(...placed(facts.outputs.map(({ name }) => name).filter((name) => !onRequest.has(name))));
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

/** The groups on request that the answer has, and the outputs and published points that are shown with them. */
function shownNow() {
  const { facts } = page;
  const groups = facts.on_request.filter(({ group }) => answer.show.includes(group));
  const kept = new Set(facts.on_request.filter((group) => !groups.includes(group)).flatMap(({ outputs }) => outputs));
  return { groups, outputs: facts.outputs.filter(({ name }) => !kept.has(name)), points: facts.points.filter(({ output }) => !kept.has(output)) };
}

function seen() {
  const { facts } = page;
  const { points, log } = page.own(view);
  return { arms: answer.arms, points: facts.points, show: points, days: answer.days, log, logged: facts.outputs.filter((output) => output.log).map((output) => output.name), theme: page.theme() };
}

/** The list of published numbers, once somebody looks at it. */
function published() {
  if (!parts.published.open || !answer) return;
  pointTable(parts.numbers, shownNow().points, Object.fromEntries(page.facts.outputs.map((output) => [output.name, output.title])), answer.arms);
}

function legend({ arms, theme, show }) {
  const swatch = (width, ...parts) => svg("svg", { width, height: 14, "aria-hidden": "true" }, ...parts);
  const lines = arms.map((arm, i) => element(
    "span", {}, swatch(
      34,
      svg("rect", { x: 0, y: 1, width: 34, height: 12, fill: theme.lines[i], "fill-opacity": 0.16 }),
      svg("line", { x1: 0, x2: 34, y1: 7, y2: 7, stroke: theme.lines[i], "stroke-width": 2.2, "stroke-dasharray": DASHES[i] }),
    ), element("strong", {}, LETTERS[i]), ` ${arm.text}`, element("span", { class: "when" }, arm.when),
  ));
  const dot = (fill) => swatch(12, svg("circle", { cx: 6, cy: 7, r: 4, fill, stroke: theme.other, "stroke-width": 1.4 }));
  const triangle = swatch(12, svg("path", { d: "M1 10H11L6 2Z", fill: theme.other }));
  const notes = [
    element("span", {}, "line: median; band: 5 to 95 % of subjects; ticks: doses"),
    ...(show === "none" ? [] : [
      element("span", {}, dot(theme.other), "published, 95 % interval"),
      element("span", {}, dot(theme.ground), "hollow: unverified"),
      element("span", {}, triangle, "at least (upwards), at most (downwards)"),
      element("span", {}, "coloured: the same doses by then; grey: other doses"),
      element("span", {}, "changes are drawn from the model's median at rest"),
    ]),
  ];
  parts.legend.replaceChildren(element("div", { class: "schedules" }, ...lines), element("div", { class: "notes" }, ...notes));
}

/** Each warning once, with the schedules that it is about: [sentence, numbers of schedules]. */
function warned() {
  const about = new Map();
  answer.arms.forEach((arm, i) => arm.warnings.forEach((sentence) => about.set(sentence, [...(about.get(sentence) ?? []), i])));
  return [...about];
}

function warnings() {
  const about = warned();
  const mark = (i) => element("span", { class: `badge of-${LETTERS[i]}` }, LETTERS[i]);
  const concerned = answer.arms.map((arm, i) => i).filter((i) => answer.arms[i].warnings.length);
  const box = parts.warnings;
  box.hidden = !about.length;
  box.querySelector("summary").replaceChildren(`Beyond what the fit has seen: ${about.length} remark${about.length > 1 ? "s" : ""} `, ...concerned.map(mark));
  box.querySelector("ul").replaceChildren(...about.map(([sentence, of]) => element("li", {}, ...of.map(mark), ` ${sentence}`)));
}

/** The cursor of one chart is that of all; values are shown where it is moved. */
let speaking = 0;
function moved(day, from) {
  let said = "";
  for (const chart of charts) {
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
  return [`${page.facts.title}. A model, not medical advice.`, ...restingOn(), answer.command, ...answer.reading, ...warned().map(([sentence, of]) => `${of.map((i) => LETTERS[i]).join(", ")}: ${sentence}`)];
}

function wireExports() {
  const act = (id, action) => exporting(document.getElementById(id), page, async () => {
    await page.whole();
    await action();
  });
  act("export-curves", () => download("pkpd_curves.csv", curvesCsv(seen(), shownNow().outputs, above()), "text/csv"));
  act("export-table", () => download("pkpd_endpoints.csv", tableCsv(answer.endpoints, answer.arms, above()), "text/csv"));
  act("export-png", async () => {
    const beyond = answer.arms.map((arm, i) => (arm.warnings.length ? LETTERS[i] : "")).filter(Boolean);
    const foot = [
      ...restingOn(),
      `A model, not medical advice. ${page.facts.title}; ${answer.subjects} virtual subjects; line: median, band: 5 to 95 %; points: published, hollow ones unverified, triangles at least or at most.`,
      ...(beyond.length ? [`${beyond.join(", ")}: in part beyond the doses, cycles and times that the fit has seen; the page and pkpd compare say where.`] : []),
    ];
    download("pkpd_charts.png", await chartsPng(seen(), shownNow().outputs, foot), "image/png");
  });
}
