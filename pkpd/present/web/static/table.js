// The endpoint table, and the list of published numbers.

import { badge, LETTERS } from "./charts.js";
import { focused, lit, rove } from "./standing.js";
import { element, shown, unitText } from "./state.js";

const ALIKE = 0.9; // of the subjects: with so many the same, the difference does not matter
const interval = (low, high) => element("span", { class: "interval" }, `${shown(low)} to ${shown(high)}`);

/** Endpoints by schedule: the median and 90 % interval over subjects, and for all but the first the difference to it. `restsOn`: by group, what is said above its rows. */
export function endpointTable(table, endpoints, arms, restsOn, facts) {
  const others = arms.map((arm, i) => i).slice(1);
  const head = element("tr", {}, element("th", { scope: "col" }, "Endpoint"));
  arms.forEach((arm, i) => head.append(element("th", { scope: "col" }, badge(i), element("span", { class: "of" }, arm.text))));
  for (const i of others) {
    head.append(element("th", { scope: "col" }, `${LETTERS[i]} − A`));
    head.append(element("th", { scope: "col" }, `P(${LETTERS[i]} better)`));
  }
  const bodies = [];
  let group = null;
  for (const endpoint of endpoints) {
    if (endpoint.group !== group) {
      group = endpoint.group;
      const colspan = 1 + arms.length + 2 * others.length;
      bodies.push(element("tbody", {}, element("tr", { class: "group" }, element("th", { scope: "rowgroup", colspan }, group))));
      if (restsOn[group]) bodies.at(-1).append(element("tr", {}, element("td", { colspan, class: "rests-on" }, element("p", {}, restsOn[group].join(" ")))));
    }
    bodies.at(-1).append(endpointRow(endpoint, others, arms, facts));
  }
  // which details are open survives a redraw
  const open = new Set([...table.querySelectorAll("details[open]")].map((details) => details.dataset.name));
  const last = focused(table);
  table.replaceChildren(element("thead", {}, head), ...bodies);
  rove(table, last);
  for (const details of table.querySelectorAll("details")) details.open = open.has(details.dataset.name);
}

function endpointRow(endpoint, others, arms, facts) {
  const wanted = { 1: "More is better.", [-1]: "Less is better.", 0: "" }[endpoint.better];
  const arrow = wanted ? [element("span", { class: "arrow", role: "img", "aria-label": wanted, title: wanted }, endpoint.better > 0 ? "\u2191" : "\u2193")] : [];
  const absent = endpoint.arms.flatMap((of, i) => [
    ...(of.missing ? [`${LETTERS[i]}: ${of.missing} without a value`] : []), ...(of.beyond ? [`${LETTERS[i]}: ${of.beyond} beyond the horizon`] : []),
  ]);
  const sure = endpoint.arms.flatMap((of, i) => (of.parameters && of.parameters.low !== of.parameters.high ? [`${LETTERS[i]} ${shown(of.parameters.low)} to ${shown(of.parameters.high)}`] : []));
  const middle = sure.length ? `median by the parameters (90 %): ${sure.join("; ")}` : "";
  const said = [endpoint.definition, wanted, endpoint.relevant && others.length ? `the same is less apart than ${endpoint.relevant}` : "", middle, endpoint.missing, absent.join("; "), endpoint.remark].filter(Boolean).map(sentence).join(" ");
  const name = element(
    "details", { "data-name": endpoint.name }, element("summary", {}, endpoint.name, ...arrow, element("span", { class: "unit" }, unitText(endpoint.unit)), endpoint.remark || absent.length ? "*" : ""),
    element("p", {}, said),
  );
  const row = element("tr", {}, element("th", { scope: "row" }, name));
  endpoint.arms.forEach((value, i) => {
    const [median, ...rest] = cell(value);
    row.append(element("td", {}, ...lit(facts, arms[i], i, endpoint.name, median), ...rest));
  });
  for (const i of others) {
    const { difference, probability, same, worse } = endpoint.arms[i];
    row.append(element("td", { class: "first" }, ...cell(difference)));
    const alike = same >= ALIKE;
    const share = element("td", { class: "probability" }, probability === null ? "–" : alike ? "the same" : `${Math.round(100 * probability)} %`);
    if (alike && probability !== null) {
      share.append(element("span", { class: "interval" }, `in ${Math.round(100 * same)} %`));
    } else if (probability !== null) {
      share.append(element("meter", { min: 0, max: 1, value: probability, "aria-hidden": "true" }));
      share.append(element("span", { class: "interval" }, `same ${Math.round(100 * same)} %, worse ${Math.round(100 * worse)} %`));
    }
    row.append(share);
  }
  return row;
}

/** Median and interval; where all subjects have the same number, it alone. */
function cell(value) {
  const { median, low, high } = value ?? {};
  return low === high ? [shown(median)] : [shown(median), interval(low, high)];
}

const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;

/** The published numbers with their sources, as the fit has them. */
export function pointTable(table, points, titles, arms) {
  const columns = ["Study and arm", "Schedule", "What", "Day", "Number", "n", "Provenance", "Source"];
  const rows = points.map((point) => {
    const belongs = arms.flatMap((arm, i) => (arm.points.has(point.row) ? [badge(i)] : []));
    const measure = { value: "", change: "change", percent_change: "change in %", fold: "fold" }[point.measure];
    const range = point.low !== null && point.high !== null ? ` (${shown(point.low)} to ${shown(point.high)})` : "";
    const when = point.to > point.from ? `${+point.from.toFixed(2)} to ${+point.to.toFixed(2)}` : `${+point.from.toFixed(2)}`;
    const what = [titles[point.output], [measure, point.statistic].filter(Boolean).join(", ")].filter(Boolean).join(": ");
    return element(
      "tr", point.provenance === "unverified" ? { class: "unverified" } : {},
      element("th", { scope: "row" }, ...belongs, ` ${point.study}, ${point.arm}`), element("td", { class: "left" }, point.schedule), element("td", { class: "left" }, what),
      element("td", {}, when), element("td", {}, `${shown(point.value)}${range}`), element("td", {}, point.n ? String(point.n) : "–"),
      element("td", { class: "left" }, point.provenance), element("td", { class: "left source" }, [point.source, point.doi].filter((word) => word && word !== "-").join("; ")),
    );
  });
  table.replaceChildren(element("thead", {}, element("tr", {}, ...columns.map((word) => element("th", { scope: "col" }, word)))), element("tbody", {}, ...rows));
}
