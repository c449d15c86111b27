// The page: state -> request -> charts and table. One request is under way at a time; what changes meanwhile goes with the next.
// Where all subjects would take too long, the server answers with a preview from some of them, and is asked again for all once that is drawn.

import { Chart, DARK, DASHES, LETTERS, LIGHT, svg } from "./charts.js";
import { Card, common } from "./controls.js";
import { chartsPng, copy, curvesCsv, download, tableCsv } from "./exports.js";
import { element, fromHash, toHash } from "./state.js";
import { endpointTable, pointTable } from "./table.js";

const $ = (id) => document.getElementById(id);
const STALE_MS = 250; // a request that is older when something changes is given up
const KEPT = 24; // curves of schedules that were looked at before
const SHARED = ["bsa", "responders", "subjects", "days", "show"];

const curves = new Map(); // key -> curves
const dark = matchMedia("(prefers-color-scheme: dark)");
let facts;
let state;
let cards = [];
let charts = [];
let switches = []; // of groups that are shown on request
let shared;
let answer = null; // the last one, with curves
let flight = null; // {control, sent, refining}
let waiting = null; // time of the last change that no request has taken along
let settled = []; // who waits for the next answer: [done, failed]

async function begin() {
  try {
    facts = await (await fetch("api/start")).json();
  } catch {
    return fail("The server does not answer. Is pkpd explore still running?");
  }
  $("about").textContent = `Fit: ${facts.title}. A model, not medical advice.`;
  layCharts();
  shared = common($("common"), facts, (key, value, event) => {
    state[key] = value;
    if (SHARED.includes(key)) changed(event);
    else render();
  });
  $("every").addEventListener("input", () => { state.every = $("every").checked; render(); });
  $("warnings").open = matchMedia("(min-width: 861px)").matches;
  $("published").addEventListener("toggle", published);
  $("add").addEventListener("click", (event) => add(event));
  wireExports();
  addEventListener("beforeprint", printed);
  dark.addEventListener("change", () => render());
  addEventListener("hashchange", () => restore());
  for (const link of document.querySelectorAll('a[href^="#"]')) link.addEventListener("click", jump);
  restore();
}

/** Go to a part of the page without touching the link, which is the state. */
function jump(event) {
  event.preventDefault();
  const part = document.querySelector(event.currentTarget.getAttribute("href"));
  part.scrollIntoView();
  part.focus({ preventScroll: true });
}

/** Take the state from the link. */
function restore() {
  state = fromHash(location.hash, facts.start, facts.on_request.map(({ group }) => group));
  shared.set(state);
  $("every").checked = state.every;
  for (const one of switches) one.checked = state.show.includes(one.value);
  layCards();
  changed();
}

/** A chart for each output; those of a group on request under its switch and what they rest on. */
function layCharts() {
  charts = facts.outputs.map((output) => new Chart(output, moved));
  const placed = (names) => charts.filter((chart) => names.includes(chart.facts.name)).map((chart) => chart.root);
  const onRequest = new Set(facts.on_request.flatMap(({ outputs }) => outputs));
  $("charts").append(...placed(facts.outputs.map(({ name }) => name).filter((name) => !onRequest.has(name))));
  switches = facts.on_request.map(({ group }, i) => element("input", { type: "checkbox", id: `show-${i}`, value: group }));
  facts.on_request.forEach(({ group, title, rests_on, outputs }, i) => {
    switches[i].addEventListener("input", (event) => {
      state.show = switches.filter((one) => one.checked).map((one) => one.value);
      changed(event);
    });
    $("on-request").append(
      element("div", { class: "check" }, switches[i], element("label", { for: `show-${i}` }, `Show ${title}, and what they rest on`)),
      element(
        "section", { "data-group": group, "aria-label": title, hidden: true },
        element("div", { class: "rests-on" }, ...rests_on.map((sentence) => element("p", {}, sentence))), element("div", { class: "charts" }, ...placed(outputs)),
      ),
    );
  });
}

/** The groups on request that the answer has, and the outputs and published points that are shown with them. */
function shownNow() {
  const groups = facts.on_request.filter(({ group }) => answer.show.includes(group));
  const kept = new Set(facts.on_request.filter((group) => !groups.includes(group)).flatMap(({ outputs }) => outputs));
  return { groups, outputs: facts.outputs.filter(({ name }) => !kept.has(name)), points: facts.points.filter(({ output }) => !kept.has(output)) };
}

function layCards() {
  cards = state.schedules.slice(0, LETTERS.length).map((text, i) => new Card(
    LETTERS[i], text,
    (now, event) => { state.schedules[i] = now; changed(event); },
    () => remove(i), facts,
  ));
  $("schedules").replaceChildren(...cards.map((card) => card.root));
  $("schedules").classList.toggle("single", cards.length === 1);
  $("add").disabled = cards.length >= facts.limits.schedules;
}

function add(event) {
  state.schedules.push(state.schedules.at(-1));
  layCards();
  cards.at(-1).text.focus();
  changed(event);
}

