// A small line chart in SVG. Elements are made once and then changed, so that updates do not flicker.

import { element, write } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 168;
const MARGIN = { top: 10, right: 10, bottom: 22, left: 54 };

function svg(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Round numbers from below `low` to above `high`, about `count` of them. */
function ticks(low, high, count = 4) {
  const rough = (high - low || Math.abs(high) || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Marks of a logarithmic axis, from below `low` to above `high`: 1, 2, 5, 10 and so on, or powers of ten. */
function logarithmicTicks(low, high) {
  const marks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const factor of [1, 2, 5]) marks.push(Number((factor * 10 ** power).toPrecision(12)));
  }
  const first = marks.findLastIndex((mark) => mark <= low);
  const last = marks.findIndex((mark) => mark >= high);
  const shown = marks.slice(first, Math.max(last, first + 1) + 1);
  return shown.length <= 6 ? shown : shown.filter((mark, i) => i === 0 || i === shown.length - 1 || Number.isInteger(Math.log10(mark)));
}

export class Chart {
  /** `format` writes a value; the axis is `fromZero`, `logarithmic`, or about the values. */
  constructor(title, { format, axis, hint }) {
    this.format = format;
    this.axis = axis;
    this.scale = axis === "logarithmic" ? Math.log10 : (value) => value;
    this.title = title;
    this.root = element("figure", "chart");
    const caption = element("figcaption", "", title);
    caption.append(element("span", "hint", hint));
    this.picture = svg("svg", { role: "img", tabindex: "0", height: HEIGHT });
    this.grid = svg("g", { class: "grid" });
    this.lines = svg("g");
    this.cursor = svg("line", { class: "cursor", y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, visibility: "hidden" });
    this.picture.append(this.grid, this.lines, this.cursor);
    this.tip = element("div", "tip");
    this.tip.hidden = true;
    this.empty = element("p", "empty", "Nothing encoded in this time");
    this.root.append(caption, this.picture, this.tip, this.empty);
    this.data = { at: [], lines: [] };
    this.pointed = null;
    this.picture.addEventListener("pointermove", (event) => this.point(this.nearest(event.offsetX)));
    this.picture.addEventListener("pointerleave", () => this.point(null));
    this.picture.addEventListener("blur", () => this.point(null));
    this.picture.addEventListener("keydown", (event) => this.step(event));
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  /** `lines`: [{label, role, dashed, values}], a value for each time in `at`, or null. */
  update(at, lines) {
    this.data = { at, lines };
    this.draw();
  }

  draw() {
    const width = this.root.clientWidth;
    const values = this.data.lines.flatMap((line) => line.values).filter((value) => value != null);
    this.empty.hidden = values.length > 0;
    this.lines.setAttribute("visibility", values.length ? "visible" : "hidden");
    if (!width || this.data.at.length < 2) return;
    this.picture.setAttribute("width", width);
    this.picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const marks = values.length ? this.marks(values) : [0, 1];
    const [low, high] = [marks[0], marks[marks.length - 1]];
    const [first, last] = [this.data.at[0], this.data.at[this.data.at.length - 1]];
    this.x = (time) => MARGIN.left + ((time - first) / (last - first)) * (width - MARGIN.left - MARGIN.right);
    const share = (v) => (this.scale(v) - this.scale(low)) / (this.scale(high) - this.scale(low));
    this.y = (v) => HEIGHT - MARGIN.bottom - share(v) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    this.drawGrid(values.length ? marks : [], first, last, width);
    this.drawLines();
    this.picture.setAttribute("aria-label", this.summary());
    this.point(this.pointed);
  }

  marks(values) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    if (this.axis === "fromZero") return ticks(0, high || 1);
    if (this.axis === "logarithmic") return logarithmicTicks(low, high);
    const room = Math.max((high - low) * 0.15, high * 0.02);
    return ticks(Math.max(0, low - room), high + room);
  }

  drawGrid(marks, first, last, width) {
    const parts = marks.flatMap((mark) => [
      { tag: "line", at: { x1: MARGIN.left, x2: width - MARGIN.right, y1: this.y(mark), y2: this.y(mark) } },
      { tag: "text", at: { x: MARGIN.left - 8, y: this.y(mark) + 4, "text-anchor": "end" }, text: this.format(mark) },
    ]);
    for (const time of [first, (first + last) / 2, last]) {
      const ago = Math.round((last + this.data.at[1] - first - time) / 6) / 10;
      const anchor = time === first ? "start" : time === last ? "end" : "middle";
      const text = time === last ? "now" : `${ago} min ago`;
      parts.push({ tag: "text", at: { x: this.x(time), y: HEIGHT - 6, "text-anchor": anchor }, text });
    }
    const same = parts.length === this.grid.children.length;
    if (!same || parts.some((part, i) => part.tag !== this.grid.children[i].tagName)) {
      this.grid.replaceChildren(...parts.map((part) => svg(part.tag)));
    }
    parts.forEach((part, i) => {
      for (const [name, value] of Object.entries(part.at)) this.grid.children[i].setAttribute(name, value);
      if (part.text) write(this.grid.children[i], part.text);
    });
  }

  drawLines() {
    while (this.lines.children.length > this.data.lines.length) this.lines.lastElementChild.remove();
    this.data.lines.forEach((line, index) => {
      if (!this.lines.children[index]) this.lines.append(svg("path"));
      const path = this.lines.children[index];
      path.setAttribute("class", `line ${line.role}${line.dashed ? " dashed" : ""}`);
      path.setAttribute("d", this.path(line.values));
    });
  }

  /** A line through what there is; a value between two gaps is a dot. */
  path(values) {
    return values
      .map((value, i) => {
        if (value == null) return "";
        const place = `${this.x(this.data.at[i]).toFixed(1)},${this.y(value).toFixed(1)}`;
        if (values[i - 1] != null) return `L${place}`;
        return values[i + 1] == null ? `M${place}h0.01` : `M${place}`;
      })
      .join("");
  }

  summary() {
    const parts = this.data.lines.map((line) => {
      const latest = line.values.findLast((value) => value != null);
      return `${line.label}: ${latest == null ? "nothing" : this.format(latest)}`;
    });
    return `${this.title}, latest. ${parts.join("; ") || "Nothing encoded"}. Arrow keys tell earlier values.`;
  }

  nearest(x) {
    const { at } = this.data;
    if (at.length < 2 || !this.x) return null;
    const share = (x - this.x(at[0])) / (this.x(at[at.length - 1]) - this.x(at[0]));
    return Math.min(at.length - 1, Math.max(0, Math.round(share * (at.length - 1))));
  }

  step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const last = this.data.at.length - 1;
    this.point(Math.min(last, Math.max(0, (this.pointed ?? last) + by)));
    this.picture.setAttribute("aria-label", this.tip.textContent);
  }

  /** Tells the values of one moment. */
  point(index) {
    const told = index != null && index < this.data.at.length && this.data.lines.length > 0;
    this.pointed = told ? index : null;
    this.tip.hidden = !told;
    this.cursor.setAttribute("visibility", told ? "visible" : "hidden");
    if (!told) return;
    const x = this.x(this.data.at[index]);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    const lines = this.data.lines.map((line) => {
      const row = element("span", `key ${line.role}`, `${line.label} `);
      row.append(element("b", "", line.values[index] == null ? "–" : this.format(line.values[index])));
      return row;
    });
    const time = new Date(this.data.at[index] * 1000).toLocaleTimeString([], { hour12: false });
    this.tip.replaceChildren(element("span", "", `${time} `), ...lines);
    const right = x > this.root.clientWidth / 2;
    this.tip.style.left = right ? "" : `${x + 10}px`;
    this.tip.style.right = right ? `${this.root.clientWidth - x + 10}px` : "";
  }
}
