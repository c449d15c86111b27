// Why: what each term of a curve's differential equation added to it under one schedule, and what moves these terms.

import { choice, select } from "../controls.js";
import { Frame, scheduleOf } from "../framing.js";
import { noticeBox, tellNotices } from "../notices.js";
import { ends, keys, letters, look, plainTable, plot, refill, remarks, scroller } from "../picture.js";
import { lit, meanings, replaceTable } from "../standing.js";
import { element, shown, unitText } from "../state.js";

const parts = {};
let answer = null;
let page;
let frames = [];

export const view = {
  name: "why",
  title: "Why",
  start: { of: "A", output: "" },

  build(panel, given) {
    page = given;
    parts.of = select("why-of", []);
    parts.output = select("why-output", []);
    const field = (name, label) => {
      const root = choice(label, parts[name]);
      root.dataset.field = name;
      parts[name].addEventListener("input", (event) => { page.own(view)[name] = parts[name].value; page.changed(event); });
      return root;
    };
    parts.notices = noticeBox("why-notices");
    parts.accounts = element("div");
    parts.lights = element("p", { class: "hint" });
    parts.remarks = element("ul", { class: "hint", "aria-label": "How to read it" });
    panel.append(element("div", { class: "look" }, field("of", "Schedule"), field("output", "Output")), parts.notices, parts.accounts, parts.lights, parts.remarks);
  },

  show(told) {
    answer = told;
    letters(parts.of, page, page.own(view).of);
    refill(parts.output, told.outputs, told.output);
    frames = told.found.accounts.flatMap((account) => [courseOf(account), addedOf(account), ...factorsOf(account)]);
    frames.forEach((frame, k) => { frame.latest = () => frames[k] ?? frames[0]; });
    const theme = page.theme();
    let next = 0;
    replaceTable(parts.accounts, ...told.found.accounts.map((account, k) => {
      const of = frames.slice(next, next += factors(account).length ? 3 : 2);
      return element(
        "section", { "aria-label": named(account) }, element("h2", {}, named(account)),
        element("div", { class: "charts" }, ...of.map(({ root }) => root)),
        keys(ofParts(account, theme), theme), table(account, told.arms[k]),
      );
    }));
    tellNotices(parts.notices, told.notices);
    parts.lights.replaceChildren(...meanings(page.facts, told.arms));
    parts.remarks.replaceChildren(...remarks(told.found));
    for (const frame of frames) frame.again();
  },
};

const titled = (words, unit) => (unitText(unit) ? `${words} (${unitText(unit)})` : words);

const named = (account) => account.description || account.name;

/** The picture of an account. */
function frame(account, caption, draw, ofIt) {
  const treatment = (theme) => ({ colour: theme.other, band: 0.13, words: "the treatment" });
  return new Frame(page, { draw, caption, within: named(account), keys: (theme) => [...ofIt(theme), treatment(theme)], told: () => answer, lines: (told) => scheduleOf(told, parts.of.value) });
}

/** What the lines of its terms are. */
function ofParts(account, theme) {
  const lines = account.parts.map(({ label }, i) => ({ ...look(theme, i), words: label }));
  return [{ colour: theme.ink, words: "all of them: the difference that the doses make" }, ...lines];
}

const ofCourse = (theme) => [
  { colour: theme.lines[0], words: "with doses: the typical person" }, { colour: theme.lines[0], band: 0.14, words: "90 % of people" }, { colour: theme.soft, dash: "4 3", words: "without doses" },
];

function axes(lists, theme) {
  const { days } = answer.found;
  const [low, high] = ends(lists);
  return { x: { low: days[0], high: days.at(-1), text: "days" }, y: { low, high }, shaded: [days[0], answer.found.treated_days], theme };
}

function courseOf(account) {
  return frame(account, titled("With doses, and without (dashed)", account.unit), (picture, width, theme) => {
    const { days } = answer.found;
    const [typical, low, high] = account.course;
    const band = low[0] === null ? [] : [{ x: days, low, high, colour: theme.lines[0] }];
    plot(picture, {
      width, ...axes([account.course, account.rest], theme), bands: band,
      lines: [{ x: days, y: account.rest, colour: theme.soft, dash: "4 3", width: 1.4 }, { x: days, y: typical, colour: theme.lines[0] }],
      words: `${named(account)}: the typical person reaches ${shown(Math.max(...typical))}, and ${shown(account.rest[0])} without doses.`,
    });
  }, ofCourse);
}

function addedOf(account) {
  return frame(account, titled("What each term added since the beginning", account.unit), (picture, width, theme) => {
    const { days } = answer.found;
    const lines = account.parts.map(({ total }, i) => ({ x: days, y: total[0], ...look(theme, i) }));
    const bands = account.parts.flatMap(({ total }, i) => (total[1][0] === null ? [] : [{ x: days, low: total[1], high: total[2], colour: look(theme, i).colour, opacity: 0.09 }]));
    plot(picture, {
      width, ...axes([account.change[0], account.parts.map(({ total }) => total)], theme), level: 0, bands,
      lines: [...lines, { x: days, y: account.change[0], colour: theme.ink, width: 2.6 }],
      words: `What made the difference: ${account.parts.map(({ label, treated }) => `${label} ${shown(treated.typical)}`).join(", ")}, over the treatment. The table below has every value.`,
    });
  }, (theme) => ofParts(account, theme));
}

function factors(account) {
  const seen = new Map();
  for (const part of account.parts) if (part.factor !== null) seen.set(part.text, part);
  return [...seen.values()];
}

function factorsOf(account) {
  const moving = factors(account);
  if (!moving.length) return [];
  const entries = (theme) => moving.map(({ text, words }, i) => ({ ...look(theme, i), words: words === text ? text : `${text}: ${words}` }));
  const made = frame(account, "What moves them, of its value at rest", (picture, width, theme) => {
    plot(picture, {
      width, ...axes(moving.map(({ factor }) => factor), theme), level: 1,
      lines: moving.map(({ factor }, i) => ({ x: answer.found.days, y: factor, ...look(theme, i) })),
      words: moving.map(({ text, factor }) => `${text} goes from ${shown(Math.min(...factor))} to ${shown(Math.max(...factor))} times its value at rest`).join("; "),
    });
  }, entries);
  const theme = page.theme();
  made.root.append(keys(entries(theme), theme));
  return [made];
}

function table(account, arm) {
  const { days, treated_days: treated } = answer.found;
  const name = named(account);
  const largest = Math.max(...[account.change, ...account.parts.map(({ total }) => total)].flatMap(([typical]) => typical.map(Math.abs)));
  const told = (value, sign) => {
    const text = shown(Math.abs(value) < 1e-4 * largest ? 0 : value); // what rounding leaves of nothing is nought
    return sign && value > 0 && text !== "0" ? `+${text}` : text;
  };
  const cell = ({ typical, low, high }, shownAs = (words) => [words]) => element(
    "span", {}, ...shownAs(told(typical, true)), ...(low === null ? [] : [element("span", { class: "interval" }, `${told(low)} to ${told(high)}`)]),
  );
  const change = (words) => lit(page.facts, arm, "ABCD".indexOf(parts.of.value), name, words);
  const rows = account.parts.map((part) => [part.label, cell(part.treated), cell(part.after)]);
  const box = scroller(`What added to ${name}`);
  box.append(plainTable(
    ["What added to it", titled(`treatment, to day ${shown(treated)}`, account.unit), titled(`then, to day ${shown(days.at(-1))}`, account.unit)],
    [...rows, ["all of them: the change", cell(account.treated, change), cell(account.after, change)]], [rows.length],
  ));
  return box;
}