function remove(i) {
  if (state.schedules.length === 1) return;
  state.schedules.splice(i, 1);
  layCards();
  cards[Math.min(i, cards.length - 1)].text.focus();
  changed();
}

// --- asking -----------------------------------------------------------------------------------------------------------

function changed(event) {
  waiting = event?.timeStamp ?? performance.now();
  if (flight === null) send();
  else if (flight.refining || performance.now() - flight.sent > STALE_MS) {
    flight.control.abort();
    send();
  }
}

/** What is asked of the server. `preview`: an answer from some of the subjects will do for now. */
function question(preview) {
  const asked = { schedules: state.schedules, have: [...curves.keys()], preview };
  for (const key of SHARED) asked[key] = state[key];
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(asked) };
}

/** Ask. `since`: time of the change whose preview is drawn and is to be refined; null for what has changed meanwhile. */
async function send(since = null) {
  const refining = since !== null;
  if (!refining) since = waiting;
  waiting = null;
  const mine = { control: new AbortController(), sent: performance.now(), refining };
  flight = mine;
  remember();
  const slow = setTimeout(() => { if (flight === mine && !refining) $("status").textContent = "Computing …"; }, 300);
  try {
    const response = await fetch("api/compare", { ...question(!refining), signal: mine.control.signal });
    const told = await response.json();
    if (flight !== mine) return;
    if (response.ok) take(told, { since, sent: mine.sent, answered: performance.now() });
    else refuse(told);
  } catch (error) {
    if (error.name === "AbortError" || flight !== mine) return;
    fail("The server does not answer. Is pkpd explore still running?");
  } finally {
    clearTimeout(slow);
    if (flight === mine) {
      flight = null;
      if (waiting !== null) send();
    }
  }
}

/** The link follows the state, at most a few times a second: browsers stop a page that does it more often. */
let remembering = 0;
function remember() {
  clearTimeout(remembering);
  remembering = setTimeout(() => history.replaceState(null, "", toHash(state)), 150);
}

function take(told, { since, sent, answered }) {
  const preview = told.subjects < told.of;
  for (const arm of told.arms) {
    arm.curves ??= curves.get(arm.key);
    if (!preview || curves.delete(arm.key)) curves.set(arm.key, arm.curves); // as the youngest
    arm.points = new Set(arm.points);
  }
  while (curves.size > KEPT) curves.delete(curves.keys().next().value);
  answer = told;
  shared.lasting(told.days);
  cards.forEach((card, i) => { if (told.arms[i] && state.schedules[i] === card.text.value) card.accept(told.arms[i]); });
  shared.fail("", "");
  $("failure").hidden = true;
  document.body.classList.remove("outdated");
  render();
  $("status").textContent = preview
    ? `From ${told.subjects} of ${told.of} virtual subjects over ${told.days} days; refining …`
    : `${told.subjects} virtual subjects over ${told.days} days; computed in ${Math.round(1000 * told.seconds)} ms.`;
  mark("refining …");
  for (const [done] of settled.splice(0)) done();
  afterFrame(() => {
    const end = performance.now(); // the frame with the answer is painted
    const detail = { waited: sent - since, asked: answered - sent, computed: 1000 * told.seconds, drawn: end - answered, subjects: told.subjects };
    performance.measure(preview ? "preview" : "answer", { start: since, end, detail });
    const counted = preview ? "previews" : "answers";
    document.body.dataset[counted] = Number(document.body.dataset[counted] ?? 0) + 1;
    if (preview && answer === told && flight === null && waiting === null) send(since);
  });
}

/** Once what was drawn is seen; a page in the background has no frames. */
function afterFrame(action) {
  if (document.hidden) setTimeout(action);
  else requestAnimationFrame(() => setTimeout(action));
}

/** A preview is marked as one wherever the page is scrolled to; the status line says it to those who listen. */
function mark(how) {
  const preview = answer !== null && answer.subjects < answer.of;
  $("preview").hidden = !preview;
  if (preview) $("preview").textContent = `Preview from ${answer.subjects} of ${answer.of} people, ${how}`;
}

/** Wait until what is shown is from all subjects: what leaves the page is never a preview. */
async function whole() {
  while (answer.subjects < answer.of) {
    const next = new Promise((done, failed) => { settled.push([done, failed]); });
    if (flight === null && document.body.classList.contains("outdated")) send(performance.now()); // what failed before
    await next;
  }
}

/** Paper does not wait: what is printed is computed now, the page standing still meanwhile. */
function printed() {
  if (answer === null || answer.subjects === answer.of) return;
  const sent = performance.now();
  flight?.control.abort();
  flight = waiting = null;
  const { method, headers, body } = question(false);
  const request = new XMLHttpRequest();
  request.open(method, "api/compare", false);
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  try {
    request.send(body);
    const told = JSON.parse(request.responseText);
    if (request.status === 200) take(told, { since: sent, sent, answered: performance.now() });
    else refuse(told);
  } catch {
    fail("The server does not answer. Is pkpd explore still running?");
  }
}

