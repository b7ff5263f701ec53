// Try a row: sends one, shows who computed it and what came back.

class Trial {
  constructor(onRouting) {
    this.onRouting = onRouting;
    this.form = byId("try");
    this.answer = byId("try-answer");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    byId("try-numbers").addEventListener("input", () => this.choose());
    this.choose(); // a browser may remember what stood there
  }

  // The sine counts only where there are no numbers of one's own.
  choose() {
    const own = byId("try-numbers").value.trim() !== "";
    byId("try-phase").disabled = own;
    byId("try-sine").hidden = own;
    byId("try-own").hidden = !own;
  }

  offer(layers) {
    this.layers = layers;
    byId("try-layer").replaceChildren(...layers.map(({layer}) => html("option", {value: layer}, layer)));
  }

  row(layer) {
    const text = byId("try-numbers").value.trim();
    if (text === "") {
      const phase = Number(byId("try-phase").value);
      return Array.from({length: layer.hidden}, (_, i) => Math.fround(Math.sin(i + phase)));
    }
    return text.replace(/^\[+|\]+$/g, "").split(/[\s,;]+/).filter(Boolean).map((word) => {
      const value = Number(word);
      if (!Number.isFinite(value)) throw new Error(`found "${word}", expected a number`);
      return value;
    });
  }

  async send() {
    const button = this.form.querySelector("button");
    const layer = this.layers.find(({layer: index}) => index === Number(byId("try-layer").value));
    button.disabled = true;
    try {
      const row = this.row(layer);
      const begin = performance.now();
      const answer = await forward(layer.layer, row);
      this.show(layer, row, answer, performance.now() - begin);
    } catch (error) {
      this.answer.replaceChildren(html("p", {class: "problem"}, error.message));
    } finally {
      button.disabled = false;
    }
  }

  show(layer, row, answer, elapsed) {
    const [ids, weights] = [answer.routing.expert_ids[0], answer.routing.weights[0]];
    const {queue_us: queued, compute_us: computed, batch_rows: batchRows} = answer.timing;
    const largest = Math.max(...weights);
    const experts = ids.map((id, i) => html("tr", {}, html("td", {}, `expert ${id}`),
      html("td", {class: "wide"}, html("meter", {min: 0, max: largest, value: weights[i], "aria-label": `weight of expert ${id}`})),
      html("td", {}, weights[i].toPrecision(4))));
    const output = answer.output[0];
    const curl = byId("try-numbers").value.trim() === "" ? [this.command(layer)] : [];
    this.answer.replaceChildren(
      html("p", {}, `${plain(duration(elapsed / 1e3))} in all: ${whole(queued)} µs queued, ${whole(computed)} µs computed in a batch of ${whole(batchRows)}`),
      html("table", {}, html("tbody", {}, ...experts)),
      html("p", {}, `|x| = ${norm(row).toPrecision(4)}, |y| = ${norm(output).toPrecision(4)}; y begins ${output.slice(0, 4).map((value) => value.toPrecision(4)).join(", ")}`),
      outline(output), ...curl);
    this.onRouting(layer.layer, ids);
  }

  // The same request for a shell.
  command({layer, hidden}) {
    const phase = Number(byId("try-phase").value);
    const key = apiKey === "" ? "" : ` \\\n  -H "Authorization: Bearer $KEY"`;
    return html("details", {}, html("summary", {}, "As a command"), html("pre", {tabindex: 0},
      `row=$(awk 'BEGIN { for (i = 0; i < ${hidden}; i++) printf "%s%.7f", (i ? "," : ""), sin(i + ${phase}) }')\n` +
      `curl -sS ${location.origin}${ROOT}v1/moe/layers/${layer}/forward \\\n` +
      `  -H 'Content-Type: application/json'${key} \\\n` +
      `  -d "{\\"hidden_states\\": [[$row]], \\"return\\": [\\"output\\", \\"routing\\", \\"timing\\"]}"`));
  }
}

function norm(row) {
  return Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
}

// A row at a glance: the range of its values, column by column.
function outline(row) {
  const columns = Math.min(row.length, 240);
  const most = Math.max(...row.map(Math.abs)) || 1;
  const y = (value) => (20 - value / most * 18).toFixed(1);
  let path = "";
  for (let c = 0; c < columns; c++) {
    const part = row.slice(Math.floor(c * row.length / columns), Math.floor((c + 1) * row.length / columns));
    const x = (c + 0.5) * 480 / columns;
    path += `M${x.toFixed(1)} ${y(Math.max(0, ...part))}V${y(Math.min(0, ...part))}`;
  }
  return svg("svg", {viewBox: "0 0 480 40", preserveAspectRatio: "none", role: "img", "aria-label": "the output's values"},
    svg("path", {class: "line", d: path, "vector-effect": "non-scaling-stroke"}));
}
