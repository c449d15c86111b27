// What is in sight is drawn first: of a preview, which lasts a moment, the rest follows once that is seen.

export class Sight {
  constructor() {
    this.away = new Set(); // elements that are out of sight
    this.waiting = new Map(); // element -> what draws it
    this.later = false;
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) {
          this.away.delete(target);
          this.#draw(target);
        } else this.away.add(target);
      }
    });
  }

  watch(...elements) {
    for (const one of elements) this.observer.observe(one);
  }

  /** A new picture begins, and what is left of the one before is not drawn any more. `later`: what is out of sight may wait. */
  begin(later) {
    this.later = later;
    this.waiting.clear();
  }

  /** Draw an element, at once or with the rest. */
  draw(target, action) {
    this.waiting.set(target, action);
    if (!this.later || !this.away.has(target)) this.#draw(target);
  }

  /** Draw what has waited. */
  rest() {
    for (const target of [...this.waiting.keys()]) this.#draw(target);
  }

  #draw(target) {
    const action = this.waiting.get(target);
    this.waiting.delete(target);
    action?.();
  }
}
