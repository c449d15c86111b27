// Asking the server. One request is under way at a time; what changes meanwhile goes with the next. Where all subjects would take too long,
// the server answers with a preview from some of them, and is asked again for all once that is drawn.

const STALE_MS = 250; // a request that is older when something changes is given up
const SILENT = "The server does not answer. Is pkpd explore still running?";

export class Asking {
  /**
   * question(preview): {path, body} to post, or a sentence that says why there is nothing to ask; preview: an answer from some of the subjects will do.
   * take(told): draw an answer. rest(): what of a preview was left for later. refuse(told): something asked for is wrong. fail(sentence): nothing came. idle(sentence), busy(): what to say meanwhile.
   */
  constructor({ question, take, rest, refuse, fail, idle, busy }) {
    Object.assign(this, { question, take, rest, refuse, fail, idle, busy });
    this.flight = null; // {control, sent, refining}
    this.waiting = null; // time of the last change that no request has taken along
    this.last = null; // the answer that is shown
    this.settled = []; // who waits for the next one: [done, failed]
  }

  get preview() {
    return this.last !== null && this.last.subjects < this.last.of;
  }

  changed(event) {
    this.waiting = event?.timeStamp ?? performance.now();
    if (this.flight === null) this.#send();
    else if (this.flight.refining || performance.now() - this.flight.sent > STALE_MS) {
      this.flight.control.abort();
      this.#send();
    }
  }

  /** Give up what is under way, and go on from another answer: that of the view which is opened. */
  turn(answer) {
    this.flight?.control.abort();
    this.flight = this.waiting = null;
    this.last = answer;
    this.#given("another view was opened");
  }

  /** Ask. `since`: time of the change whose preview is drawn and is to be refined; null for what has changed meanwhile. */
  async #send(since = null) {
    const refining = since !== null;
    if (!refining) since = this.waiting;
    this.waiting = null;
    const asked = this.question(!refining);
    if (typeof asked === "string") {
      this.flight = null;
      this.#given(asked);
      return this.idle(asked);
    }
    const mine = { control: new AbortController(), sent: performance.now(), refining };
    this.flight = mine;
    const slow = setTimeout(() => { if (this.flight === mine && !refining) this.busy(); }, 300);
    try {
      const response = await fetch(asked.path, { ...posted(asked.body), signal: mine.control.signal });
      const told = await response.json();
      if (this.flight !== mine) return;
      if (response.ok) this.#arrived(told, asked.body, { since, sent: mine.sent, answered: performance.now() });
      else this.#refused(told);
    } catch (error) {
      if (error.name === "AbortError" || this.flight !== mine) return;
      this.#failed();
    } finally {
      clearTimeout(slow);
      if (this.flight === mine) {
        this.flight = null;
        if (this.waiting !== null) this.#send();
      }
    }
  }

  #arrived(told, asked, { since, sent, answered }) {
    this.last = told;
    told.asked = asked;
    this.take(told);
    for (const [done] of this.settled.splice(0)) done();
    const { preview } = this;
    afterFrame(() => {
      const end = performance.now(); // the frame with the answer is painted
      const detail = { waited: sent - since, asked: answered - sent, computed: 1000 * told.seconds, drawn: end - answered, subjects: told.subjects };
      performance.measure(preview ? "preview" : "answer", { start: since, end, detail });
      const counted = preview ? "previews" : "answers";
      document.body.dataset[counted] = Number(document.body.dataset[counted] ?? 0) + 1;
      if (!preview || this.last !== told) return;
      if (this.flight === null && this.waiting === null) this.#send(since);
      this.rest(); // while the server computes
    });
  }

  #refused(told) {
    this.refuse(told);
    this.#given(told.error);
  }

  #failed() {
    this.fail(SILENT);
    this.#given(SILENT);
  }

  /** There is no answer, and why: nobody waits for one any more. */
  #given(sentence) {
    for (const [, failed] of this.settled.splice(0)) failed(new Error(sentence));
  }

  /** Wait until what is shown is what was asked last, from all subjects: what leaves the page is never a preview. `outdated`: whether what is shown was not the last that was asked. */
  async whole(outdated) {
    if (this.last === null) throw new Error("there is nothing to export yet");
    while (this.preview || this.flight !== null) {
      const next = new Promise((done, failed) => { this.settled.push([done, failed]); });
      if (this.flight === null && outdated()) this.#send(performance.now()); // what failed before
      await next;
    }
  }

  /** Paper does not wait: what is printed is computed now, the page standing still meanwhile. */
  now() {
    if (!this.preview) return;
    const sent = performance.now();
    this.flight?.control.abort();
    this.flight = this.waiting = null;
    const { path, body } = this.question(false);
    const { method, headers, body: content } = posted(body);
    const request = new XMLHttpRequest();
    request.open(method, path, false);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    try {
      request.send(content);
      const told = JSON.parse(request.responseText);
      if (request.status === 200) this.#arrived(told, body, { since: sent, sent, answered: performance.now() });
      else this.#refused(told);
    } catch {
      this.#failed();
    }
  }
}

function posted(body) {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

/** Once what was drawn is seen; a page in the background has no frames. */
function afterFrame(action) {
  if (document.hidden) setTimeout(action);
  else requestAnimationFrame(() => setTimeout(action));
}
