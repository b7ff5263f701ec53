// Lines over the last minutes.

class Lines extends Plot {
  points = [];

  // names: of the values; format: a value into [number, unit].
  constructor(place, label, names, format) {
    super(place, label);
    this.names = names;
    this.format = format;
  }

  get length() {
    return this.points.length;
  }

  show(points) {
    this.points = points;
    if (this.cursor !== null) this.cursor = Math.min(this.cursor, points.length - 1);
    this.draw();
  }

  // Whole minutes, as many as there are points of.
  get minutes() {
    const [first, last] = [this.points[0].at, this.points.at(-1).at];
    return Math.min(Math.max(Math.ceil((last - first) / MINUTE_S), 1), SPAN_S / MINUTE_S);
  }

  x(at) {
    const share = (this.points.at(-1).at - at) / (this.minutes * MINUTE_S);
    return Math.max(this.wide - share * (this.wide - LEFT), LEFT);
  }

  nearest(x) {
    let best = null, least = Infinity;
    this.points.forEach(({at}, i) => {
      const apart = Math.abs(this.x(at) - x);
      if (apart < least) [best, least] = [i, apart];
    });
    return best;
  }

  // Runs of points that have a value; where one has none, the line has a gap.
  runs(series) {
    const runs = [[]];
    for (const {at, values} of this.points)
      if (Number.isFinite(values[series])) runs.at(-1).push({x: this.x(at), y: this.y(values[series])});
      else if (runs.at(-1).length > 0) runs.push([]);
    return runs.filter((run) => run.length > 0);
  }

  line(series) {
    const runs = this.runs(series);
    const steps = (run) => run.map(({x, y}) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
    const base = this.y(0);
    const parts = [svg("path", {class: series > 0 ? "line b" : "line", d: runs.map((run) => `M${steps(run)}`).join("")})];
    if (this.names.length === 1)
      parts.push(svg("path", {class: "area", d: runs.map((run) => `M${run[0].x} ${base}L${steps(run)}L${run.at(-1).x} ${base}Z`).join("")}));
    return parts;
  }

  draw() {
    if (this.points.length === 0) return;
    const finite = this.points.flatMap(({values}) => values).filter(Number.isFinite);
    this.top = ceiling(Math.max(0, ...finite));
    const parts = this.grid(this.format);
    const base = this.tall - 3;
    parts.push(svg("text", {x: LEFT, y: base}, `${this.minutes} min ago`),
      svg("text", {x: this.wide, y: base, "text-anchor": "end"}, "now"));
    for (let series = this.names.length - 1; series >= 0; series--)
      parts.push(...this.line(series));
    const shown = this.points[this.cursor ?? this.points.length - 1];
    if (this.cursor !== null) {
      const x = this.x(shown.at);
      parts.push(svg("line", {class: "cursor", x1: x, x2: x, y1: RISE, y2: this.tall - FALL}));
    }
    this.svg.replaceChildren(...parts);
    this.key.replaceChildren(...this.legend(shown));
  }

  legend({at, values}) {
    const ago = Math.round(this.points.at(-1).at - at);
    const entries = this.names.map((name, i) => html("span", {class: i > 0 ? "b" : "a"}, html("i", {}), `${name} `,
      html("b", {}, Number.isFinite(values[i]) ? plain(this.format(values[i])) : "–")));
    return this.cursor === null ? entries : [...entries, `${ago} s ago`];
  }
}
