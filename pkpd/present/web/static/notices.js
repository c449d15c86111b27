// What a reader needs to know before relying on what is shown, by topic, the most important first.

import { badge } from "./charts.js";
import { element } from "./state.js";

/** The box, folded where there is little room. */
export function noticeBox(id) {
  const open = matchMedia("(min-width: 861px)").matches;
  return element("details", { id, class: "notices", hidden: true, open }, element("summary"), element("ul", { tabindex: "0", "aria-label": "Remarks" }));
}

/** Fill it. notices: [{topic, sentence, arms}], arms: numbers of the schedules that a sentence is about, where there are several. */
export function tellNotices(box, notices) {
  const topics = new Map();
  for (const { topic, sentence, arms = [] } of notices) topics.set(topic, [...(topics.get(topic) ?? []), [sentence, arms]]);
  box.hidden = !notices.length;
  const heads = [...topics].map(([topic, lines]) => `${topic} (${lines.length})`).join(", ");
  box.querySelector("summary").textContent = `Before you rely on it: ${heads}`;
  box.querySelector("ul").replaceChildren(...[...topics].map(([topic, lines]) => element(
    "li", {}, element("strong", {}, `${topic[0].toUpperCase()}${topic.slice(1)}`),
    element("ul", {}, ...lines.map(([sentence, of]) => element("li", {}, ...of.map(badge), ` ${sentence}`))),
  )));
}
