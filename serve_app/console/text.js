// Words and numbers as people read them, and the few ways in which this page changes its document:
// text only ever goes in as text.

export const $ = (id) => document.getElementById(id);

/** Sets an element's text if it differs, so that nothing flickers and selections stay. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Makes `parent` have one child for each item, made once by `make` and brought up to date by `update`. */
export function sync(parent, items, make, update) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, index) => {
    if (!parent.children[index]) parent.append(make());
    update(parent.children[index], item);
  });
}

/** As `sync`, for rows of a table that hold text only. */
export function syncRows(body, rows, classes = []) {
  const make = () => {
    const row = element("tr");
    rows[0].forEach((_, index) => row.append(element("td", classes[index] ?? "")));
    return row;
  };
  sync(body, rows, make, (row, cells) => cells.forEach((cell, index) => write(row.children[index], cell)));
}

export function percent(value) {
  return `${Number(value.toFixed(2))} %`;
}

export function ratio(value) {
  return value == null ? "–" : `${value.toFixed(2)}×`;
}

export function ms(value) {
  if (value == null) return "–";
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });
}

export function moment(seconds) {
  const date = new Date(seconds * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return today ? clock(seconds) : `${date.toLocaleDateString()} ${clock(seconds)}`;
}

export const short = (version) => version.slice(0, 12);

export function position(state, share) {
  if (state === "canary") return `canary ${percent(share)}`;
  return state === "rolled_back" ? "rolled back" : state;
}
