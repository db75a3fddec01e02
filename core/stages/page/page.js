"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const pipeline = JSON.parse(data.pipeline);
const family = data.family;

/* ---- Elements and numbers. Text only ever becomes text, never markup. ---- */

function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  const { text, ...rest } = options;
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(rest)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
const section = (id) => document.getElementById(id);
const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const known = (x) => x !== null && x !== undefined;

function digits(x) {
  return x === 0 ? "0" : Math.abs(x) >= 1000 ? x.toFixed(0) : String(Number(x.toPrecision(3)));
}
function scaled(x, step, units) {
  if (!known(x)) return "–";
  let i = 0;
  while (Math.abs(x) >= step && i < units.length - 1) { x /= step; i++; }
  return `${digits(x)}${units[i]}`;
}
const counts = (x) => scaled(x, 1000, ["", " k", " M", " G"]);
const bytes = (x) => scaled(x, 1024, [" B", " KiB", " MiB", " GiB"]);
const unit = (name) => (x) => (known(x) ? `${digits(x)} ${name}` : "–");
/* Wilson's 95 % interval of a share that was found on n images. */
function interval(share, n) {
  const z = 1.96, middle = (share + z * z / (2 * n)) / (1 + z * z / n);
  const half = z / (1 + z * z / n) * Math.sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return [middle - half, middle + half].map((x) => (100 * Math.min(1, Math.max(0, x))).toFixed(1));
}
const tested = (x) => (known(x) && data.dataset.test ?
  `${(100 * x).toFixed(2)} % (${interval(x, data.dataset.test).join("–")})` : percent(x));
const percent = (x) => (known(x) ? `${(100 * x).toFixed(2)} %` : "–");

/* What a subnet costs: by the names of family.json, and where it stands in a candidate. */
const SCORE = 0, VIOLATION = 1, GENOME = 8;
const COSTS = [
  { key: "latency_ms", at: 2, title: "latency", axis: "latency, ms", text: unit("ms") },
  { key: "energy_mj", at: 3, title: "energy", axis: "energy, mJ", text: unit("mJ") },
  { key: "peak_bytes", at: 4, title: "peak memory", axis: "peak memory, KiB", text: bytes, divide: 1024 },
  { key: "flash_bytes", at: 5, title: "flash", axis: "flash, KiB", text: bytes, divide: 1024 },
  { key: "macs", at: 6, title: "MACs", axis: "MACs, millions", text: counts, divide: 1e6 },
  { key: "params", at: 7, title: "parameters", axis: "parameters, thousands", text: counts, divide: 1e3 },
];

/* ---- Charts: drawn anew when light turns to dark ---- */

const charts = [];

function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue("--" + name).trim();
  return { text: colour("text"), dim: colour("dim"), line: colour("line"), back: colour("card"),
           blue: colour("blue"), orange: colour("orange"), green: colour("green"),
           red: colour("red"), pink: colour("pink") };
}

function axis(t, title, extra = {}) {
  return { type: "linear", title: { display: true, text: title, color: t.dim },
           ticks: { color: t.dim, maxRotation: 0, autoSkipPadding: 12 },
           grid: { color: t.line, drawBorder: false }, ...extra };
}

function draw(entry) {
  const t = theme(), { datasets, x, y, tooltip, labels } = entry.describe(t);
  const scales = { x: axis(t, x.title, x), y: axis(t, y.title, y) };
  /* Curves alone are told by their dashes, others by their points. */
  const key = tooltip || labels ? { usePointStyle: true } : { boxHeight: 0 };
  for (const scale of Object.values(scales))
    if (typeof scale.title === "string")
      scale.title = { display: true, text: scale.title, color: t.dim };
  if (entry.chart) entry.chart.destroy();
  entry.chart = new Chart(entry.canvas, {
    type: "line",
    data: { datasets, labels },
    options: {
      animation: false, responsive: true, maintainAspectRatio: false, color: t.text,
      interaction: { mode: "nearest", axis: tooltip ? "xy" : "x", intersect: false },
      scales,
      plugins: {
        legend: { position: "bottom", labels: { color: t.text, boxWidth: 30, padding: 12, ...key } },
        tooltip: tooltip ? { callbacks: tooltip } : {},
      },
    },
  });
}

