// --- the roofline: the filtered rows as points, the measured roofs above them -------------------

const roof = document.getElementById("roof");
const NS = "http://www.w3.org/2000/svg";

function svg(tag, attributes, text) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const colourOf = (row) => {
  const i = data.series.indexOf(row.family);
  return i < 0 ? "var(--series-rest)" : `var(--series-${i})`;
};

function pointsOf(rows) {
  return rows
    .filter((r) => r.flops > 0 && r.bytes > 0 && r.seconds)
    .map((row) => ({ row, x: row.flops / row.bytes, y: row.flops / row.seconds.least / 1e9 }));
}

// The roofs of these rows: one for each device, threads and dtype among them, the newest of each.
function roofsOf(points) {
  const wanted = new Set(points.map((p) => `${p.row.device}|${p.row.threads ?? "gpu"}|${p.row.dtype}`));
  const found = new Map();
  for (const one of [...data.roofs].sort((a, b) => compare(a.date, b.date))) {
    for (const [dtype, flops] of Object.entries(one.gflops)) {
      for (const key of wanted) {
        const [device, threads, kind] = key.split("|");
        if (device === one.device && kind === dtype && (one.threads === "" || one.threads === threads)) {
          found.set(key, { bytes: one.gbytes_per_second, flops, label: threads === "gpu" ? dtype : `${dtype}, ${threads}T` });
        }
      }
    }
  }
  return [...found.values()];
}

const tick = (v) => (v >= 1e4 ? `${Number((v / 1e3).toPrecision(3))}k` : String(Number(v.toPrecision(3))));

const powers = (low, high) => {
  const all = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) {
    for (const m of [1, 2, 5]) all.push(m * 10 ** e);
  }
  return all.filter((v) => v >= low && v <= high);
};

function drawRoofline(rows) {
  const points = pointsOf(rows);
  const roofs = roofsOf(points);
  const width = Math.max(300, roof.clientWidth - 20);
  const height = Math.round(Math.max(300, Math.min(480, width * 0.52)));
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "Roofline of the rows below" });
  roof.replaceChildren(picture);
  if (!points.length) {
    picture.append(svg("text", { x: 20, y: 40 }, "None of these rows has its FLOPs and bytes counted."));
    return;
  }
  const xs = points.map((p) => p.x).concat(roofs.map((r) => r.flops / r.bytes));
  const ys = points.map((p) => p.y).concat(roofs.map((r) => r.flops));
  const [x0, x1, y0, y1] = [Math.min(...xs) / 1.6, Math.max(...xs) * 1.6, Math.min(...ys) / 1.6, Math.max(...ys) * 1.6];
  const [left, right, top, bottom] = [52, width - 14, 14, height - 40];
  const at = (v, low, high, from, to) => from + ((Math.log(v) - Math.log(low)) / (Math.log(high) - Math.log(low))) * (to - from);
  const px = (v) => at(v, x0, x1, left, right);
  const py = (v) => at(v, y0, y1, bottom, top);

  let last = -Infinity;
  for (const v of powers(x0, x1)) {
    picture.append(svg("line", { x1: px(v), x2: px(v), y1: top, y2: bottom, class: "grid" }));
    if (px(v) - last < 34) continue;
    last = px(v);
    picture.append(svg("text", { x: px(v), y: bottom + 17, "text-anchor": "middle" }, tick(v)));
  }
  for (const v of powers(y0, y1)) {
    picture.append(svg("line", { x1: left, x2: right, y1: py(v), y2: py(v), class: "grid" }));
    picture.append(svg("text", { x: left - 7, y: py(v) + 4, "text-anchor": "end" }, tick(v)));
  }
  picture.append(svg("text", { x: right, y: height - 6, "text-anchor": "end" }, "FLOPs a byte"));
  picture.append(svg("text", { x: left + 6, y: top + 12 }, "GFLOP/s"));
  for (const r of roofs) {
    const edge = r.flops / r.bytes;
    const start = Math.max(x0, y0 / r.bytes);
    const line = [[start, start * r.bytes], [edge, r.flops], [x1, r.flops]].map(([x, y]) => `${px(x)},${py(y)}`);
    picture.append(svg("polyline", { points: line.join(" "), class: "roofs" }));
    const words = `${r.label}: ${format(r.flops)} GFLOP/s, ${format(r.bytes)} GB/s`;
    picture.append(svg("text", { x: right - 4, y: py(r.flops) - 5, "text-anchor": "end" }, words));
  }
  for (const point of points) {
    point.mark = svg("circle", { cx: px(point.x), cy: py(point.y), r: 4.2, style: `fill:${colourOf(point.row)}` });
    picture.append(point.mark);
  }
  roof.append(legend(points, roofs));
  hover(picture, points, px, py, width);
}

