// Bars of a distribution.

class Bars extends Plot {
  bars = []; // {bound, count}: a count of at most `bound`

  get length() {
    return this.bars.length;
  }

  show(bars) {
    const last = bars.findLastIndex(({count}) => count > 0);
    this.bars = bars.slice(0, Math.max(last + 1, 8)); // 1 to 128 at least
    this.all = bars.reduce((sum, {count}) => sum + count, 0);
    if (this.cursor !== null) this.cursor = Math.min(this.cursor, this.bars.length - 1);
    this.draw();
  }

  get pitch() {
    return (this.wide - LEFT) / this.bars.length;
  }

  nearest(x) {
    return Math.min(Math.max(Math.floor((x - LEFT) / this.pitch), 0), this.bars.length - 1);
  }

  range(i) {
    const low = i > 0 ? this.bars[i - 1].bound + 1 : 1;
    const high = this.bars[i].bound;
    if (high === Infinity) return `over ${low - 1}`;
    return low >= high ? `${high}` : `${low} to ${high}`;
  }

  draw() {
    if (this.bars.length === 0) return;
    const share = ({count}) => (this.all > 0 ? count / this.all : 0);
    this.top = this.all > 0 ? ceiling(Math.max(...this.bars.map(share))) : 1;
    const parts = this.grid(percent);
    const wide = Math.min(this.pitch * 0.7, 44);
    const every = Math.ceil(34 / this.pitch);
    this.bars.forEach((bar, i) => {
      const x = LEFT + (i + 0.5) * this.pitch;
      const y = this.y(share(bar));
      parts.push(svg("rect", {class: "bar", x: x - wide / 2, y, width: wide, height: this.tall - FALL - y,
        opacity: this.cursor === null || this.cursor === i ? 1 : 0.45}));
      if (i % every === 0)
        parts.push(svg("text", {x, y: this.tall - 3, "text-anchor": "middle"}, bar.bound === Infinity ? "more" : plain(scaled(bar.bound))));
    });
    this.svg.replaceChildren(...parts);
    this.key.replaceChildren(...this.legend(share));
  }

  legend(share) {
    if (this.all === 0) return ["no batches in the last minute"];
    if (this.cursor === null)
      return [html("span", {}, "rows a batch, ", html("b", {}, whole(this.all)), " batches in the last minute")];
    const bar = this.bars[this.cursor];
    return [html("span", {}, `${this.range(this.cursor)} rows: `, html("b", {}, plain(percent(share(bar)))),
      ` of the batches, ${whole(bar.count)}`)];
  }
}