/* A canvas that shows what describe(theme) gives. */
function chart(label, describe) {
  const canvas = make("canvas", { role: "img", "aria-label": label });
  const entry = { canvas, describe };
  charts.push(entry);
  return [make("div", { class: "chart" }, canvas), () => draw(entry)];
}

const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 4], [1, 4]];
function curve(label, points, colour, dash, extra = {}) {
  return { label, data: points, borderColor: colour, backgroundColor: colour, borderWidth: 2,
           borderDash: DASHES[dash % DASHES.length], pointRadius: 0, pointStyle: "line", ...extra };
}
function dots(label, points, colour, style, radius, extra = {}) {
  return { type: "scatter", label, data: points, borderColor: colour, backgroundColor: colour,
           pointStyle: style, pointRadius: radius, pointHoverRadius: radius + 2, ...extra };
}

/* ---- What was found ---- */

function row(cells, tag = "td") {
  const tr = make("tr");
  cells.forEach((cell, i) => {
    const numeric = tag === "td" ? /^[\d–-]/.test(cell) : cell.startsWith("#");
    tr.append(make(tag, { text: tag === "th" ? cell.replace("#", "") : cell, ...(numeric && i ? { class: "number" } : {}) }));
  });
  return tr;
}

/* With what the model expects its error to be, and how many of the layers it knows. */
const latencyText = (p) => unit("ms")(p.latency_ms) +
  (known(p.expected_error) ? ` ±${digits(100 * p.expected_error)} %` : "") +
  (known(p.known_share) && p.known_share < 1 ? `, ${Math.floor(100 * p.known_share)} % known` : "");

const limitText = (constraints) =>
  COSTS.filter((c) => known(constraints[c.key])).map((c) => `${c.title} ${c.text(constraints[c.key])}`).join(", ");

function showFamily() {
  const int8 = ["int8", "int8w7"].filter((key) => family.platforms.some((p) => p[key]));
  const rows = family.platforms.map((p) => [p.name, tested(p.test_top1), ...int8.map((key) => p[key] ? percent(p[key].test_top1) : "–"),
    latencyText(p.predicted), bytes(p.predicted.peak_bytes), counts(p.macs), counts(p.params),
    known(p.score) ? p.score.toFixed(4) : "–", limitText(p.constraints) || "no limit"]);
  /* One cost for each platform, in their order. */
  const each = (name, text) => data.platforms.map((p) => text((p.ends || {})[name] || {})).join(" / ");
  for (const [name, r] of Object.entries(family.reference))
    rows.push([`${name} subnet`, tested(r.test_top1), ...int8.map(() => "–"), each(name, (c) => unit("ms")(c.latency_ms)),
      each(name, (c) => bytes(c.peak_bytes)), counts(r.macs), counts(r.params), "–", "for reference"]);
  section("family").append(
    make("thead", {}, row(["platform", "#test top-1", ...int8.map((key) => `#in ${key}`), "#latency", "#peak memory",
      "#MACs", "#parameters", "#score", "at most"], "th")),
    make("tbody", {}, ...rows.map((r) => row(r))));
  if (data.dataset.test) section("family").parentNode.after(make("p", { class: "note", text:
    `In brackets: where top-1 lies with 95 % certainty (Wilson), as ${plural(data.dataset.test, "test image")} can tell it.` +
    (data.platforms.length > 1 ? " The reference subnets' costs are those on each platform, in their order." : "") }));
  const verified = family.platforms.flatMap((p) => p.verified || []).map((v) => v.engine ?
    `${v.file} ${v.agrees ? "agrees" : "DIFFERS"} in ${v.engine}: ${v.same_answers} of ${v.images} answers are the ` +
    `host's, logits of up to ${digits(v.largest_logit)} differ by ${digits(v.largest_difference)}` :
    v.skipped ? `${v.file} is not verified: ${v.skipped}` : `${v.file} FAILS: ${v.failed}`);
  if (verified.length) section("family").parentNode.after(make("p", { class: "note", text: verified.join(". ") + "." }));
  const d = data.dataset;
  section("summary").textContent =
    `${data.out}: ${plural(d.train, "image")} of ${d.plugin}, ${d.labelled} of them with labels` +
    `${d.extra ? `, and ${d.extra} more without` : ""}; ` +
    `${plural(pipeline.train.steps, "training step")} with ${pipeline.train.ssl.plugin}; space ${family.space}; ` +
    plural(data.platforms.length, "platform");
  document.title = `nashost report: ${data.out}`;
}

