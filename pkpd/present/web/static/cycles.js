// One cycle of doses, enlarged: where a course rises and falls with every dose, a whole treatment is a block of one colour.

import { badge, LETTERS } from "./charts.js";
import { Chart } from "./plots.js";
import { element } from "./state.js";

const IN_A_RUN = 7; // doses: a longer row of them is looked at piece by piece
const PAUSE = 2.5; // times the usual distance between doses is a pause, after which a cycle begins
const PEAKS_OF_EACH = 1.5; // more rises than so many to a cycle cannot be told apart

/** The cycles of a schedule: [{from, to, first, last}], first and last the numbers of their doses; what follows the last dose is a pause or two doses long. */
export function cyclesOf(doses, days) {
  const gaps = doses.slice(1).map((day, i) => day - doses[i]);
  const usual = [...gaps].sort((a, b) => a - b)[gaps.length >> 1] ?? 1;
  const cycles = [];
  doses.forEach((day, i) => {
    const now = cycles.at(-1);
    if (!now || gaps[i - 1] > PAUSE * usual || i - now.first >= IN_A_RUN) cycles.push({ from: day, first: i, last: i });
    else now.last = i;
  });
  cycles.forEach((cycle, k) => {
    const end = doses[cycle.last] + 2 * usual;
    cycle.to = Math.min(days, k + 1 < cycles.length ? Math.min(end, cycles[k + 1].from) : end);
  });
  return cycles.filter(({ from, to }) => to > from);
}

/** Whether a curve rises more often than there are cycles: from under a quarter of its largest median to over half of it. */
export function crowded({ median }, cycles) {
  const largest = Math.max(...median);
  let [rises, low] = [0, true];
  for (const value of median) {
    if (value < largest / 4) low = true;
    else if (low && value > largest / 2) [rises, low] = [rises + 1, false];
  }
  return cycles.length > 0 && rises > PEAKS_OF_EACH * cycles.length;
}

/** The chart of one cycle of one schedule, with a stepper. `chosen(which)`: {cycle, of}, of a letter. */
export class CycleChart extends Chart {
  constructor(facts, hooks, chosen) {
    const step = (words, by) => {
      const button = element("button", { type: "button", class: "quiet", "aria-label": words }, by < 0 ? "‹" : "›");
      button.addEventListener("click", () => chosen({ cycle: this.cycle + by, of: LETTERS[this.arm] }));
      return button;
    };
    const [earlier, later] = [step("Earlier cycle", -1), step("Later cycle", 1)];
    const said = element("span", { class: "which" });
    const of = element("select", { "aria-label": "Schedule whose cycles are enlarged" });
    of.addEventListener("input", () => chosen({ cycle: 1, of: of.value }));
    super({ ...facts, title: `${facts.title}, one cycle`, remark: "" }, hooks, element("div", { class: "stepper" }, earlier, said, later, of));
    Object.assign(this, { earlier, later, said, of });
    this.root.removeAttribute("data-output");
    this.root.dataset.cycleOf = facts.name;
  }

  /** Take a choice, as far as there is such a cycle: the days to show. */
  choose({ cycle, of }, arms, days) {
    const cycles = arms.map(({ doses }) => cyclesOf(doses, days));
    const wanted = LETTERS.indexOf(of);
    this.arm = cycles[wanted]?.length ? wanted : cycles.findIndex((each) => each.length);
    const all = cycles[this.arm];
    this.cycle = Math.min(all.length, Math.max(1, Math.round(cycle)));
    const { from, to, first, last } = all[this.cycle - 1];
    this.earlier.disabled = this.cycle === 1;
    this.later.disabled = this.cycle === all.length;
    const which = all.length > 1 ? `${this.cycle} of ${all.length}, ` : "";
    this.said.replaceChildren(badge(this.arm), ` cycle ${which}doses ${first + 1} to ${last + 1}`);
    this.of.replaceChildren(...cycles.flatMap((each, i) => (each.length ? [element("option", { value: LETTERS[i], selected: i === this.arm }, LETTERS[i])] : [])));
    this.of.hidden = this.of.childElementCount < 2;
    return { from, to };
  }
}
