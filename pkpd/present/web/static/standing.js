// What stands behind a number: its light in the table, and on request why, and the published numbers that the fit has of it.

import { badge } from "./charts.js";
import { element, shown, unitText } from "./state.js";

/** The light of an endpoint of an arm and its number, which opens what is behind it. Without a light, the number alone. */
export function lit(facts, arm, i, name, words) {
  const standing = arm.standings.find(({ endpoints }) => endpoints.includes(name));
  const light = standing && facts.lights.find((one) => one.name === standing.light);
  if (!light) return [words];
  const button = element(
    "button", { type: "button", class: "number", "aria-haspopup": "dialog", title: [light.meaning, ...standing.why].join(". ") },
    element("span", { class: `light ${light.name}`, role: "img", "aria-label": light.name }, light.sign), words,
  );
  button.addEventListener("click", () => show(facts, standing, light, i, name, words));
  return [button];
}

/** A table, or parts of a page with tables, in place of what a box has: numbers with what is behind them keep the focus. */
export function replaceTable(box, ...made) {
  const last = focused(box);
  box.replaceChildren(...made);
  rove(box, last);
}

const STEPS = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };

/** The numbers of a table are one stop of the Tab key; arrow keys move among them. `last`: that had the focus before, [row, column]. */
export function rove(table, last) {
  const rows = [...table.querySelectorAll("tr")].map((row) => [...row.querySelectorAll("button.number")]).filter((row) => row.length);
  if (!rows.length) return;
  const within = (value, size) => Math.max(0, Math.min(value, size - 1));
  const at = (i, j) => { const row = rows[within(i, rows.length)]; return row[within(j, row.length)]; };
  rows.forEach((row, i) => row.forEach((button, j) => {
    button.tabIndex = -1;
    button.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (!step) return;
      event.preventDefault();
      at(i + step[0], j + step[1]).focus();
    });
    button.addEventListener("focus", () => {
      for (const other of table.querySelectorAll("button.number")) other.tabIndex = other === button ? 0 : -1;
    });
  }));
  at(...(last ?? [0, 0])).tabIndex = 0;
  if (last) at(...last).focus({ preventScroll: true });
}

/** Where the focus is among the numbers of a table, [row, column]; null if elsewhere. */
export function focused(table) {
  const button = document.activeElement;
  if (!table.contains(button) || !button.matches("button.number")) return null;
  const rows = [...table.querySelectorAll("tr")].filter((row) => row.querySelector("button.number"));
  const row = button.closest("tr");
  return [rows.indexOf(row), [...row.querySelectorAll("button.number")].indexOf(button)];
}

/** What the lights mean, in a line. */
export function meanings(facts, arms) {
  const seen = new Set(arms.flatMap(({ standings }) => standings.map(({ light }) => light)));
  return facts.lights.filter(({ name }) => seen.has(name)).flatMap(({ name, sign, meaning }, k) => [
    k ? "; " : "", element("span", { class: `light ${name}`, "aria-hidden": "true" }, sign), ` ${meaning}`,
  ]);
}

function show(facts, standing, light, i, name, words) {
  const close = element("button", { type: "button", class: "close" }, "Close");
  const rows = unique(standing.outputs.flatMap((output) => facts.behind[output] ?? []));
  const dialog = element(
    "dialog", { class: "standing", "aria-labelledby": "standing-title" },
    element("header", {}, element("h2", { id: "standing-title" }, badge(i), ` ${name}: ${words}`), close),
    element("p", {}, element("span", { class: `light ${light.name}`, "aria-hidden": "true" }, light.sign), ` ${light.meaning[0].toUpperCase()}${light.meaning.slice(1)}.`),
    ...(standing.why.length ? [element("ul", {}, ...standing.why.map((reason) => element("li", {}, `${reason}.`)))] : []),
    ...(rows.length ? [element("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Published numbers behind it" }, sources(rows))] : []),
    element("p", { class: "hint" }, "A model, not medical advice. Unverified numbers have not been checked against their paper."),
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

const unique = (rows) => [...new Map(rows.map((row) => [row.row, row])).values()];

function sources(rows) {
  const columns = ["Study", "Schedule", "Number", "Reported", "Held out", "Source"];
  const lines = rows.map((row) => element(
    "tr", row.unverified ? { class: "unverified" } : {},
    element("th", { scope: "row" }, row.study, element("span", { class: "interval" }, row.row)),
    element("td", { class: "left" }, row.schedule), element("td", { class: "left" }, row.what),
    element("td", {}, within(row.value, row.low, row.high), ` ${unitText(row.unit)}`.trimEnd()),
    element("td", { class: "left" }, row.held_out ? outcome(row) : ""), element("td", { class: "left source" }, ...source(row)),
  ));
  return element("table", {}, element("thead", {}, element("tr", {}, ...columns.map((word) => element("th", { scope: "col" }, word)))), element("tbody", {}, ...lines));
}

const within = (value, low, high) => (low === null || high === null || low === high ? shown(value) : `${shown(value)} (${shown(low)} to ${shown(high)})`);

function outcome({ predicted, predicted_low: low, predicted_high: high, foreseen }) {
  const said = { true: "came as predicted", false: "did not come as predicted", null: "not judged" }[foreseen];
  return `predicted ${within(predicted, low, high)}: ${said}`;
}

function source({ source: words, doi, unverified }) {
  const [first] = doi.split(";").map((part) => part.trim());
  const link = /^10\.\d{4,9}\/\S+$/.test(first) ? [" ", element("a", { href: `https://doi.org/${first}`, target: "_blank", rel: "noopener noreferrer" }, first)] : [];
  return [...(unverified ? [element("strong", {}, "unverified"), "; "] : []), words, ...link];
}
