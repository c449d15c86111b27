// What leaves the page: CSV of curves and of the endpoint table, a PNG of the charts, copied text.

import { DASHES, draw, LETTERS, LIGHT, svg } from "./charts.js";

const quoted = (value) => (value === null || value === undefined ? "" : /[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));

/** Lines of fields, below lines that begin with "#". */
export const csv = (above, rows) => [...above.map((line) => `# ${line}`), ...rows.map((row) => row.map(quoted).join(","))].join("\r\n") + "\r\n";

/** Bands as they are drawn, after lines that begin with "#" (as in files of pkpd compare) and say where they come from. */
export function curvesCsv(arms, outputs, above) {
  const rows = [["schedule", "doses", "output", "unit", "day", "p5", "median", "p95"]];
  arms.forEach((arm, i) => {
    for (const { name } of outputs) {
      const { days, low, median, high, unit } = arm.curves[name];
      days.forEach((day, k) => rows.push([LETTERS[i], arm.text, name, unit, day, low[k], median[k], high[k]]));
    }
  });
  return csv(above, rows);
}

/** Every endpoint, whether shown or not. */
export function tableCsv(endpoints, arms, above) {
  const rows = [["endpoint", "unit", "definition", "remark", "schedule", "doses", "median", "p5", "p95", "median by parameters p5", "median by parameters p95", "difference to A", "difference p5", "difference p95", "probability better than A", "probability the same", "probability worse than A", "the same is less apart than"]];
  for (const { name, unit, definition, remark, relevant, arms: values } of endpoints) {
    values.forEach((value, i) => {
      const { difference } = value;
      rows.push([name, unit, definition, remark, LETTERS[i], arms[i].text, value.median, value.low, value.high, value.parameters?.low, value.parameters?.high, difference?.median, difference?.low, difference?.high, value.probability, value.same, value.worse, relevant]);
    });
  }
  return csv(above, rows);
}

export function download(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Charts of the page on white paper, in so many columns, with the schedules above and the lines `foot` below. */
export function paper(charts, arms, foot, columns) {
  const [width, height, gap, head] = [620, 270, 24, 30 + 20 * arms.length];
  const size = columns * (width + gap) + gap;
  const lines = foot.flatMap((line) => wrapped(line, size / 5.9));
  const rows = Math.ceil(charts.length / columns);
  const full = head + rows * (height + 44) + 24 + 16 * lines.length;
  const made = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width: size, height: full, viewBox: `0 0 ${size} ${full}` });
  const text = (x, y, words, more = {}) => made.append(svg("text", { x, y, "font-family": "system-ui, sans-serif", "font-size": 13, fill: LIGHT.ink, ...more }, words));
  made.append(svg("rect", { width: size, height: full, fill: "#ffffff" }));
  arms.forEach((arm, i) => {
    const y = 26 + 20 * i;
    made.append(svg("rect", { x: gap, y: y - 11, width: 36, height: 13, fill: LIGHT.lines[i], "fill-opacity": 0.16 }));
    made.append(svg("line", { x1: gap, x2: gap + 36, y1: y - 4.5, y2: y - 4.5, stroke: LIGHT.lines[i], "stroke-width": 2.2, "stroke-dasharray": DASHES[i] }));
    text(gap + 44, y, `${LETTERS[i]}  ${arm.text}`);
  });
  charts.forEach((chart, k) => {
    const [x, y] = [gap + (k % columns) * (width + gap), head + Math.floor(k / columns) * (height + 44) + 14];
    text(x + 4, y, chart.heading.textContent, { "font-weight": 600 });
    const drawn = svg("svg", { x, y: y + 8, width, height });
    draw(drawn, { ...chart.spec(chart.view), theme: LIGHT, width, height });
    made.append(drawn);
    if (chart.facts.remark) text(x + 4, y + height + 20, chart.facts.remark, { "font-size": 10.5, fill: LIGHT.soft });
  });
  lines.forEach((line, i) => text(gap, full - 14 - 16 * (lines.length - 1 - i), line, { "font-size": 11, fill: LIGHT.soft }));
  return made;
}

/** A sentence in lines of at most so many characters. */
export function wrapped(words, most) {
  const lines = [""];
  for (const word of words.split(" ")) {
    if (lines.at(-1) && lines.at(-1).length + word.length >= most) lines.push("");
    lines[lines.length - 1] += (lines.at(-1) && " ") + word;
  }
  return lines;
}

export const svgText = (picture) => new XMLSerializer().serializeToString(picture);

/** A picture as PNG, twice the size of the screen. */
export async function png(picture) {
  const url = URL.createObjectURL(new Blob([svgText(picture)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: 2 * picture.getAttribute("width"), height: 2 * picture.getAttribute("height") });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done) => canvas.toBlob(done, "image/png"));
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Copy a text; without the clipboard (a page that is not on this machine) by the old way of selecting it. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (!done) throw new Error("the browser does not let this page copy");
  }
}

/** A button that lets something leave the page: `action` returns what to say of it. What goes wrong is said over the view. */
export function exporting(button, page, action) {
  const words = button.textContent;
  button.addEventListener("click", async () => {
    try {
      const done = await action();
      if (done) {
        button.textContent = done;
        page.say(done);
        setTimeout(() => { button.textContent = words; }, 1500);
      }
    } catch (error) {
      page.fail(`This did not work: ${error.message}`);
    }
  });
}