/* ---- A platform: candidates, front, limit, the chosen one and its blocks ---- */

function front(points) {
  const best = [];
  for (const p of [...points].sort((a, b) => a.x - b.x || b.y - a.y))
    if (!best.length || p.y > best[best.length - 1].y) best.push(p);
  return best;
}

/* Where an axis ends, so that what fits fills it: a loose limit and what lies far beyond do not
 * stretch it. undefined: nothing fits. */
function rightEdge(xs, limit) {
  if (!xs.length) return undefined;
  const most = Math.max(...xs), end = limit > most && limit <= 1.6 * most ? limit : most;
  return end + 0.15 * (end - Math.min(...xs) || end);
}

function describePareto(t, platform, constraints, cost) {
  const point = (c, i) => ({ x: c[cost.at] / (cost.divide || 1), y: c[SCORE], i });
  const all = platform.candidates.map(point).filter((p) => known(platform.candidates[p.i][cost.at]));
  const fits = all.filter((p) => known(p.y));
  const ys = fits.map((p) => p.y), low = Math.min(...ys), high = Math.max(...ys);
  const room = Math.max(high - low, 1e-3 * Math.abs(high), 1e-9);
  const misfits = all.filter((p) => !known(p.y)).map((p) => ({ ...p, y: low - 0.12 * room }));
  const limit = constraints[cost.key] / (cost.divide || 1);
  const edge = rightEdge(fits.map((p) => p.x), limit);
  const beyond = misfits.filter((p) => p.x > edge).length;
  const datasets = [
    dots("chosen", fits.filter((p) => p.i === platform.chosen), t.red, "rectRot", 9, { borderWidth: 2, borderColor: t.text }),
    curve("front", front(fits), t.orange, 0, { stepped: "after" }),
    dots("fits", fits.filter((p) => p.i !== platform.chosen), t.blue, "circle", 4),
  ];
  if (misfits.length) datasets.push(dots("does not fit, not scored" +
    (beyond ? ` (${beyond} beyond the right edge)` : ""), misfits, t.dim, "crossRot", 4));
  if (known(constraints[cost.key]))
    datasets.push(curve(`limit ${cost.text(constraints[cost.key])}`,
      [{ x: limit, y: low - 0.2 * room }, { x: limit, y: high + 0.1 * room }], t.green, 1));
  const describe = (item) => {
    const c = platform.candidates[item.raw.i];
    if (!c) return item.dataset.label;
    return [c[GENOME], known(c[SCORE]) ? `score ${c[SCORE].toFixed(4)}` : "not scored",
            ...COSTS.filter((k) => known(c[k.at])).map((k) => `${k.title} ${k.text(c[k.at])}`)];
  };
  return { datasets, x: { title: cost.axis, max: edge,
                ticks: { color: t.dim, maxRotation: 0, autoSkipPadding: 12, includeBounds: false } },
           y: { title: `score: ${pipeline.search.score.plugin}`, min: low - 0.2 * room, max: high + 0.1 * room,
                ticks: { color: t.dim, includeBounds: false } },
           tooltip: { title: () => "", label: describe } };
}

/* Blocks of a subnet, from its layers: the stem, each "stageS.blockB", what follows the last one. */
function blocksOf(layers) {
  const blocks = [];
  for (const layer of layers) {
    const match = /^stage(\d+)\.block(\d+)\./.exec(layer.name);
    const name = match ? match[0] : layer.name;
    let block = blocks[blocks.length - 1];
    if (!block || block.name !== name) {
      block = { name, stage: match ? Number(match[1]) : null, layers: [], macs: 0, weights: 0, kernel: 0, stride: 1, marks: [] };
      blocks.push(block);
    }
    block.layers.push(layer);
    block.macs += layer.macs;
    block.weights += layer.weights;
    block.out = layer.out;
    block.inner = Math.max(block.inner || 0, layer.op === "depthwise" ? layer.out[2] : 0);
    if (layer.op === "depthwise") { block.kernel = layer.kernel; block.expand = layer.expand; }
    if (layer.stride > 1) block.stride = layer.stride;
    if (layer.op === "scale") block.marks.push("SE");
    if (layer.op === "add") block.marks.push("+");
  }
  return blocks;
}

