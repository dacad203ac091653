"use strict";
// Rows, filters and pages. Whatever comes from a file of results is set as text, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);

const format = (value) => {
  if (value === undefined || value === null) return "";
  if (typeof value !== "number") return String(value);
  if (value === 0 || Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  if (size < 1e-3) return value.toExponential(1);
  return size >= 100 ? value.toFixed(0) : value.toPrecision(3);
};
const milliseconds = (times) => (times ? times.least * 1e3 : undefined);

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// --- the table ----------------------------------------------------------------------------------

// [title, value of a row, whether it stays where all rows have the same]
const COLUMNS = [
  ["layer", (r) => r.name, true],
  ["suite", (r) => r.suite, true],
  ["pass", (r) => r.pass, true],
  ["device", (r) => r.device, false],
  ["batch", (r) => r.batch, true],
  ["image", (r) => r.size, true],
  ["threads", (r) => r.threads, true],
  ["dtype", (r) => r.dtype, false],
  ["layout", (r) => r.layout, false],
  ["cache", (r) => r.cache, false],
  ["provider", (r) => r.provider, false],
  ["algorithm", (r) => r.algorithm, true],
  ["ms", (r) => milliseconds(r.seconds), true],
  ["opponent, ms", (r) => milliseconds(r.opponent_seconds), true],
  ["ratio", (r) => r.ratio, true],
  ["opponent", (r) => r.opponent, true],
  ["GFLOP/s", (r) => r.gflops || undefined, true],
  ["GB/s", (r) => r.gbytes_per_second, true],
  ["% of roof", (r) => r.percent_of_roof, true],
  ["bound", (r) => r.bound, true],
  ["error", (r) => r.error, true],
].map(([title, value, always]) => ({ title, value, always }));

for (const column of COLUMNS) {
  column.number = data.rows.map(column.value).every((v) => v === undefined || typeof v === "number");
}
let columns = []; // those with something to tell apart in the rows shown

const STEP = 250; // rows drawn at a time
const state = { sort: null, down: false, limit: STEP, rows: [], open: new Set() };
const form = document.getElementById("filters");
const [head, body] = [...document.getElementById("table").children];
const more = document.getElementById("more");

const CHOICES = ["device", "suite", "pass", "family", "batch", "threads", "dtype", "cache", "provider", "bound"];
const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));

for (const key of CHOICES) {
  const values = [...new Set(data.rows.map((r) => r[key]).filter((v) => v !== undefined))];
  if (values.length < 2) continue;
  const label = make("label", `${key} `);
  const select = make("select", undefined, { name: key });
  if (key !== "suite" && key !== "device") values.sort(compare);
  select.append(make("option", "all", { value: "" }));
  values.forEach((value, i) => select.append(make("option", String(value), { value: String(i) })));
  select.values = values;
  label.append(select);
  document.getElementById("choices").append(label);
}

function filtered() {
  const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = [...form.querySelectorAll("select")].filter((s) => s.value !== "");
  return data.rows.filter((row) => {
    if (form.elements.losses.checked && !(row.ratio < 1)) return false;
    if (!chosen.every((s) => row[s.name] === s.values[Number(s.value)])) return false;
    row.words ??= [row.name, row.suite, row.pass, row.geometry, row.family, row.provider, row.algorithm, row.opponent,
      row.dtype, row.layout].join(" ").toLowerCase();
    return words.every((word) => row.words.includes(word));
  });
}

function sorted(rows) {
  if (state.sort === null) return rows;
  const value = state.sort.value;
  const sign = state.down ? -1 : 1;
  const known = rows.filter((r) => value(r) !== undefined);
  const rest = rows.filter((r) => value(r) === undefined); // at the end, whichever way
  return [...known.sort((a, b) => sign * compare(value(a), value(b))), ...rest];
}

function drawHead() {
  const line = make("tr");
  columns.forEach((column, i) => {
    const cell = make("th", undefined, { scope: "col", class: column.number ? "num" : "" });
    if (state.sort === column) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    const button = make("button", column.title, { type: "button" });
    button.addEventListener("click", () => {
      state.down = state.sort === column && !state.down;
      state.sort = column;
      drawHead();
      drawRows();
      head.querySelectorAll("button")[i].focus();
    });
    cell.append(button);
    line.append(cell);
  });
  head.replaceChildren(line);
}