/** Something asked for is wrong: the sentence stands at its field, and the charts stay as they were. */
function refuse(told) {
  cards.forEach((card, i) => card.fail(told.field === "schedules" && told.index === i ? told.error : ""));
  const atField = told.field === "schedules" && told.index !== null && told.index !== undefined;
  shared.fail(SHARED.includes(told.field) ? told.field : "", SHARED.includes(told.field) ? told.error : "");
  if (atField || SHARED.includes(told.field)) {
    $("failure").hidden = true;
    document.body.classList.add("outdated");
    $("status").textContent = "Not computed: what is wrong stands at its field. The charts show what was asked before.";
    given(told.error);
  } else fail(told.error);
}

function fail(sentence) {
  $("failure").textContent = sentence;
  $("failure").hidden = false;
  document.body.classList.add("outdated");
  $("status").textContent = "";
  given(sentence);
}

/** There is no answer, and why: nobody waits for one any more. */
function given(sentence) {
  mark("not refined");
  for (const [, failed] of settled.splice(0)) failed(new Error(sentence));
}

// --- showing ----------------------------------------------------------------------------------------------------------

function view() {
  return { arms: answer.arms, points: facts.points, show: state.points, days: answer.days, log: state.log, logged: facts.outputs.filter((output) => output.log).map((output) => output.name), theme: dark.matches ? DARK : LIGHT };
}

function render() {
  remember();
  if (!answer) return;
  const seen = view();
  const { groups, outputs } = shownNow();
  for (const part of $("on-request").querySelectorAll("section")) part.hidden = !answer.show.includes(part.dataset.group);
  for (const chart of charts) if (outputs.includes(chart.facts)) chart.draw(seen);
  legend(seen);
  warnings();
  const restsOn = Object.fromEntries(groups.map(({ group, rests_on }) => [group, rests_on]));
  endpointTable($("endpoints"), answer.endpoints.filter((endpoint) => endpoint.main || state.every), answer.arms, restsOn);
  $("reading").replaceChildren(...answer.reading.map((sentence) => element("li", {}, sentence)));
  published();
  $("command").textContent = answer.command;
}

/** The list of published numbers, once somebody looks at it. */
function published() {
  if (!$("published").open || !answer) return;
  pointTable($("points"), shownNow().points, Object.fromEntries(facts.outputs.map((output) => [output.name, output.title])), answer.arms);
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
  $("legend").replaceChildren(element("div", { class: "schedules" }, ...lines), element("div", { class: "notes" }, ...notes));
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
  const box = $("warnings");
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
  if (from.near === null && said) speaking = setTimeout(() => { $("spoken").textContent = said; }, 150);
}

/** What the groups on request rest on that are shown. */
function restingOn() {
  return shownNow().groups.flatMap(({ title, rests_on }) => rests_on.map((sentence) => `${title}: ${sentence}`));
}

/** What stands above exported numbers. */
function above() {
  return [`${facts.title}. A model, not medical advice.`, ...restingOn(), answer.command, ...answer.reading, ...warned().map(([sentence, of]) => `${of.map((i) => LETTERS[i]).join(", ")}: ${sentence}`)];
}

// --- exporting --------------------------------------------------------------------------------------------------------

function wireExports() {
  const act = (id, action) => $(id).addEventListener("click", async () => {
    const button = $(id);
    const words = button.dataset.words ?? (button.dataset.words = button.textContent);
    try {
      if (!answer) throw new Error("there is nothing to export yet");
      await whole();
      button.textContent = (await action()) ?? words;
      $("spoken").textContent = button.textContent;
    } catch (error) {
      fail(`This did not work: ${error.message}`);
    }
    setTimeout(() => { button.textContent = words; }, 1500);
  });
  act("copy-link", async () => {
    history.replaceState(null, "", toHash(state));
    await copy(location.href);
    return "Link copied";
  });
  act("copy-command", async () => {
    await copy(answer.command);
    return "Command copied";
  });
  act("export-curves", () => download("pkpd_curves.csv", curvesCsv(view(), shownNow().outputs, above()), "text/csv"));
  act("export-table", () => download("pkpd_endpoints.csv", tableCsv(answer.endpoints, answer.arms, above()), "text/csv"));
  act("export-png", async () => {
    const beyond = answer.arms.map((arm, i) => (arm.warnings.length ? LETTERS[i] : "")).filter(Boolean);
    const foot = [
      ...restingOn(),
      `A model, not medical advice. ${facts.title}; ${answer.subjects} virtual subjects; line: median, band: 5 to 95 %; points: published, hollow ones unverified, triangles at least or at most.`,
      ...(beyond.length ? [`${beyond.join(", ")}: in part beyond the doses, cycles and times that the fit has seen; the page and pkpd compare say where.`] : []),
    ];
    download("pkpd_charts.png", await chartsPng(view(), shownNow().outputs, foot), "image/png");
  });
}

begin();