function drawBlock(block, widest) {
  const first = block.layers[0], channels = block.inner || block.out[2];
  const lines = block.kernel
    ? [`${block.kernel}×${block.kernel}`, `×${block.expand}`]
    : [first.op === "conv" ? `${first.kernel}×${first.kernel}` : first.op === "linear" ? "linear" : "mean", first.name.replace(/\d+$/, "").replace("classifier", "out")];
  if (block.stride > 1) lines.push(`↓${block.stride}`);
  lines.push(block.marks.join(" ") || "\u00a0");
  const box = make("div", { class: `block ${block.kernel ? "k" + block.kernel : ""}`,
    title: `${block.name.replace(/\.$/, "")}: ${counts(block.macs)} MACs, ${counts(block.weights)} weights, inner width ${channels}, output ${block.out.join("×")}` },
    ...lines.map((text, i) => make(i ? "span" : "b", { text })));
  box.style.height = `${4.2 + 4 * Math.sqrt(channels / widest)}rem`;
  return box;
}

function drawNet(platform) {
  const net = make("div", { class: "net" });
  if (!platform.layers) return net;
  const blocks = blocksOf(platform.layers);
  const widest = Math.max(...blocks.map((b) => b.inner || b.out[2]));
  for (let i = 0; i < blocks.length;) {
    const stage = blocks[i].stage, boxes = make("div"), from = i;
    do boxes.append(drawBlock(blocks[i++], widest));
    while (stage !== null && i < blocks.length && blocks[i].stage === stage);
    const out = blocks[i - 1].out;
    net.append(make("div", { class: "group" }, boxes,
      make("span", { text: out[0] > 1 ? `${out[0]}×${out[1]}×${out[2]}` : String(out[2]), title: blocks[from].name })));
  }
  return net;
}

function showPlatform(platform, i) {
  const answer = family.platforms[i];
  const costs = COSTS.filter((c) => platform.candidates.some((k) => known(k[c.at])));
  if (!costs.length) return;
  const pick = make("select", { "aria-label": `cost on the axis for ${platform.name}` },
    ...costs.map((c, k) => make("option", { value: k, text: c.title })));
  const tight = costs.findIndex((c) => known(answer.constraints[c.key]));
  pick.value = String(Math.max(0, tight));
  const [box, show] = chart(`Score against cost of every candidate for ${platform.name}`,
    (t) => describePareto(t, platform, answer.constraints, costs[Number(pick.value)]));
  pick.addEventListener("change", show);
  const hardware = platform.hardware, fitting = platform.candidates.filter((c) => known(c[SCORE])).length;
  section("platforms").append(make("div", { class: "card" },
    make("div", { class: "head" }, make("h3", { text: platform.name }), make("label", { text: "cost " }, pick)),
    make("p", { class: "note", text: `${plural(platform.candidates.length, "candidate")}, ${fitting} of them within the limits` +
      ` (${limitText(answer.constraints) || "none"}). Costs from ${hardware.plugin}: ${hardware.summary}.` }),
    box,
    make("p", {}, make("span", { text: "Chosen: " }), make("code", { text: (platform.candidates[platform.chosen] || [])[GENOME] || "" })),
    drawNet(platform)));
  show();
}

function showPlatforms() {
  data.platforms.forEach(showPlatform);
  section("platforms").append(make("p", { class: "note",
    text: "Each box of a subnet is a block: kernel, expansion, ↓ stride, SE for squeeze-excite, + for a " +
          "residual connection. Its height grows with its inner width, its border tells its kernel; below " +
          "stands the shape that leaves a stage." }));
}

/* ---- Training ---- */

