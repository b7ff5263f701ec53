// The map of layers and experts on a canvas: cells, a balance bar a layer, a cell to point at.

const GUTTER = 34; // layer numbers, at the left
const BALANCE = 84; // bars and numbers, at the right
const TOP = 4;
const AXIS = 20; // expert numbers, below

// Jain's index and the busiest over the mean, of any counts.
function balanceOf(counts) {
  let sum = 0, squares = 0, max = 0;
  for (const value of counts) {
    sum += value;
    squares += value * value;
    max = Math.max(max, value);
  }
  if (sum === 0) return {jain: 1, ratio: 1};
  return {jain: sum * sum / (counts.length * squares), ratio: max * counts.length / sum};
}

// 256 colours between the stops --heat-0 to --heat-6 of the style.
function heatColours() {
  const style = getComputedStyle(document.documentElement);
  const stops = Array.from({length: 7}, (_, i) => style.getPropertyValue(`--heat-${i}`).trim())
    .map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Array.from({length: 256}, (_, i) => {
    const at = i / 255 * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    const mixed = stops[low].map((value, c) => Math.round(value + (stops[low + 1][c] - value) * (at - low)));
    return `rgb(${mixed.join()})`;
  });
}

class HeatMap {
  layers = []; // {layer, values}
  scale = "linear";
  cursor = null; // {row, expert}
  chosen = {layer: -1, experts: []}; // by the row that was tried
  onMove = () => {};

  constructor(canvas) {
    this.canvas = canvas;
    this.frame = canvas.parentElement;
    this.colours = heatColours();
    new ResizeObserver(() => this.draw()).observe(this.frame);
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerdown", (event) => this.point(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  recolour() {
    this.colours = heatColours();
    this.draw();
  }

  show(layers, scale) {
    this.layers = layers;
    this.scale = scale;
    this.experts = Math.max(1, ...layers.map(({values}) => values.length));
    this.max = layers.reduce((max, {values}) => values.reduce((a, b) => Math.max(a, b), max), 0);
    if (this.cursor && this.cursor.row >= layers.length) this.cursor = null;
    this.draw();
  }

  // 0 to 1.
  heat(value) {
    if (this.max <= 0 || value <= 0) return 0;
    return this.scale === "log" ? Math.log1p(value * 1e3 / this.max) / Math.log1p(1e3) : value / this.max;
  }

  measure() {
    const rows = this.layers.length;
    const width = Math.max(this.frame.clientWidth, GUTTER + BALANCE + this.experts * 1.5);
    const cell = rows <= 4 ? 34 : rows <= 12 ? 24 : rows <= 30 ? 16 : rows <= 64 ? 9 : 7;
    const tall = Math.max(1, this.layers.length) * cell;
    return {cell, width, grid: width - GUTTER - BALANCE, bottom: TOP + tall, height: TOP + tall + AXIS};
  }

  left(expert) {
    return GUTTER + Math.round(expert * this.size.grid / this.experts);
  }

  draw() {
    if (this.layers.length === 0) return;
    const size = this.size = this.measure();
    const ratio = window.devicePixelRatio;
    const {canvas} = this;
    canvas.style.width = `${size.width}px`;
    canvas.style.height = `${size.height}px`;
    canvas.width = Math.round(size.width * ratio);
    canvas.height = Math.round(size.height * ratio);
    const pen = this.pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    this.ink = style.getPropertyValue("--ink");
    this.soft = style.getPropertyValue("--soft");
    this.rule = style.getPropertyValue("--rule");
    pen.scale(ratio, ratio);
    pen.font = `11px ${style.fontFamily}`;
    pen.textBaseline = "middle";
    this.layers.forEach((layer, row) => this.drawLayer(layer, row));
    this.drawAxis();
    this.drawRings();
  }

  drawLayer({layer, values}, row) {
    const {pen, size: {cell, grid, width}} = this;
    const top = TOP + row * cell;
    const gap = cell >= 7 && grid / this.experts >= 4 ? 1 : 0;
    for (let e = 0; e < values.length; e++) {
      const left = this.left(e);
      pen.fillStyle = this.colours[Math.round(this.heat(values[e]) * 255)];
      pen.fillRect(left, top, this.left(e + 1) - left - gap, cell - gap);
    }
    const every = Math.ceil(14 / cell);
    const {jain, ratio} = balanceOf(values);
    const start = GUTTER + grid + 10;
    const long = BALANCE - 52;
    pen.fillStyle = this.rule;
    pen.fillRect(start, top + cell / 2 - 2, long, 3);
    pen.fillStyle = this.ink;
    pen.fillRect(start, top + cell / 2 - 2, long * jain, 3);
    if (row % every !== 0) return;
    pen.fillStyle = this.soft;
    pen.textAlign = "right";
    pen.fillText(layer, GUTTER - 8, top + cell / 2);
    pen.fillText(`${ratio.toFixed(1)}×`, width, top + cell / 2);
  }

  drawAxis() {
    const {pen, size: {bottom, grid, width}, experts} = this;
    let step = 1;
    while (step * grid / experts < 34) step *= 2;
    pen.fillStyle = this.soft;
    pen.textAlign = "center";
    for (let e = 0; e < experts; e += step) pen.fillText(e, (this.left(e) + this.left(e + 1)) / 2, bottom + 12);
    pen.textAlign = "right";
    pen.fillText("balance", width, bottom + 12);
  }

  ring(row, expert, colour, room) {
    const {cell} = this.size;
    const left = this.left(expert);
    this.pen.strokeStyle = colour;
    this.pen.lineWidth = 2;
    this.pen.strokeRect(left - room, TOP + row * cell - room, this.left(expert + 1) - left + 2 * room - 1, cell + 2 * room - 1);
  }

  drawRings() {
    const row = this.layers.findIndex(({layer}) => layer === this.chosen.layer);
    if (row >= 0) for (const expert of this.chosen.experts) this.ring(row, expert, this.ink, 0);
    if (this.cursor) this.ring(this.cursor.row, this.cursor.expert, this.ink, 2);
  }

  choose(layer, experts) {
    this.chosen = {layer, experts};
    this.draw();
  }

  move(row, expert) {
    const last = (list) => list.length - 1;
    row = Math.min(Math.max(row, 0), last(this.layers));
    expert = Math.min(Math.max(expert, 0), last(this.layers[row].values));
    this.cursor = {row, expert};
    this.draw();
    this.onMove();
  }

  point(event) {
    if (this.layers.length === 0) return;
    const at = (event.offsetX - GUTTER) * this.experts / this.size.grid;
    if (at < 0 || at >= this.experts || event.offsetY >= this.size.bottom) return;
    this.move(Math.floor((event.offsetY - TOP) / this.size.cell), Math.floor(at));
  }

  key(event) {
    const {row, expert} = this.cursor ?? {row: 0, expert: -1};
    const ends = {
      ArrowLeft: [row, expert - 1], ArrowRight: [row, expert + 1], ArrowUp: [row - 1, expert],
      ArrowDown: [row + 1, expert], Home: [row, 0], End: [row, Infinity],
      PageUp: [0, expert], PageDown: [Infinity, expert],
    }[event.key];
    if (ends === undefined || this.layers.length === 0) return;
    event.preventDefault();
    this.move(...ends);
  }
}