function detail(row) {
  const list = make("dl");
  const add = (name, value) => list.append(make("dt", name), make("dd", value));
  const times = (t) => (typeof t === "number" ? `${format(t * 1e3)} ms`
    : Object.entries(t).map(([name, v]) => `${name} ${format(v * 1e3)} ms`).join(", "));
  for (const [key, value] of Object.entries(row)) {
    if (key === "words" || key === "file") continue;
    if (key === "seconds" || key === "opponent_seconds") add(key.replace("_", " "), times(value));
    else if (key === "opponents") {
      for (const [who, t] of Object.entries(value)) if (t) add(who, times(t));
    } else if (key === "grown") {
      for (const [who, n] of Object.entries(value)) add(who, `${format(n / 2 ** 20)} MiB`);
    } else add(key.replaceAll("_", " "), format(value));
  }
  const file = data.files[row.file];
  add("measured", [file.date, file.commit && `commit ${file.commit}`, file.name].filter(Boolean).join(", "));
  const line = make("tr", undefined, { class: "detail" });
  const cell = make("td", undefined, { colspan: String(columns.length) });
  cell.append(list);
  line.append(cell);
  return line;
}

function cellOf(column, row) {
  const value = column.value(row);
  if (column.title === "layer") {
    const cell = make("th", undefined, { scope: "row" });
    const button = make("button", value, { type: "button", "aria-expanded": String(state.open.has(row)) });
    button.addEventListener("click", () => {
      state.open.has(row) ? state.open.delete(row) : state.open.add(row);
      drawRows();
    });
    cell.append(button);
    return cell;
  }
  const cell = make("td", undefined, { class: column.number ? "num" : "" });
  if (column.title === "algorithm" && row.family) {
    cell.append(make("a", value, { href: `#kernel/${row.family}` }));
  } else if (column.title === "ratio" && value !== undefined) {
    cell.classList.add("ratio", value < 1 ? "loss" : "win");
    const reach = 50 * Math.max(-1, Math.min(1, Math.log2(value) / 2));
    const bar = make("i");
    bar.append(make("b", "", { style: `left:${50 + Math.min(reach, 0)}%;width:${Math.abs(reach)}%` }));
    cell.append(bar, value.toFixed(2));
  } else cell.textContent = format(value);
  return cell;
}

function drawRows() {
  const lines = [];
  for (const row of sorted(state.rows).slice(0, state.limit)) {
    const line = make("tr");
    line.append(...columns.map((column) => cellOf(column, row)));
    lines.push(line);
    if (state.open.has(row)) lines.push(detail(row));
  }
  body.replaceChildren(...lines);
  more.hidden = state.rows.length <= state.limit;
  more.textContent = `Show the other ${state.rows.length - state.limit} rows`;
}

function show(rows) {
  state.rows = rows;
  state.limit = STEP;
  const ratios = rows.map((r) => r.ratio).filter((r) => r !== undefined);
  const mean = Math.exp(ratios.reduce((sum, r) => sum + Math.log(r), 0) / ratios.length);
  const values = new Map(COLUMNS.map((c) => [c, [...new Set(rows.map(c.value).filter((v) => v !== undefined))]]));
  columns = COLUMNS.filter((c) => values.get(c).length > (c.always ? 0 : 1));
  const same = COLUMNS.filter((c) => !c.always && values.get(c).length === 1).map((c) => values.get(c)[0]);
  document.getElementById("count").textContent = [
    `${rows.length} of ${data.rows.length} rows`,
    ratios.length ? `geometric mean of the ratios ${mean.toFixed(2)}` : "",
    same.length ? `all of them: ${same.join("; ")}` : "",
  ].filter(Boolean).join("; ");
  drawHead();
  drawRows();
  drawRoofline(rows);
}

const refilter = () => show(filtered());
form.elements.text.addEventListener("input", refilter);
form.addEventListener("change", refilter);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(refilter));
more.addEventListener("click", () => {
  state.limit = Infinity;
  drawRows();
});

// --- pages and sources --------------------------------------------------------------------------

function route() {
  const place = decodeURIComponent(location.hash.slice(1));
  const page = place.startsWith("kernel/") && document.getElementById(place.replace("/", "-"));
  document.getElementById("main").hidden = Boolean(page);
  for (const article of document.querySelectorAll("article.kernel")) article.hidden = article !== page;
  for (const link of document.querySelectorAll(".top nav a")) {
    const here = link.hash.slice(1);
    if (here === (page ? "kernels" : place || "overview")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (page) scrollTo(0, 0);
  else document.getElementById(place)?.scrollIntoView();
}

for (const details of document.querySelectorAll("details.source")) {
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector(".listing")) return;
    const code = make("pre");
    code.innerHTML = document.getElementById(details.dataset.source).textContent; // of pycnn's own sources
    const count = code.textContent.replace(/\n$/, "").split("\n").length;
    const listing = make("div", undefined, { class: "listing" });
    listing.append(make("pre", Array.from({ length: count }, (_, i) => i + 1).join("\n")), code);
    details.append(listing);
  });
}
