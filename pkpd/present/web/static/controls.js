// The left side of the page: a card for each schedule, and what all schedules share.

import { cycleText, element, takenText, unitText } from "./state.js";

const steps = (...ranges) => ranges.flatMap(([from, to, step]) => Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => +(from + i * step).toFixed(4)));

const DAYS = steps([1, 28, 1]);
const INTERVALS = steps([1, 42, 1], [49, 84, 7]);
const CYCLES = steps([1, 26, 1]);
const TYPING_MS = 200; // a pause in typing, after which a text is sent

let names = 0;

/** A slider over `values` with a number field beside it; `changed(value, event)` is called by either. `unit`: a text or an element. */
function slider(label, values, unit, changed, limits = {}) {
  const id = `field-${++names}`;
  const range = element("input", { type: "range", id: `${id}-range`, min: 0, max: values.length - 1, step: 1, "aria-label": `${label}, slider` });
  const number = element("input", { type: "number", id, min: limits.min ?? values[0], max: limits.max, step: "any", inputmode: "decimal" });
  const error = element("p", { class: "error", id: `${id}-error`, hidden: true });
  const name = element("div", { class: "name" }, element("label", { for: id }, label), typeof unit === "string" ? element("span", { class: "unit" }, unit) : unit);
  const root = element("div", { class: "slider" }, name, range, number, error);
  let value = values[0];
  const say = () => range.setAttribute("aria-valuetext", `${value}${typeof unit === "string" && unit ? ` ${unit}` : ""}`);
  const place = () => {
    let best = 0;
    values.forEach((v, i) => { if (Math.abs(v - value) < Math.abs(values[best] - value)) best = i; });
    range.value = best;
  };
  range.addEventListener("input", (event) => {
    value = values[range.valueAsNumber];
    number.value = value;
    say();
    changed(value, event);
  });
  number.addEventListener("input", (event) => {
    if (number.value.trim() === "" || !Number.isFinite(number.valueAsNumber)) return;
    value = number.valueAsNumber;
    place();
    say();
    changed(value, event);
  });
  number.addEventListener("blur", () => { number.value = value; });
  return {
    root,
    get value() { return value; },
    set(given) { value = given; number.value = given; place(); say(); },
    disable(whether) { range.disabled = number.disabled = whether; root.classList.toggle("off", whether); },
    mark(sentence) { markField(number, error, sentence); },
  };
}

/** Act on what is typed into a field after a pause, and at once when the field is left; returns what forgets it. */
export function typed(field, act, pause = TYPING_MS) {
  let waiting = 0;
  const forget = () => { clearTimeout(waiting); waiting = 0; };
  const now = (event) => { if (waiting) { forget(); act(event); } };
  field.addEventListener("input", (event) => { clearTimeout(waiting); waiting = setTimeout(now, pause, event); });
  field.addEventListener("change", now);
  return forget;
}

