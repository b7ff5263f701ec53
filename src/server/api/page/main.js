// Reads the server every other second, less often where that is much to print, and not at all while
// nobody looks; hands what it read to the parts of the page.

const PERIOD_MS = 2000;
const LONGEST_MS = 60000;
const BYTE_MS = 0.01; // printing one costs the server 20 to 60 ns: under 1 % of a core

const history = new History();
const minute = new Minute();
const heatMap = new HeatMap(byId("heat"));
const trial = new Trial((layer, ids) => heatMap.choose(layer, ids));
const perSecond = (value) => scaled(value, "/s");
const charts = {
  rows: new Lines(byId("chart-rows"), "Rows a second over the last five minutes", ["rows a second"], perSecond),
  latency: new Lines(byId("chart-latency"), "Latency over the last five minutes", ["p50", "p99"], duration),
  queue: new Lines(byId("chart-queue"), "Rows queued over the last five minutes", ["rows queued"], scaled),
  batch: new Bars(byId("chart-batch"), "Rows a batch in the last minute"),
};
let info = null;
let experts = null; // {total, minute}: layers
let expertsDue = 0;
let timer = 0;
let paused = false;
let polling = false;

function say(state, text) {
  byId("state").dataset.state = state;
  if (byId("state").textContent !== text) byId("state").textContent = text;
}

function tile(name, [number, unit]) {
  byId(`tile-${name}`).replaceChildren(number, html("small", {}, unit));
}

function showNow() {
  const now = history.now();
  tile("queue", scaled(history.readings.at(-1).queue));
  if (now === null) return;
  const time = (value) => (Number.isFinite(value) ? duration(value) : ["–", ""]);
  tile("rows", scaled(now.rows));
  tile("requests", scaled(now.requests));
  tile("refused", scaled(now.refused));
  tile("p50", time(now.p50));
  tile("p99", time(now.p99));
  tile("busy", percent(now.busy));
  tile("bandwidth", bytesPerSecond(now.weights));
}

function showCharts() {
  charts.rows.show(history.points((now) => [now?.rows]));
  charts.latency.show(history.points((now) => [now?.p50, now?.p99]));
  charts.queue.show(history.points((_, {queue}) => [queue]));
  charts.batch.show(history.batches());
}

function chosen(name) {
  return byId("heat-controls").elements[name].value;
}

function heatText(value) {
  return chosen("measure") === "tokens" ? whole(value) : digits(value);
}

function showCell() {
  if (heatMap.cursor === null) return;
  const {layer, values} = heatMap.layers[heatMap.cursor.row];
  const value = values[heatMap.cursor.expert];
  const sum = values.reduce((a, b) => a + b, 0);
  const share = sum > 0 ? `, ${plain(percent(value / sum))} of the layer, ${digits(value * values.length / sum)} × the mean` : "";
  const unit = chosen("measure") === "tokens" ? "rows" : "weight mass";
  byId("heat-cell").textContent = `Layer ${layer}, expert ${heatMap.cursor.expert}: ${heatText(value)} ${unit}${share}`;
}

function showLegend() {
  const ramp = byId("legend-ramp");
  ramp.width = 256;
  ramp.height = 1;
  const pen = ramp.getContext("2d");
  heatMap.colours.forEach((colour, i) => {
    pen.fillStyle = colour;
    pen.fillRect(i, 0, 1, 1);
  });
  byId("legend-high").textContent = heatText(heatMap.max);
}

function showHeat() {
  if (experts === null) return;
  const measure = chosen("measure") === "tokens" ? "tokens" : "weight_mass";
  const layers = experts[chosen("span")].map((layer) => ({layer: layer.layer, rows: layer.rows, values: layer[measure]}));
  heatMap.show(layers, chosen("scale"));
  showLegend();
  showCell();
  byId("balance").tBodies[0].replaceChildren(...layers.map(({layer, rows, values}) => {
    const {jain, ratio} = balanceOf(values);
    const busiest = values.indexOf(Math.max(...values));
    const cells = [whole(rows), values[busiest] > 0 ? busiest : "–", ratio.toFixed(2), jain.toFixed(3)];
    return html("tr", {}, html("td", {}, layer), ...cells.map((text) => html("td", {}, text)));
  }));
}

// How long to wait after a reading of so many bytes.
function pace(size) {
  return Math.min(Math.max(PERIOD_MS, size * BYTE_MS), LONGEST_MS);
}

async function readOnce() {
  const text = await readMetrics();
  const metrics = parseMetrics(text);
  const fresh = reading(metrics, performance.now() / 1e3);
  if (history.readings.at(-1)?.started !== fresh.started) info = null; // perhaps another model
  history.add(fresh);
  if (total(metrics, "moed_ready") === 1) say("ready", "ready");
  else say("wait", (await readState()) ?? "ready");
  showNow();
  showCharts();
  if (info === null) {
    info = await readInfo();
    minute.clear();
    showServed(info);
    trial.offer(info.layers);
  }
  if (performance.now() >= expertsDue) {
    const printed = await readExperts();
    const now = performance.now();
    const {layers} = JSON.parse(printed);
    expertsDue = now + pace(printed.length) - PERIOD_MS / 2;
    experts = {total: layers, minute: minute.add(layers, now / 1e3)};
    showHeat();
  }
  return pace(text.length);
}

const needsKey = (error) => error instanceof Refusal && error.status === 401;

function showTrouble(error) {
  if (needsKey(error)) {
    say("bad", "needs a key");
    byId("key").hidden = false;
    byId("key-refused").textContent = apiKey === "" ? "" : `That key was refused: ${error.message}`;
  } else if (error instanceof Refusal && error.status === 503) say("wait", error.message);
  else if (error instanceof Refusal) say("bad", `${error.status}: ${error.message}`);
  else say("bad", "does not answer");
}

async function poll() {
  clearTimeout(timer);
  if (polling || paused || document.hidden) return;
  polling = true;
  let due = PERIOD_MS;
  try {
    due = await readOnce();
    byId("key").hidden = true;
  } catch (error) {
    showTrouble(error);
    if (needsKey(error)) due = Infinity; // until there is one
  }
  polling = false;
  if (due < Infinity) timer = setTimeout(poll, due);
}

byId("heat-controls").addEventListener("change", showHeat);
heatMap.onMove = showCell;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  heatMap.recolour();
  showLegend();
});
document.addEventListener("visibilitychange", poll);
byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", paused);
  byId("pause").textContent = paused ? "Go on" : "Pause";
  poll();
});
byId("key").addEventListener("submit", (event) => {
  event.preventDefault();
  apiKey = byId("key-text").value;
  poll();
});
poll();