const lines = data.training.filter((line) => known(line.loss));
const series = (get) => lines.map((line) => ({ x: line.step, y: get(line) })).filter((p) => known(p.y));

function showCurves(into, title, axisTitle, named, y = {}) {
  const curves = named.map(([name, get, colour]) => [name, series(get), colour]).filter(([, points]) => points.length);
  if (!curves.length) return;
  const [box, show] = chart(title, (t) => ({
    datasets: curves.map(([name, points, colour], i) => curve(name, points, t[colour], i)),
    x: { title: "step", min: 0 }, y: { title: axisTitle, ...y } }));
  into.append(make("div", { class: "card" }, make("h3", { text: title }), box));
  show();
}

function showTraining() {
  const into = section("training").querySelector(".grid");
  const names = [...new Set(lines.flatMap((line) => Object.keys(line.ssl || {})))];
  const colours = ["blue", "red", "green", "orange", "pink"];
  if (!lines.length) into.append(make("p", { text: "metrics.jsonl holds no lines." }));
  showCurves(into, "Loss", "mean over subnets", [["loss", (l) => l.loss, "blue"],
    ["labelled part", (l) => l.labelled_loss, "red"], ["unlabelled part", (l) => l.unlabelled_loss, "green"]]);
  showCurves(into, "Pseudo-labels", "share", [["mask rate: share that counts", (l) => l.mask_rate, "blue"],
    ["accuracy of those", (l) => l.pseudo_label_accuracy, "red"]], { min: 0, max: 1 });
  if (lines.length && !lines.some((l) => known(l.pseudo_label_accuracy)))
    into.append(make("p", { class: "note", text:
      "How many pseudo-labels are right is not known: no unlabelled image has a label that the training did not read." }));
  showCurves(into, "Learning rate", "learning rate", [["learning rate", (l) => l.lr, "blue"]], { min: 0 });
  showCurves(into, "Speed", "images per second", [["student's and teacher's images/s", (l) => l.images_per_s, "blue"]], { min: 0 });
  names.forEach((name, i) => showCurves(into, `${pipeline.train.ssl.plugin}: ${name}`, name,
    [[name, (l) => (l.ssl || {})[name], colours[i % colours.length]]]));
  const last = data.training.find((line) => known(line.validation_top1));
  if (last) section("training").append(make("p", { text:
    `Top-1 on ${plural(data.dataset.validation, "validation image")}: largest subnet ` +
    `${percent(last.validation_top1.largest)}, smallest ${percent(last.validation_top1.smallest)}.` }));
}

/* ---- Pseudo-labels ---- */

const className = (i) => (known(i) ? (data.dataset.class_names ? data.dataset.class_names[i] : `class ${i}`) : "not known");

