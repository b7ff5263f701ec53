// What a chart needs whatever it shows: a scale, a grid, a cursor to read it by. In SVG.

const WIDE = 480, TALL = 150, LEFT = 46, RISE = 6, FALL = 18;

// A round number that is not below: 1, 2 or 5 times a power of ten.
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999999);
}

class Plot {
  constructor(place, label) {
    this.key = html("p", {class: "key"});
    this.svg = svg("svg", {role: "img", tabindex: 0, "aria-label": label});
    place.classList.add("chart");
    place.append(this.key, this.svg);
    this.cursor = null; // an index into what is shown
    this.svg.addEventListener("pointermove", (event) => this.pick(event));
    this.svg.addEventListener("pointerleave", () => this.moveTo(null));
    this.svg.addEventListener("blur", () => this.moveTo(null));
    this.svg.addEventListener("keydown", (event) => this.step(event));
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  // The plot's own units are pixels, so that text keeps its size.
  get wide() {
    return this.svg.clientWidth || WIDE;
  }

  get tall() {
    return this.svg.clientHeight || TALL;
  }

  y(value) {
    return RISE + (this.tall - FALL - RISE) * (1 - value / this.top);
  }

  grid(format) {
    return [0, 0.5, 1].flatMap((share) => {
      const y = Math.round(this.y(share * this.top)) + 0.5;
      return [svg("line", {class: "grid", x1: LEFT, x2: this.wide, y1: y, y2: y}),
        svg("text", {x: LEFT - 8, y: y + 4, "text-anchor": "end"}, tick(format(share * this.top)))];
    });
  }

  moveTo(index) {
    this.cursor = index;
    this.draw();
  }

  pick(event) {
    const x = event.clientX - this.svg.getBoundingClientRect().left;
    this.moveTo(this.nearest(x));
  }

  step(event) {
    const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (by === undefined || this.length === 0) return;
    event.preventDefault();
    this.moveTo(Math.min(Math.max((this.cursor ?? this.length - (by > 0)) + by, 0), this.length - 1));
  }
}
