// Measured values of one person as rows of fields: a day, an output, a value. As a text they are "0 NAME 5; 7 NAME 8".

import { typed } from "./controls.js";
import { element, unitText } from "./state.js";

const TYPED_MS = 600; // after the last letter
let names = 0;

export class Measured {
  /** outputs: that can be measured, [{name, title, unit}]; most: rows; changed(text, event). */
  constructor(outputs, most, changed) {
    Object.assign(this, { outputs, most, changed });
    this.rows = []; // {root, day, output, value}
    this.list = element("div", { class: "values" });
    this.add = element("button", { type: "button" }, "Add a value");
    this.add.addEventListener("click", () => { this.#append("", this.rows.at(-1)?.output.value ?? "", "").day.focus(); });
    const heads = ["Day", "Output", "Value", ""].map((word) => element("span", {}, word));
    this.foot = element("div", { class: "foot" }, this.add);
    this.root = element(
      "fieldset", { class: "measured" }, element("legend", {}, "Measured values"),
      element("div", { class: "values" }, element("div", { class: "value heads", "aria-hidden": "true" }, ...heads), this.list), this.foot,
      element("p", { class: "hint" }, "Days count from the first day of what was given; a value on the day of a dose was measured before it. A row counts once it has a day and a value."),
    );
  }

  /** The rows of a text; one that is empty where there is none. */
  set(text) {
    this.asked = text;
    for (const { root } of this.rows.splice(0)) root.remove();
    for (const line of text.split(";").map((part) => part.trim()).filter(Boolean)) {
      const [day, output = "", ...value] = line.split(/\s+/);
      this.#append(day, output, value.join(" "));
    }
    this.rows.forEach(({ root }, i) => named(root, i)); // as the server counts them
    if (!this.rows.length) this.#append("", "", "");
  }

  get complete() {
    return this.rows.filter(({ day, value }) => plain(day) && plain(value));
  }

  get text() {
    return this.complete.map(({ day, output, value }) => `${plain(day)} ${output.value} ${plain(value)}`).join("; ");
  }

  /** The table that pkpd individualise reads, as lines of fields. */
  get table() {
    const units = Object.fromEntries(this.outputs.map(({ name, unit }) => [name, unit]));
    const lines = this.complete.map(({ day, output, value }) => [plain(day), "d", output.value, plain(value), units[output.value]]);
    return [["time", "time_unit", "output", "value", "unit"], ...lines];
  }

  #append(day, output, value) {
    const k = ++names;
    const field = (part, words) => element("input", { type: "text", id: `measured-${part}-${k}`, inputmode: "decimal", maxlength: 40, autocomplete: "off", "aria-label": words });
    const row = { day: field("day", "Day of the value"), output: element("select", { id: `measured-output-${k}`, "aria-label": "Output that was measured" }), value: field("value", "Measured value") };
    const known = this.outputs.map(({ name, title, unit }) => [name, unitText(unit) ? `${title} (${unitText(unit)})` : title]);
    const options = output && !known.some(([name]) => name === output) ? [[output, output], ...known] : known; // what is wrong is shown as it is
    row.output.append(...options.map(([name, words]) => element("option", { value: name }, words)));
    [row.day.value, row.value.value, row.output.value] = [day, value, output || known[0][0]];
    const remove = element("button", { type: "button", class: "quiet", "aria-label": "Remove this value", title: "Remove this value" }, "\u00d7");
    row.root = element("div", { class: "value" }, ...["day", "output", "value"].map((part) => element("div", { "data-part": part }, row[part])), remove);
    const now = (event) => this.#now(event);
    typed(row.day, now, TYPED_MS);
    typed(row.value, now, TYPED_MS);
    row.output.addEventListener("input", now);
    remove.addEventListener("click", (event) => {
      const i = this.rows.indexOf(row);
      this.rows.splice(i, 1);
      row.root.remove();
      if (!this.rows.length) this.#append("", output, "");
      this.rows[Math.min(i, this.rows.length - 1)].day.focus();
      now(event);
    });
    this.rows.push(row);
    this.list.append(row.root);
    this.add.disabled = this.rows.length >= this.most;
    return row;
  }

  #now(event) {
    this.add.disabled = this.rows.length >= this.most;
    const { complete } = this;
    for (const row of this.rows) named(row.root, complete.indexOf(row));
    if (this.text === this.asked) return; // a row that is not complete yet
    this.asked = this.text;
    this.changed(this.text, event);
  }
}

/** Call the fields of a row as the server does, by its number; -1: it is not asked. */
function named(root, i) {
  for (const part of root.querySelectorAll("[data-part]")) {
    if (i < 0) delete part.dataset.field;
    else part.dataset.field = `measured.${i}.${part.dataset.part}`;
  }
}

/** What a field says, as a word of the text. */
const plain = ({ value }) => value.replaceAll(/\s+/g, "").replaceAll(";", ",");
