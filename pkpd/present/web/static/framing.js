// A picture of a view in its frame: drawn again whenever its width changes, and saved alone on white paper, with the schedule that it is of, its
// keys, and what has to be known of it.

import { LETTERS, LIGHT, svg } from "./charts.js";
import { download, png, svgText, wrapped } from "./exports.js";
import { swatch } from "./picture.js";
import { called, element } from "./state.js";

const [WIDTH, EDGE, LINE] = [620, 24, 17];

/** The schedule that a view looks at, by its letter, and with "?" in the place of what is varied. */
export function scheduleOf({ schedules, found }, letter) {
  const { text } = schedules[LETTERS.indexOf(letter)];
  return [`${letter}: ${text}`, ...(found.schedule === text ? [] : [`looked at: ${found.schedule}`])];
}

export class Frame {
  /**
   * draw(picture, width, theme); keys(theme): entries as picture.js has them; told(): the answer of its view; lines(told): what it is of; who: of
   * whom there are so many; caption: above it; within: what comes before that where it stands alone, if captions of a view are alike.
   */
  constructor(page, { draw, keys, told, lines, who = "virtual people", caption = "", within = "" }) {
    Object.assign(this, { page, draw, keys, told, lines, who, within });
    this.heading = element("figcaption");
    this.picture = svg("svg", { role: "img", class: "chart still" });
    this.plot = element("div", { class: "plot" }, this.picture);
    this.buttons = ["svg", "png"].map((kind) => {
      const button = element("button", { type: "button", class: "quiet", title: `Save this chart as ${kind.toUpperCase()}` }, kind.toUpperCase());
      button.addEventListener("click", () => this.#save(kind));
      return button;
    });
    this.root = element("figure", {}, this.heading, element("div", { class: "tools" }, ...this.buttons), this.plot);
    this.caption = caption;
    this.latest = () => this; // of a view that makes its frames anew
    new ResizeObserver(() => this.again()).observe(this.plot);
  }

  set caption(words) {
    this.heading.textContent = words;
    this.title = this.within ? `${this.within}: ${words}` : words;
    for (const button of this.buttons) button.setAttribute("aria-label", `${this.title} as ${button.textContent}`);
  }

  again() {
    if (this.plot.clientWidth) this.draw(this.picture, Math.max(240, this.plot.clientWidth), this.page.theme());
  }

  async #save(kind) {
    try {
      await this.page.whole();
      const frame = this.latest();
      const picture = frame.#paper();
      const name = `pkpd_${frame.title.replaceAll(/[^\p{L}\p{N}-]+/gu, "_").replaceAll(/^_|_$/g, "").slice(0, 80)}.${kind}`;
      download(name, kind === "svg" ? svgText(picture) : await png(picture), kind === "svg" ? "image/svg+xml" : "image/png");
    } catch (error) {
      this.page.fail(`This did not work: ${error.message}`);
    }
  }

  #paper() {
    const told = this.told();
    const about = `A model, not medical advice. ${called(this.page.facts)}; ${told.subjects} ${this.who}.`;
    const size = WIDTH + 2 * EDGE;
    const made = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width: size });
    const ground = svg("rect", { width: size, fill: "#ffffff" });
    made.append(ground);
    let y = EDGE;
    const write = (words, more, x = EDGE) => {
      const look = { "font-size": 13, fill: LIGHT.ink, ...more };
      for (const line of wrapped(words, (size - x - EDGE) / (0.54 * look["font-size"]))) {
        made.append(svg("text", { x, y, "font-family": "system-ui, sans-serif", ...look }, line));
        y += LINE;
      }
    };
    write(this.title, { "font-weight": 600 });
    for (const line of this.lines(told)) write(line, { "font-size": 12 });
    const drawn = svg("svg", { x: EDGE, y: y - 6, width: WIDTH });
    this.draw(drawn, WIDTH, LIGHT);
    made.append(drawn);
    y += Number(drawn.getAttribute("height")) + 12;
    for (const entry of this.keys(LIGHT)) {
      made.append(svg("svg", { x: EDGE, y: y - 11, width: 30, height: 14 }, ...swatch(entry, LIGHT)));
      write(entry.words, { "font-size": 12, fill: LIGHT.soft }, EDGE + 38);
    }
    y += 6;
    for (const line of [about, ...told.notices.map(({ sentence }) => sentence)]) write(line, { "font-size": 11, fill: LIGHT.soft });
    for (const part of [made, ground]) part.setAttribute("height", y);
    made.setAttribute("viewBox", `0 0 ${size} ${y}`);
    return made;
  }
}