function legend(points, roofs) {
  const line = make("div", undefined, { class: "legend" });
  const shown = new Set(points.map((p) => p.row.family));
  const rest = [...shown].filter((family) => !data.series.includes(family));
  for (const family of [...data.series.filter((f) => shown.has(f)), ...(rest.length ? ["others"] : [])]) {
    const item = make("span");
    item.append(make("i", "", { style: `background:${colourOf({ family })}` }), family);
    line.append(item);
  }
  if (!roofs.length) line.append(make("span", "The roof was not measured with these rows."));
  return line;
}

function hover(picture, points, px, py, width) {
  const tip = make("div", undefined, { class: "tip", role: "status", hidden: "" });
  roof.append(tip);
  let near = null;
  const leave = () => {
    near?.mark.classList.remove("near");
    near = null;
    tip.hidden = true;
  };
  const move = (event) => {
    const box = picture.getBoundingClientRect();
    const [x, y] = [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * width) / box.width];
    let best = 28 ** 2; // pixels around the pointer
    let found = null;
    for (const p of points) {
      const d = (px(p.x) - x) ** 2 + (py(p.y) - y) ** 2;
      if (d < best) [best, found] = [d, p];
    }
    if (!found) return leave();
    if (found === near) return;
    leave();
    near = found;
    near.mark.classList.add("near");
    picture.insertBefore(near.mark, null); // above its neighbours
    const { row } = near;
    tip.replaceChildren(make("b", [row.name, row.pass].filter(Boolean).join(" ")));
    const words = [
      [`N=${row.batch}`, row.threads && `${row.threads} thread${row.threads > 1 ? "s" : ""}`, row.dtype, row.cache].filter(Boolean).join(", "),
      [row.provider, row.algorithm].filter(Boolean).join(" "),
      `${format(near.y)} GFLOP/s at ${format(near.x)} FLOPs a byte`,
      row.percent_of_roof === undefined ? "" : `${format(row.percent_of_roof)} % of the roof`,
      `${format(milliseconds(row.seconds))} ms`,
      row.ratio === undefined ? "" : `${row.opponent}: ${format(milliseconds(row.opponent_seconds))} ms, ratio ${row.ratio.toFixed(2)}`,
    ];
    for (const text of words) if (text) tip.append(make("div", text));
    tip.hidden = false;
    const [cx, cy] = [px(near.x) * (box.width / width), py(near.y) * (box.width / width)];
    const beside = cx > box.width / 2 ? cx - tip.offsetWidth - 6 : cx + 26;
    tip.style.left = `${Math.max(0, Math.min(beside, roof.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${Math.max(0, cy - tip.offsetHeight / 2)}px`;
  };
  picture.addEventListener("pointermove", move);
  picture.addEventListener("pointerdown", move);
  picture.addEventListener("pointerleave", leave);
}

let wait;
addEventListener("resize", () => {
  clearTimeout(wait);
  wait = setTimeout(() => drawRoofline(state.rows), 120);
});
addEventListener("hashchange", route);

// rows of one device at first: points under another device's roof would mislead
const device = form.querySelector("select[name=device]");
if (device) device.value = "0";
refilter();
route();
document.body.dataset.ready = "yes";