/** Show or clear a sentence at a field. */
function markField(field, error, sentence) {
  error.hidden = !sentence;
  error.textContent = sentence ?? "";
  if (sentence) {
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", error.id);
  } else {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
}

/** A list to choose from: [[value, text], ...]. */
export function select(id, options) {
  return element("select", { id }, ...options.map(([value, text]) => element("option", { value }, text)));
}

/** A list, or another field, with its label beside it. */
export function choice(label, field) {
  return element("div", { class: "choice" }, element("label", { for: field.id }, label), field);
}

/** A box to tick, with its label behind it. */
export function check(label, box) {
  return element("div", { class: "check" }, box, element("label", { for: box.id }, label));
}

/** Show a sentence at the element of a view's panel whose data-field this is, and clear those at others; whether there is one. */
export function atField(panel, name, sentence) {
  let found = false;
  for (const place of panel.querySelectorAll("[data-field]")) {
    const here = sentence !== "" && place.dataset.field === name;
    found ||= here;
    const field = place.querySelector("input, select, textarea");
    let error = place.querySelector(".error");
    if (error === null) place.append(error = element("p", { class: "error", role: "alert", id: `${field.id}-error`, hidden: true }));
    markField(field, error, here ? sentence : "");
  }
  return found;
}

/** Fields of doses that are missed, late or doubled, folded away while all are taken as planned. `changed(event)` when one is. */
class Taking {
  constructor(letter, changed) {
    const field = (name, label, hint, unit = "") => {
      const id = `taking-${letter}-${name}`;
      const input = element("input", { type: "text", id, placeholder: hint, autocomplete: "off", inputmode: unit ? "decimal" : "text", maxlength: 400 });
      this.forgets.push(typed(input, (event) => { this.#say(); changed(event); }));
      this.fields[name] = input;
      return element("div", { class: "taking" }, element("label", { for: id }, label), input, element("span", { class: "unit" }, unit));
    };
    this.fields = {};
    this.forgets = []; // of what is being typed
    this.summary = element("summary");
    this.beyond = element("p", { class: "hint", hidden: true }, "The text says more than these fields can.");
    this.root = element(
      "details", { class: "as-taken" }, this.summary,
      field("miss", "Missed days", "none"), field("double", "Doubled days", "none"), field("delay", "Late days", "none"), field("by", "Late by", "6", "h"),
      field("adherence", "Doses taken", "100", "%"), field("jitter", "Times vary by", "0", "h"),
      element("p", { class: "hint" }, "Days count from 0, as in 29, 33-35. Doses are left out by chance, each by itself; what times vary by is their standard deviation."), this.beyond,
    );
    this.set(NOTHING_SAID);
  }

  /** As the server read a text; null: more than the fields can say. */
  set(taking) {
    for (const forget of this.forgets) forget();
    this.beyond.hidden = taking !== null;
    for (const [name, input] of Object.entries(this.fields)) {
      input.disabled = taking === null;
      input.value = (taking ?? NOTHING_SAID)[name];
    }
    if (this.any) this.root.open = true;
    this.#say();
  }

  /** The fields say all again: the text is about to be theirs. */
  free() {
    if (!this.beyond.hidden) this.set(NOTHING_SAID);
  }

  get any() { return Object.values(this.fields).some(({ value }) => value.trim()); }

  /** A schedule as it is taken. */
  of(schedule) {
    return takenText(schedule, Object.fromEntries(Object.entries(this.fields).map(([name, { value }]) => [name, value.trim()])));
  }

  #say() {
    const kinds = [["miss", "missed"], ["double", "doubled"], ["delay", "late"], ["adherence", "some left out"], ["jitter", "at varying hours"]];
    const said = kinds.filter(([name]) => this.fields[name].value.trim()).map(([, words]) => words);
    this.summary.textContent = `Missed, late or doubled doses: ${this.beyond.hidden ? said.join(", ") || "none" : "see the text"}`;
  }
}

const NOTHING_SAID = { miss: "", double: "", delay: "", by: "", adherence: "", jitter: "" };

/** A card: sliders and the text, in step where the text is a cycle of daily doses. `changed(text, event)`; `removed()`; facts: the server's. */
export class Card {
  constructor(letter, text, changed, removed, { doses, units }) {
    this.letter = letter;
    this.units = units;
    this.changed = changed;
    this.fresh = true; // whether the sliders wait for the server to read the text
    const id = `schedule-${letter}`;
    this.text = element("textarea", { id, rows: 1, spellcheck: "false", autocapitalize: "off", maxlength: 4000, "aria-describedby": `${id}-error` });
    this.text.value = text;
    this.error = element("pre", { class: "error", id: `${id}-error`, role: "alert", hidden: true });
    this.loose = element("p", { class: "hint", hidden: true }, "More than the sliders can say: moving one replaces it.");
    this.unit = element("select", { "aria-label": `Unit of the dose of schedule ${letter}` }, ...units.map((unit) => element("option", { value: unit }, unitText(unit))));
    const slid = (value, event) => this.#slid(event);
    this.dose = slider("Dose", doses, this.unit, slid, { min: 0 });
    // one slider may move another; what is typed may not, being half written: of "14" the "1" comes first
    const moved = (event) => event.target.type === "range";
    this.days = slider("Days on", DAYS, "", (value, event) => {
      if (moved(event) && value > this.interval.value) this.interval.set(value);
      this.#slid(event);
    });
    this.interval = slider("Cycle every", INTERVALS, "d", (value, event) => {
      if (moved(event) && value < this.days.value) this.days.set(value);
      this.#slid(event);
    });
    this.cycles = slider("Cycles", CYCLES, "", slid);
    for (const [field, usual] of [[this.dose, doses.includes(1) ? 1 : doses[doses.length >> 1]], [this.days, 5], [this.interval, 28], [this.cycles, 3]]) field.set(usual);
    this.unit.addEventListener("input", (event) => this.#slid(event));
    this.taking = new Taking(letter, (event) => this.#taken(event));
    this.text.addEventListener("input", () => { this.fresh = true; });
    this.forget = typed(this.text, (event) => changed(this.text.value, event));
    const remove = element("button", { type: "button", class: "quiet remove", "aria-label": `Remove schedule ${letter}` }, "Remove");
    remove.addEventListener("click", removed);
    this.root = element(
      "fieldset", { class: `card of-${letter}` },
      element("legend", {}, element("span", { class: `badge of-${letter}` }, letter), ` Schedule ${letter}`),
      remove, this.dose.root, this.days.root, this.interval.root, this.cycles.root,
      this.taking.root, element("label", { for: id }, "As text"), this.text, this.error, this.loose,
    );
    this.route = "sc";
  }

  #slid(event) {
    this.forget();
    this.interval.disable(this.cycles.value === 1);
    this.taking.free();
    this.text.value = this.taking.of(cycleText({
      dose: this.dose.value, unit: this.unit.value, route: this.route, days: this.days.value, interval: this.interval.value, cycles: this.cycles.value,
    }));
    this.fresh = false;
    this.#fits(true);
    this.changed(this.text.value, event);
  }

  /** Fields of doses as they are taken: what is planned stays as it is. */
  #taken(event) {
    this.forget();
    this.text.value = this.taking.of(this.text.value.split(";", 1)[0].trim());
    this.changed(this.text.value, event);
  }

  #fits(whether) {
    this.loose.hidden = whether;
    this.root.classList.toggle("loose", !whether);
  }

  /** The server has read the text: sliders follow it if it was typed or came with the link. */
  accept(told) {
    this.fail("");
    if (!this.fresh) return;
    this.fresh = false;
    this.taking.set(told.taking);
    const cycle = told.cycle && this.units.includes(told.cycle.unit) ? told.cycle : null;
    this.#fits(cycle !== null);
    if (cycle === null) return;
    this.route = cycle.route;
    this.dose.set(cycle.dose);
    this.unit.value = cycle.unit;
    this.days.set(cycle.days);
    if (cycle.interval !== null) this.interval.set(cycle.interval);
    this.cycles.set(cycle.cycles);
    this.interval.disable(cycle.cycles === 1);
  }

  /** Show the server's sentence at the text, or clear it. */
  fail(sentence) {
    markField(this.text, this.error, sentence.replace(/^<schedule>:1:(\d+): /, "at character $1: "));
  }
}

/** What all schedules share. `changed(key, value, event)`; returns `set(state)`, `lasting(days)` for a horizon that was not asked for, `fail(field, sentence)`. */
export function common(fieldset, facts, changed) {
  const { limits } = facts;
  const lowest = `low: lowest third${facts.responders ? ` of ${facts.responders}` : ""}`;
  const field = (key, label, values, unit, bounds) => slider(label, values, unit, (value, event) => {
    if (key === "days") auto.checked = false;
    changed(key, value, event);
  }, bounds);
  const fields = {
    ...(limits.bsa && { bsa: field("bsa", "Body surface", steps([1.2, 2.6, 0.05]), "m²", { min: limits.bsa[0], max: limits.bsa[1] }) }),
    days: field("days", "Horizon", steps([7, 364, 7], [392, limits.days, 28]), "d", { min: 1, max: limits.days }),
    subjects: field("subjects", "Subjects", steps([50, 500, 50], [600, limits.subjects, 100]), "", { min: 10, max: limits.subjects }),
  };
  const auto = element("input", { type: "checkbox", id: "auto" });
  auto.addEventListener("input", (event) => changed("days", auto.checked ? null : fields.days.value, event));
  const responders = select("responders", [["all", "all"], ["low", lowest], ["moderate", "moderate: middle third"], ["high", "high: highest third"]]);
  responders.addEventListener("input", (event) => changed("responders", responders.value, event));
  const failure = element("p", { class: "error", id: "common-error", role: "alert", hidden: true });
  fieldset.append(
    ...(limits.bsa ? [fields.bsa.root] : []), choice("Responders", responders), fields.subjects.root, fields.days.root,
    element("div", { class: "check" }, auto, element("label", { for: "auto" }, "Horizon 28 days beyond the longest treatment")), failure,
  );
  return {
    set(state) {
      for (const key of Object.keys(fields)) if (state[key] !== null) fields[key].set(state[key]);
      auto.checked = state.days === null;
      responders.value = state.responders;
    },
    lasting(days) {
      if (auto.checked) fields.days.set(days);
    },
    fail(name, sentence) {
      for (const key of Object.keys(fields)) fields[key].mark(key === name ? sentence : "");
      markField(responders, failure, name in fields ? "" : sentence);
    },
  };
}
