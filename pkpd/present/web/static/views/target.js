// Which dose, interval, number of doses or of cycles: what meets a target, with the share of people who reach it.

import { choice, select, typed } from "../controls.js";
import { Along, valueText } from "../along.js";
import { Frame, scheduleOf } from "../framing.js";
import { noticeBox, tellNotices } from "../notices.js";
import { keys, letters, plainTable, plot, remarks, scroller } from "../picture.js";
import { lit, meanings, replaceTable } from "../standing.js";
import { element, shown } from "../state.js";

const TYPED_MS = 600; // after the last letter
const parts = {};
let answer = null;
let page;

export const view = {
  name: "target",
  title: "Which dose",
  start: { of: "A", along: "dose", range: "", wish: "" },

  build(panel, given) {
    page = given;
    parts.of = select("target-of", []);
    parts.wish = element("textarea", { id: "target-wish", rows: 1, maxlength: 300, spellcheck: "false" });
    const field = (name, label) => {
      const root = choice(label, parts[name]);
      root.dataset.field = name;
      return root;
    };
    parts.along = new Along("target", page, view);
    const take = (name, event) => { page.own(view)[name] = parts[name].value; page.changed(event); };
    parts.of.addEventListener("input", (event) => take("of", event));
    typed(parts.wish, (event) => take("wish", event), TYPED_MS);
    parts.answer = element("p", { class: "answer", role: "status" });
    parts.chosen = element("p", { class: "hint" });
    parts.notices = noticeBox("target-notices");
    parts.figure = new Frame(page, { draw, keys: entries, told: () => answer, lines: (told) => scheduleOf(told, parts.of.value) });
    parts.keys = element("div");
    parts.table = scroller("The share of people who reach the target, over what is varied");
    parts.lights = element("p", { class: "hint" });
    parts.remarks = element("ul", { class: "hint", "aria-label": "How to read it" });
    panel.append(
      element("div", { class: "look wide" }, field("of", "Schedule"), ...parts.along.roots, field("wish", "Target")),
      element("p", { class: "hint" }, "A target is an endpoint and a bound, as one says it: \u201cCmax under 20 in 90 % of people\u201d, \u201ctrough at least 3\u201d, \u201cAUC \u2265 100\u201d."),
      parts.answer, parts.chosen, parts.notices, parts.keys, element("div", { class: "charts" }, parts.figure.root), parts.table, parts.lights, parts.remarks,
    );
  },

  show(told) {
    answer = told;
    const { found } = told;
    letters(parts.of, page, page.own(view).of);
    parts.along.show(told.along);
    if (document.activeElement !== parts.wish) parts.wish.value = told.wish;
    parts.answer.textContent = found.answer;
    parts.chosen.textContent = found.value === null ? "" : `In the schedule language: ${found.chosen}`;
    const [curve] = found.wishes;
    tellNotices(parts.notices, told.notices);
    parts.figure.caption = `Share of people (%): ${curve.wish}`;
    const theme = page.theme();
    parts.keys.replaceChildren(keys(entries(theme), theme));
    const number = (i, words) => lit(page.facts, told.arms[i], "ABCD".indexOf(parts.of.value), curve.endpoint.name, words);
    const percent = (share) => (share === null ? "–" : String(Math.round(100 * share)));
    replaceTable(parts.table, plainTable(
      [told.axis, "share of people, %", ...(byParameters() ? ["90 % by the parameters"] : []), `median of ${curve.endpoint.name}`],
      found.x.map((dose, i) => [
        valueText(dose), number(i, percent(curve.share[i])), ...(byParameters() ? [curve.low[i] === null ? "–" : `${percent(curve.low[i])} to ${percent(curve.high[i])}`] : []), curve.median[i] === null ? "–" : number(i, shown(curve.median[i])),
      ]),
    ));
    parts.lights.replaceChildren(...meanings(page.facts, told.arms));
    parts.remarks.replaceChildren(...remarks(found));
    parts.figure.again();
  },
};

/** Whether there is an interval by what is not known of the parameters. */
const byParameters = () => answer.found.wishes[0].low[0] !== null;

/** What the parts of the picture are. */
const entries = (theme) => [
  { colour: theme.lines[0], words: "share of people in whom it holds" },
  ...(byParameters() ? [{ colour: theme.lines[0], band: 0.3, words: "90 % by the parameters" }] : []),
  { colour: theme.soft, dash: "2 3", words: "the answer" },
];

function draw(picture, width, theme) {
  if (!answer) return;
  const { found, axis, along } = answer;
  const [curve] = found.wishes;
  const log = along.name === "dose" && found.x[0] > 0 && found.x.at(-1) > 4 * found.x[0];
  const share = (values) => values.map((value) => (value === null ? null : 100 * value));
  const band = !byParameters() ? [] : [{ x: found.x, low: share(curve.low), high: share(curve.high), colour: theme.lines[0], opacity: 0.2 }];
  const inside = typeof found.value === "number" && found.value >= found.x[0] && found.value <= found.x.at(-1);
  plot(picture, {
    width, theme, x: { low: found.x[0] * (log ? 0.95 : 1), high: found.x.at(-1) * (log ? 1.05 : 1), log, text: axis }, y: { low: 0, high: 100 },
    bands: band, lines: [{ x: found.x, y: share(curve.share), colour: theme.lines[0], dots: true }],
    level: curve.asked_share === null ? null : 100 * curve.asked_share, upright: inside ? found.value : null,
    words: `${found.answer} The table below has the share of people at every value.`,
  });
}