function paint(base64, h, w, c) {
  const canvas = make("canvas", { width: w, height: h });
  const raw = atob(base64), image = new ImageData(w, h);
  for (let i = 0; i < h * w; i++) {
    for (let k = 0; k < 3; k++) image.data[4 * i + k] = raw.charCodeAt(c * i + (c === 3 ? k : 0));
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function showImage(g, image) {
  const right = known(image.label) ? (image.answer === image.label ? "✓" : "✗") : "";
  const pair = make("div", { class: "pair" });
  for (const kind of ["weak", "strong"]) {
    const canvas = paint(image[kind], g.height, g.width, g.channels);
    const extra = image.index - data.dataset.train;
    canvas.title = `${extra < 0 ? "training" : "unlabelled"} image ${extra < 0 ? image.index : extra}, ${kind}ly augmented`;
    pair.append(canvas);
  }
  return make("figure", {}, pair, make("figcaption", {},
    make("span", { class: right === "✗" ? "bad" : "good", text: `${right} ${className(image.answer)}` }),
    make("span", { text: ` ${(100 * image.confidence).toFixed(0)} %` }),
    ...(right === "✗" ? [make("br"), make("span", { text: `is: ${className(image.label)}` })] : [])));
}

const FEW = 10; /* images that say nothing of a share */

function showConfidence() {
  const bins = data.confidence, total = bins.reduce((sum, b) => sum + b[0], 0);
  const labels = bins.map((b, i) => [`${10 * i}–${10 * i + 10} %`, String(b[0])]);
  const small = bins.some((b) => b[0] && b[0] < FEW);
  const [box, show] = chart("Confidence of the largest subnet on held-out images, and how often it is right", (t) => ({
    labels,
    datasets: [
      { ...curve("share that it answers rightly", bins.map((b) => (b[0] >= FEW ? b[1] / b[0] : null)), t.red, 0),
        pointRadius: 4, pointStyle: "rectRot", spanGaps: true },
      { type: "bar", label: "share of the images", data: bins.map((b) => b[0] / total), backgroundColor: t.blue,
        pointStyle: "rect" }],
    x: { type: "category", title: "confidence, and how many images" }, y: { title: "share", min: 0, max: 1 } }));
  section("pseudo").append(make("div", { class: "card" },
    make("h3", { text: `Confidence on ${plural(total, "held-out image")}` }), box,
    ...(small ? [make("p", { class: "note", text: `How often it is right is not shown for fewer than ${FEW} images.` })] : [])));
  show();
}

function showPseudo() {
  const g = data.gallery, judged = g.images.some((image) => known(image.label));
  if (data.confidence) showConfidence();
  else section("pseudo").append(make("p", { class: "note", text: data.dataset.heldout ?
    "How often the largest subnet is right at which confidence is not known: the held-out images have no labels." :
    "No images are held out on which to show the largest subnet's confidence." }));
  section("pseudo").append(
    make("p", { class: "note", text: !g.images.length ? "No image is left that the training saw without its label." :
      "Images that the training saw without a label: weakly augmented as the teacher sees them, " +
      "strongly augmented as the students do. Below: what the largest subnet, with its final weights, says of the " +
      "weak one, and its confidence. " + (judged ? "✓ and ✗ judge by labels that the training did not see." :
      "Whether it is right is not known: they have no labels.") }),
    make("div", { class: "images" }, ...g.images.map((image) => showImage(g, image))));
}

/* ---- Mistakes ---- */

const MOST_CLASSES = 24; /* that a table of numbers shows well */

function matrixOf(cells, n) {
  const matrix = Array.from({ length: n }, () => new Array(n).fill(0));
  for (const [truth, answer, images] of cells) matrix[truth][answer] = images;
  return matrix;
}

function matrixTable(matrix) {
  const table = make("table", { id: "matrix" });
  const head = make("tr", {}, make("th", { text: "class ↓ answer →" }));
  matrix.forEach((_, k) => head.append(make("th", {}, make("span", { text: className(k) }))));
  head.append(make("th", {}, make("span", { text: "recall" })));
  const body = make("tbody");
  matrix.forEach((counted, truth) => {
    const total = counted.reduce((a, b) => a + b, 0);
    const tr = make("tr", {}, make("th", { text: className(truth) }));
    counted.forEach((n, answer) => {
      const td = make("td", { text: n || "", ...(truth === answer ? { class: "right" } : {}),
        title: `${className(truth)} taken for ${className(answer)}: ${n} of ${total}` });
      if (n) td.style.backgroundColor = `rgba(var(--heat), ${(0.55 * Math.sqrt(n / total)).toFixed(3)})`;
      tr.append(td);
    });
    tr.append(make("td", { text: total ? `${(100 * counted[truth] / total).toFixed(1)} %` : "–" }));
    body.append(tr);
  });
  table.append(make("thead", {}, head), body);
  return make("div", { class: "wide" }, table);
}

function matrixPicture(matrix) {
  const n = matrix.length, canvas = make("canvas", { width: n, height: n, class: "heat", role: "img",
    "aria-label": "Confusion matrix: a row is a class, a column an answer" });
  const context = canvas.getContext("2d"), heat = getComputedStyle(document.documentElement).getPropertyValue("--heat");
  matrix.forEach((counted, truth) => {
    const total = counted.reduce((a, b) => a + b, 0);
    counted.forEach((images, answer) => {
      if (!images) return;
      context.fillStyle = `rgba(${heat}, ${Math.sqrt(images / total)})`;
      context.fillRect(answer, truth, 1, 1);
    });
  });
  return canvas;
}

function worst(cells) {
  const wrong = cells.filter(([truth, answer]) => truth !== answer).sort((a, b) => b[2] - a[2]).slice(0, 8);
  const list = wrong.map(([truth, answer, n]) => row([className(truth), className(answer), String(n)]));
  return make("div", { class: "wide" }, make("table", {}, make("thead", {}, row(["most frequent: class", "taken for", "#images"], "th")),
    make("tbody", {}, ...list)));
}

function showMistakes() {
  const pick = make("select", { id: "subnet", "aria-label": "subnet" },
    ...data.platforms.map((p, i) => make("option", { value: i, text: p.name })));
  const into = make("div");
  const show = () => {
    const cells = data.platforms[Number(pick.value)].confusion, n = data.dataset.classes;
    const matrix = matrixOf(cells, n);
    into.replaceChildren(make("p", { class: "note", text: `${plural(data.dataset.test, "test image")}; top-1 ` +
      percent(family.platforms[Number(pick.value)].test_top1) }),
      n <= MOST_CLASSES ? matrixTable(matrix) : matrixPicture(matrix), make("p"), worst(cells));
  };
  pick.addEventListener("change", show);
  section("mistakes").append(make("label", { text: "subnet for " }, pick), into);
  show();
}

/* ---- Predicted against measured ---- */

function showLatency(platform) {
  const pairs = platform.validation;
  if (!pairs) return;
  const all = pairs.flat(), low = Math.min(...all), high = Math.max(...all);
  const errors = pairs.map(([p, m]) => Math.abs(p / m - 1)).sort((a, b) => a - b);
  const [box, show] = chart(`Predicted against measured latency for ${platform.name}`, (t) => ({
    datasets: [dots("a measured network", pairs.map(([p, m]) => ({ x: m, y: p })), t.blue, "circle", 5),
               curve("equal", [{ x: low, y: low }, { x: high, y: high }], t.dim, 1)],
    x: { title: "measured, ms" }, y: { title: "predicted, ms" },
    tooltip: { label: (item) => `measured ${digits(item.raw.x)} ms, predicted ${digits(item.raw.y)} ms` } }));
  section("latency").hidden = false;
  section("latency").querySelector(".grid").append(make("div", { class: "card" },
    make("h3", { text: `${platform.name}: ${platform.hardware.plugin}` }), box,
    make("p", { class: "note", text: `${plural(pairs.length, "network")}; the median of |predicted / measured - 1| is ` +
      `${percent(errors[Math.floor(errors.length / 2)])}, the largest ${percent(errors[errors.length - 1])}. ` +
      "These networks also set how the sum of layers is corrected." })));
  show();
}

/* ---- Run it again ---- */

const quote = (word) => (/^[\w.,:=/@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

function showFacts() {
  const m = data.machine, d = data.dataset;
  const facts = [
    ["seed", String(family.seed)],
    ["command", m.command.map(quote).join(" ")],
    ["pipeline", `the one below; as pipeline.json in ${data.out}, with split.json`],
    ["images", `${d.train} for training (${d.labelled} labelled, ${d.validation} for validation, ${d.heldout} held out), ${d.test} for the test` +
      (d.skipped ? `; ${d.skipped} could not be read and were left out` : "")],
    ["nashost", `${m.version}, plugin ABI ${m.abi.join(".")}, ${m.compiler}`],
    ["machine", `${m.processor || "processor not known"}; ${plural(m.processors, "processor")}, ${plural(m.threads, "thread")}, ${m.instructions} kernels`],
    ["system", m.system],
    ["written", m.date || "–"],
  ];
  const body = make("tbody", {}, ...facts.map(([name, text]) =>
    make("tr", {}, make("th", { text: name }), make("td", {}, make(name === "command" ? "code" : "span", { text })))));
  section("facts").append(body);
  section("pipeline").textContent = data.pipeline;
  section("again").append(make("p", { class: "note", text:
    "The same seed, program and kernels give the same bits at any number of threads: save the pipeline as a file " +
    "and give it to nashost run." }));
}

showFamily();
showPlatforms();
showTraining();
showPseudo();
showMistakes();
data.platforms.forEach(showLatency);
showFacts();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(draw));
