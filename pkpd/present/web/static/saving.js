// The menu behind "Save": the state of the page as a file that pkpd explore opens again, and what pkpd compare writes of the same comparison.

import { copy, download, exporting } from "./exports.js";
import { element, SHARED, toHash } from "./state.js";
import { VIEWS } from "./views/index.js";

const OF_ALL_VIEWS = ["s", "bsa", "n", "days", "responders", "show"]; // in the link: what the server checks by itself
const HERE = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

/** What is said of a link that was copied. */
export const COPIED = HERE ? "Copied, for this machine" : "Link copied";

const ABOUT_LINKS = HERE
  ? "A copied link works on this machine only, while pkpd explore runs. For another person, save the state:"
  : "A copied link works for whoever can reach this address, while pkpd explore runs there. To keep what is shown, save the state:";

/** Lay the menu beside the other buttons. */
export function laySaving(place, page) {
  const { files, open } = page.facts.saving;
  const command = element("code", { tabindex: "0" }, open);
  const copying = element("button", { type: "button", class: "quiet" }, "Copy command");
  exporting(copying, page, async () => {
    await copy(open);
    return "Command copied";
  });
  const wrong = element("p", { role: "alert", class: "error", hidden: true });
  const menu = element(
    "details", { class: "menu" },
    element("summary", {}, "Save"),
    element(
      "div", { class: "sheet" },
      element("ul", {}, ...files.map((file) => entry(file, page, wrong))),
      wrong,
      element("p", {}, ABOUT_LINKS),
      element("div", { class: "command" }, command, copying),
    ),
  );
  const close = (event) => {
    if (!menu.open || (event.type === "pointerdown" ? menu.contains(event.target) : event.key !== "Escape")) return;
    if (event.type === "keydown" && menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    menu.open = false;
  };
  addEventListener("keydown", close);
  addEventListener("pointerdown", close);
  place.append(menu);
}

/** A file that can be saved: while it is made, its button gives it up. One whose package is missing says how to get it. `wrong`: where to say what is wrong. */
function entry({ format, words, missing }, page, wrong) {
  const button = element("button", { type: "button", "data-format": format, disabled: Boolean(missing) }, words);
  if (missing) {
    const how = element("span", { id: `missing-${format}` }, "needs ", element("code", {}, missing));
    button.setAttribute("aria-describedby", how.id);
    return element("li", {}, button, how);
  }
  let making = null;
  button.addEventListener("click", async () => {
    if (making) return making.abort();
    making = new AbortController();
    button.textContent = `${words} … give up`;
    wrong.hidden = true;
    page.say(`Saving: ${words}`);
    try {
      const [name, content] = await saved(format, page, making.signal);
      download(name, content);
      page.say(`Saved as ${name}`);
    } catch (error) {
      if (error.name === "AbortError") page.say("Given up");
      else {
        wrong.textContent = `This did not work: ${error.message}`;
        wrong.hidden = false;
      }
    } finally {
      making = null;
      button.textContent = words;
    }
  });
  return element("li", {}, button);
}

/** The name and the content of a file. */
async function saved(format, page, signal) {
  const own = new URLSearchParams(toHash(page.state, VIEWS).slice(1));
  for (const name of OF_ALL_VIEWS) own.delete(name);
  const asked = { ...Object.fromEntries(SHARED.map((name) => [name, page.state[name]])), format, page: Object.fromEntries(own) };
  const response = await fetch("api/save", {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(asked), signal,
  });
  if (!response.ok) throw new Error((await response.json()).error);
  return [/filename="([^"]+)"/.exec(response.headers.get("content-disposition"))[1], await response.blob()];
}
