// Tabs and their panels, by the keyboard as people know them: arrows, Home and End move, Tab goes on into the panel.

import { element } from "./state.js";

export class Tabs {
  /** In an element with role tablist, and one for the panels; `chosen(view)` is called for a tab that somebody chooses. */
  constructor(list, panels, views, chosen) {
    this.views = views;
    this.panels = new Map();
    this.tabs = new Map();
    for (const view of views) {
      const tab = element("button", { type: "button", role: "tab", id: `tab-${view.name}`, "aria-controls": `view-${view.name}`, "aria-selected": "false", tabindex: "-1" }, view.title);
      const panel = element("div", { role: "tabpanel", id: `view-${view.name}`, "aria-labelledby": tab.id, hidden: true });
      tab.addEventListener("click", () => chosen(view));
      tab.addEventListener("keydown", (event) => this.#key(event, view, chosen));
      this.tabs.set(view, tab);
      this.panels.set(view, panel);
    }
    list.append(...this.tabs.values());
    panels.append(...this.panels.values());
  }

  #key(event, view, chosen) {
    const now = this.views.indexOf(view);
    const last = this.views.length - 1;
    const to = { ArrowRight: now === last ? 0 : now + 1, ArrowLeft: now === 0 ? last : now - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    chosen(this.views[to]);
    this.tabs.get(this.views[to]).focus();
  }

  /** Show the panel of a view. */
  open(view) {
    for (const one of this.views) {
      this.tabs.get(one).setAttribute("aria-selected", String(one === view));
      this.tabs.get(one).setAttribute("tabindex", one === view ? "0" : "-1");
      this.panels.get(one).hidden = one !== view;
    }
  }
}
