// The curves of a piece of time, as finely as they were computed: asked for once the whole course is drawn, while that is shown.

import { SHARED } from "./state.js";

export class Detail {
  /** `arrived()`: there are curves that were waited for. */
  constructor(arrived) {
    Object.assign(this, { arrived, key: "", curves: null, control: null, asked: Promise.resolve() });
  }

  /** The arms of an answer with the curves of a window, if they are there already; else as they are, and what is missing is asked for. */
  of(answer, outputs, from, to) {
    if (answer.subjects < answer.of) return answer.arms; // a preview: it is over soon
    const key = JSON.stringify([answer.arms.map((arm) => arm.key), outputs, from, to]);
    if (key !== this.key) {
      this.key = key;
      this.curves = null;
      this.control?.abort();
      this.control = new AbortController();
      this.asked = this.#ask(key, answer.asked, { from, to, outputs });
    }
    if (this.curves === null) return answer.arms;
    return answer.arms.map((arm, i) => ({ ...arm, curves: { ...arm.curves, ...withUnits(this.curves[i], arm.curves) } }));
  }

  async #ask(key, asked, own) {
    const shared = Object.fromEntries(SHARED.map((name) => [name, asked[name]]));
    const body = JSON.stringify({ ...shared, ...own });
    try {
      const response = await fetch("api/detail", { method: "POST", headers: { "content-type": "application/json" }, body, signal: this.control.signal });
      if (!response.ok) return;
      const { curves } = await response.json();
      if (this.key !== key) return;
      this.curves = curves;
      this.arrived();
    } catch {
      // given up, or nobody is there, which the next question of the page will say: the curves that there are stay
    }
  }
}

function withUnits(fine, whole) {
  return Object.fromEntries(Object.entries(fine).map(([name, curve]) => [name, { ...curve, unit: whole[name].unit }]));
}
