// A chart of the page: redraws with its width, follows mouse, touch and keys, and is zoomed in time by dragging over it.

import { draw, LETTERS, pointText, svg, valueAt, viewOf } from "./charts.js";
import { element, shown, unitText } from "./state.js";
import { brushX, select } from "./vendor/d3.js";

const LEAST_PX = 6; // a shorter drag is a click

export class Chart {
  /**
   * facts: {name, title, remark, stepped}, stepped: a course that stays until it moves. The page's hooks: moved(day | null, chart) tells the other charts
   * where the cursor is, zoomed(from, to), without arguments the whole time; logged(chart, whether); saved(chart, "svg" | "png"). Without `zoomed` and
   * `logged` a chart has neither. `more`: elements between its title and its curves.
   */
  constructor(facts, hooks, ...more) {
    Object.assign(this, { facts, hooks });
    this.heading = element("figcaption");
    this.target = svg("svg", { tabindex: "0", role: "img", class: "chart", "aria-label": facts.title });
    this.cursor = svg("g", { "pointer-events": "none" });
    this.brushing = svg("g", { class: "brush" });
    this.readout = element("div", { class: "readout", hidden: true });
    this.remark = element("p", { class: "remark" });
    this.log = element("input", { type: "checkbox", "aria-label": `${facts.title} on a logarithmic axis` });
    this.logRow = element("label", { class: "log", hidden: !hooks.logged }, this.log, "log");
    const save = (kind) => {
      const button = element("button", { type: "button", class: "quiet", "aria-label": `${facts.title} as ${kind.toUpperCase()}`, title: `Save this chart as ${kind.toUpperCase()}` }, kind.toUpperCase());
      button.addEventListener("click", () => hooks.saved(this, kind));
      return button;
    };
    this.plot = element("div", { class: "plot" }, this.target, this.readout);
    this.root = element("figure", { "data-output": facts.name }, this.heading, element("div", { class: "tools" }, this.logRow, save("svg"), save("png")), ...more, this.plot, this.remark);
    this.log.addEventListener("input", () => hooks.logged(this, this.log.checked));
    // its width is told and kept: to ask for it after each drawing lays out the whole page anew
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width === this.width) return;
      this.width = contentRect.width;
      if (this.view) this.draw(this.view);
    }).observe(this.plot);
    const point = (event) => {
      if (!this.place) return;
      const box = this.target.getBoundingClientRect();
      this.near = [event.clientX - box.left, event.clientY - box.top];
      hooks.moved(this.place.day(this.near[0]), this);
    };
    this.target.addEventListener("pointermove", point);
    this.target.addEventListener("pointerdown", point);
    this.target.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hooks.moved(null, this); });
    this.target.addEventListener("blur", () => hooks.moved(null, this));
    this.target.addEventListener("keydown", (event) => this.#key(event));
    if (hooks.zoomed) {
      this.target.addEventListener("dblclick", () => hooks.zoomed());
      // a finger scrolls the page; the fields above the charts zoom as well
      this.brush = brushX().touchable(false).on("end", (event) => {
        if (!event.sourceEvent || !event.selection) return;
        const [from, to] = event.selection;
        select(this.brushing).call(this.brush.clear);
        if (to - from >= LEAST_PX) hooks.zoomed(this.place.day(from), this.place.day(to));
      });
    }
  }

  #key(event) {
    if (!this.view || event.ctrlKey || event.metaKey || event.altKey) return;
    const { from, to } = this.view;
    const wide = to - from;
    const step = (wide > 140 ? 1 : wide > 28 ? 0.5 : wide > 7 ? 0.25 : 1 / 24) * (event.shiftKey ? 10 : 1);
    const now = this.day ?? from;
    const day = { ArrowRight: this.day === undefined ? from : now + step, ArrowLeft: now - step, Home: from, End: to }[event.key];
    if (day !== undefined) {
      this.near = null;
      this.hooks.moved(Math.min(to, Math.max(from, day)), this);
    } else if (event.key === "Escape" && this.day !== undefined) this.hooks.moved(null, this);
    else if (event.key === "Escape" && this.hooks.zoomed) this.hooks.zoomed();
    else if ("+=-".includes(event.key) && this.hooks.zoomed) {
      const half = wide * (event.key === "-" ? 1 : 0.25);
      const middle = this.day ?? (from + to) / 2;
      this.hooks.zoomed(middle - half, middle + half);
    } else return;
    event.preventDefault();
  }

  /** What it shows of a view, without a size, for `draw`. */
  spec(view) {
    return { ...viewOf(view, this.facts.name), stepped: this.facts.stepped };
  }

  draw(view) {
    this.view = view;
    const { name, title, remark } = this.facts;
    const curves = view.arms.map((arm) => arm.curves[name]);
    const unit = unitText(curves[0].unit);
    this.heading.textContent = unit ? `${title} (${unit})` : title;
    this.log.checked = view.log.includes(name);
    this.logRow.hidden = !this.hooks.logged || curves.some(({ low }) => low.some((value) => value < 0));
    const width = Math.max(200, (this.width ??= this.plot.clientWidth) || 600);
    const height = width > 520 ? 250 : 210;
    this.target.setAttribute("height", height);
    this.place = draw(this.target, { ...this.spec(view), width, height });
    const days = view.from === 0 && view.to === view.days ? `over ${view.days} days` : `from day ${tenth(view.from)} to ${tenth(view.to)}`;
    const peaks = curves.map((curve, i) => `${LETTERS[i]} reaches ${certain(curve) ? largest(curve, view) : `${shown(largest(curve, view))} in the median`}`).join(", ");
    this.target.setAttribute("aria-label", `${this.heading.textContent} ${days}: ${peaks}. Arrow keys read values${this.hooks.zoomed ? ", plus and minus zoom" : ""}.`);
    const { beyond, left, right, top, bottom } = this.place;
    this.remark.textContent = [remark, beyond ? `${beyond} published point${beyond > 1 ? "s" : ""} beyond this axis.` : ""].filter(Boolean).join(" ");
    this.remark.hidden = !this.remark.textContent;
    if (this.brush) {
      const extent = [left, top, right, bottom].join();
      if (extent !== this.extent) select(this.brushing).call(this.brush.extent([[left, top], [right, bottom]]));
      this.extent = extent;
      this.target.append(this.brushing);
    }
    this.target.append(this.cursor);
    this.point(this.day ?? null, false);
  }

  /** Put the cursor at a day (null: nowhere); with `active`, show and return the values there. */
  point(day, active) {
    this.cursor.replaceChildren();
    this.readout.hidden = true;
    this.day = day === null ? undefined : day;
    if (day === null || !this.view || day < this.view.from || day > this.view.to) return "";
    const { x, y, top, bottom, left, right } = this.place;
    const { theme, arms } = this.view;
    const { name, stepped } = this.facts;
    this.cursor.append(svg("line", { x1: x(day), x2: x(day), y1: top, y2: bottom, stroke: theme.soft, "stroke-width": 1 }));
    const lines = arms.map((arm, i) => {
      const curve = arm.curves[name];
      const [low, median, high] = [curve.low, curve.median, curve.high].map((line) => valueAt(curve.days, line, day, stepped));
      if (median === null) return "";
      const height = y(Math.max(median, y.domain()[0]));
      this.cursor.append(svg("circle", { cx: x(day), cy: height, r: 3.5, fill: theme.lines[i], stroke: theme.ground, "stroke-width": 1.5 }));
      return `${LETTERS[i]}  ${certain(curve) ? median : `${shown(median)}  (${shown(low)} to ${shown(high)})`}`;
    });
    if (!active) return "";
    const when = this.view.to - this.view.from > 7 ? day.toFixed(1) : day.toFixed(2);
    const said = [`day ${when}`, ...lines, ...this.#close().map(pointText)].filter(Boolean);
    this.readout.replaceChildren(...said.map((line) => element("div", {}, line)));
    this.readout.hidden = false;
    const room = this.readout.offsetWidth + 12;
    this.readout.style.left = `${x(day) + room < right ? x(day) + 10 : Math.max(left - 40, x(day) - room)}px`;
    return said.join("; ");
  }

  /** Published points within reach of the pointer (or, by keyboard, of the cursor's day), those with a schedule's colour first. */
  #close() {
    const { x, y, dots } = this.place;
    const px = this.near ? this.near[0] : x(this.day);
    return dots.filter((dot) => {
      if (!dot.seen) return false;
      const [left, right] = [x(dot.from), x(dot.to)];
      const across = Math.max(0, left - px, px - right);
      return this.near ? Math.hypot(across, y(dot.value) - this.near[1]) < 12 : across < 4;
    }).reverse().slice(0, 4);
  }
}

const tenth = (day) => String(+day.toFixed(1));

/** Whether a curve is the same for everybody, as what is planned is. */
const certain = ({ low, high }) => low === high;

/** The largest median that is seen. */
function largest({ days, median }, { from, to }) {
  let found = -Infinity;
  days.forEach((day, i) => { if (day >= from && day <= to && median[i] > found) found = median[i]; });
  return found;
}
