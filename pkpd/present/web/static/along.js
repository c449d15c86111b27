// What a view varies of a schedule, and from where to where: two fields.

import { choice, select, typed } from "./controls.js";
import { refill } from "./picture.js";
import { element, shown } from "./state.js";

const TYPED_MS = 600; // after the last letter
const WORDS = { dose: "the dose", interval: "the interval of cycles", days: "the doses of a course", cycles: "the number of cycles" };

/** Whole numbers as such, others in three digits. */
export const valueText = (value) => (Number.isInteger(value) ? String(value) : shown(value));

export class Along {
  constructor(name, page, view) {
    this.along = select(`${name}-along`, []);
    this.range = element("input", { type: "text", id: `${name}-range`, maxlength: 200, spellcheck: "false", autocomplete: "off" });
    this.along.addEventListener("input", (event) => {
      forget();
      this.range.value = ""; // what was typed was of another one
      Object.assign(page.own(view), { along: this.along.value, range: "" });
      page.changed(event);
    });
    const forget = typed(this.range, (event) => { page.own(view).range = this.range.value.trim(); page.changed(event); }, TYPED_MS);
    const field = (key, label) => {
      const root = choice(label, this[key]);
      root.dataset.field = key;
      return root;
    };
    this.roots = [field("along", "Vary"), field("range", "From, to")];
  }

  /** What the server varied: {name, range, others}. */
  show({ name, range, others }) {
    refill(this.along, others.map((one) => [one, WORDS[one]]), name);
    if (document.activeElement !== this.range || !this.range.value) this.range.value = range;
  }
}
