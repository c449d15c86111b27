// The page: what all views share on the left, and the open view, which asks and draws.

import { Asking } from "./asking.js";
import { DARK, LETTERS, LIGHT } from "./charts.js";
import { atField, Card, common } from "./controls.js";
import { copy, exporting } from "./exports.js";
import { COPIED, laySaving } from "./saving.js";
import { fromHash, SHARED, toHash } from "./state.js";
import { Tabs } from "./tabs.js";
import { VIEWS } from "./views/index.js";

const $ = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
const seen = new Map(); // view -> {answer, key}: what it shows, and what that was asked for
let facts;
let state;
let cards = [];
let shared;
let tabs;
let open; // the view
let printing = false; // paper is light

const asking = new Asking({ question, take, rest: () => open.rest?.(), refuse, fail, idle, busy: () => { $("status").textContent = "Computing …"; } });
const page = {
  get facts() { return facts; },
  get state() { return state; },
  own: (view) => state.own[view.name],
  changed,
  redraw,
  whole: () => asking.whole(() => document.body.classList.contains("outdated")),
  say: (sentence) => { $("spoken").textContent = sentence; },
  fail,
  theme: () => (dark.matches && !printing ? DARK : LIGHT),
};

async function begin() {
  try {
    facts = await (await fetch("api/start")).json();
  } catch {
    return fail("The server does not answer. Is pkpd explore still running?");
  }
  $("about").textContent = `${facts.fitted ? `Fit: ${facts.title}` : `Model: ${facts.title}. Nobody has fitted it`}. A model, not medical advice.`;
  for (const part of document.querySelectorAll("[data-fitted]")) part.hidden = part.dataset.fitted !== String(facts.fitted);
  shared = common($("common"), facts, (key, value, event) => { state[key] = value; changed(event); });
  tabs = new Tabs($("tabs"), $("views"), VIEWS, (view) => { state.view = view.name; turn(view); });
  $("add").addEventListener("click", (event) => add(event));
  exporting($("copy-link"), page, async () => {
    history.replaceState(null, "", toHash(state, VIEWS));
    await copy(location.href);
    return COPIED;
  });
  exporting($("copy-command"), page, async () => {
    await copy($("command").textContent);
    return "Command copied";
  });
  laySaving($("copy-link").parentElement, page);
  addEventListener("beforeprint", () => { printing = true; asking.now(); redraw(); });
  addEventListener("afterprint", () => { printing = false; redraw(); });
  dark.addEventListener("change", redraw);
  addEventListener("hashchange", restore);
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

/** Take the state from the link; without one from the file that the page was opened with. */
function restore() {
  state = fromHash(location.hash || `#${new URLSearchParams(facts.page)}`, facts.start, facts.on_request.map(({ group }) => group), VIEWS);
  shared.set(state);
  layCards();
  seen.clear(); // the fields of views are other ones
  turn(VIEWS.find(({ name }) => name === state.view));
}

/** Open a view: with what it showed, if that still is what is asked for. */
function turn(view) {
  const panel = tabs.panels.get(view);
  open = view;
  tabs.open(view);
  if (!panel.childElementCount) view.build(panel, page);
  const before = seen.get(view);
  asking.turn(before?.answer ?? null);
  for (const link of document.querySelectorAll(".jump a")) link.hidden = !document.querySelector(link.getAttribute("href"))?.getClientRects().length;
  if (before?.key === key()) return redrawn();
  $("command-section").hidden = true;
  mark("");
  changed();
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
  remember();
  asking.changed(event);
}

/** What the open view asks; a sentence where it has nothing to ask. */
function question(preview) {
  const own = open.question ? open.question(page, preview) : state.own[open.name];
  if (typeof own === "string") return own;
  return { path: `api/${open.asks ?? open.name}`, body: { ...Object.fromEntries(SHARED.map((name) => [name, state[name]])), ...own } };
}

/** What an answer hangs on. */
function key() {
  return JSON.stringify([SHARED.map((name) => state[name]), state.own[open.name]]);
}

/** The link follows the state, at most a few times a second: browsers stop a page that does it more often. */
let remembering = 0;
function remember() {
  clearTimeout(remembering);
  remembering = setTimeout(() => history.replaceState(null, "", toHash(state, VIEWS)), 150);
}

function take(told) {
  seen.set(open, { answer: told, key: asking.preview || asking.waiting !== null ? null : key() });
  shared.lasting(told.days);
  cards.forEach((card, i) => { if (told.schedules[i] && state.schedules[i] === card.text.value) card.accept(told.schedules[i]); });
  redrawn();
}

/** Something that only the picture depends on has changed. */
function redraw() {
  remember();
  if (asking.last === null) return;
  if (seen.get(open).key !== null) seen.get(open).key = key();
  open.show(asking.last, page);
}

/** Show the answer of the open view, where nothing is wrong. */
function redrawn() {
  const { last, preview } = asking;
  shared.fail("", "");
  atField(tabs.panels.get(open), "", "");
  $("failure").hidden = true;
  document.body.classList.remove("outdated");
  redraw();
  $("command-section").hidden = !last.command;
  $("command").textContent = last.command ?? "";
  $("status").textContent = preview
    ? `From ${last.subjects} of ${last.of} virtual subjects over ${last.days} days; refining …`
    : `${last.subjects} ${last.people ?? "virtual subjects"} over ${last.over_days ?? last.days} days; computed in ${Math.round(1000 * last.seconds)} ms.`;
  mark("refining …");
}

/** A preview is marked as one wherever the page is scrolled to; the status line says it to those who listen. */
function mark(how) {
  const { last, preview } = asking;
  $("preview").hidden = !preview;
  if (preview) $("preview").textContent = `Preview from ${last.subjects} of ${last.of} people, ${how}`;
}

/** Something asked for is wrong: the sentence stands at its field, and what is shown stays as it was. */
function refuse({ error, field, index }) {
  const ofSchedule = field === "schedules" && index !== null && index !== undefined;
  cards.forEach((card, i) => card.fail(ofSchedule && index === i ? error : ""));
  shared.fail(SHARED.includes(field) ? field : "", SHARED.includes(field) ? error : "");
  const ofView = atField(tabs.panels.get(open), field, error);
  if (!ofSchedule && !SHARED.includes(field) && !ofView) return fail(error);
  $("failure").hidden = true;
  document.body.classList.add("outdated");
  $("status").textContent = "Not computed: what is wrong stands at its field. What is shown was asked before.";
  mark("not refined");
}

function fail(sentence) {
  $("failure").textContent = sentence;
  $("failure").hidden = false;
  document.body.classList.add("outdated");
  $("status").textContent = "";
  mark("not refined");
}

/** There is nothing to ask yet. */
function idle(sentence) {
  document.body.classList.add("outdated");
  $("failure").hidden = true;
  $("status").textContent = sentence;
}

begin();
