// What the page shows, as one plain object; the link holds all of it, behind the "#", so that it never leaves the browser unasked.
//
//   schedules   texts in the schedule language
//   bsa, responders, subjects, days   what all schedules share, as the server takes them; days null: as long as the schedules need
//   show        groups of endpoints and charts that were asked for
//   view        the name of the view that is open;  own: by view's name, its own fields, in the link as NAME.FIELD

export const SHARED = ["schedules", "bsa", "responders", "subjects", "days", "show"]; // what every view asks with
const NUMBERS = { bsa: "bsa", subjects: "n", days: "days" };

const LATE_H = 6; // where nobody says by how much

/** The state of a link; what it does not say is as in `start`. The server judges the values. `groups`: that are shown on request. */
export function fromHash(hash, start, groups, views) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const state = { ...start, schedules: [...start.schedules], view: views[0].name };
  if (given.has("s")) state.schedules = given.getAll("s");
  for (const [key, short] of Object.entries(NUMBERS)) {
    const value = parseFloat(given.get(short));
    if (Number.isFinite(value)) state[key] = value;
    else if (given.get(short) === "auto") state[key] = null;
  }
  if (given.has("responders")) state.responders = given.get("responders");
  state.show = given.has("s") || given.has("show") ? groups.filter((group) => given.getAll("show").includes(group)) : [...start.show];
  if (views.some(({ name }) => name === given.get("view"))) state.view = given.get("view");
  state.own = Object.fromEntries(views.map(({ name, start: own = {} }) => [
    name, Object.fromEntries(Object.entries(own).map(([key, usual]) => [key, read(given.get(`${name}.${key}`), usual)])),
  ]));
  return state;
}

/** A field of a view as the link has it, of the kind of its usual value. */
function read(text, usual) {
  if (text === null) return usual;
  if (typeof usual === "boolean") return text === "true";
  if (typeof usual === "number") return Number.isFinite(parseFloat(text)) ? parseFloat(text) : usual;
  return text;
}

/** The link's part behind "#" for a state. */
export function toHash(state, views) {
  const said = new URLSearchParams();
  for (const text of state.schedules) said.append("s", text);
  for (const [key, short] of Object.entries(NUMBERS)) said.set(short, String(state[key] ?? "auto"));
  said.set("responders", state.responders);
  for (const group of state.show) said.append("show", group);
  if (state.view !== views[0].name) said.set("view", state.view);
  for (const { name, start: own = {} } of views) {
    for (const [key, usual] of Object.entries(own)) if (state.own[name][key] !== usual) said.set(`${name}.${key}`, String(state.own[name][key]));
  }
  return `#${said}`;
}

/** What sliders say, in the schedule language. */
export function cycleText({ dose, unit, route, days, interval, cycles }) {
  const given = `${plain(dose)} ${unit} ${route}`;
  if (cycles === 1) return days === 1 ? `${given} once` : `${given} daily x${days}`;
  return days === 1 ? `${given} every ${interval} d x${cycles}` : `${given} daily x${days} every ${interval} d x${cycles}`;
}

/** What becomes of the doses of a schedule, behind its text: {miss, double, delay} days as "29, 33-35", `by` and `jitter` hours, `adherence` %; texts, "" as planned. */
export function takenText(schedule, { miss, double, delay, by, adherence, jitter }) {
  const clauses = [
    miss && `miss days ${miss}`, double && `double days ${double}`, delay && `delay days ${delay} by ${by || LATE_H} h`,
    adherence && adherence !== "100" && `adherence ${adherence} %`, jitter && jitter !== "0" && `jitter ${jitter} h`,
  ];
  return [schedule, ...clauses.filter(Boolean)].join("; ");
}

function plain(number) {
  const text = String(number);
  return text.includes("e") ? number.toFixed(12).replace(/\.?0+$/, "") : text;
}

const NOTHING = 1e-9; // what is left of a difference of equal numbers

/** Three digits for reading, with the typographic minus; "inf" is what lies beyond the horizon. */
export function shown(value) {
  if (value === "inf" || value === "-inf") return value === "inf" ? "beyond" : "\u2212beyond";
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  let text;
  if (size < NOTHING) text = "0";
  else if (size >= 1e5 || size < 1e-3) text = value.toExponential(1).replace("e+", "e");
  else if (size >= 100) text = Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
  else text = value.toPrecision(3);
  return text.replace("-", "\u2212");
}

/** What the page is of, as it stands below pictures and above numbers. */
export const called = ({ title, fitted }) => (fitted ? title : `${title}, a model that nobody has fitted`);

/** Names of units as they are printed. */
export function unitText(unit) {
  return { percent: "%", "1": "", "1/uL": "cells/µL", d: "days" }[unit] ?? unit.replace("percent", "%").replace("*", "·").replace("uL", "µL").replace("m2", "m²");
}

/** An element with attributes, and children that are elements or texts: nothing is ever read as markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
