// What is served: the model, the backend, and the layers, alike ones together.

// 0, 1, 2, 5 is "0-2, 5".
function ranges(numbers) {
  const parts = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([low, high]) => (low === high ? `${low}` : `${low}-${high}`)).join(", ");
}

// "128", or "0-63 of 128" where other shards have the rest.
function expertsHere({experts, experts_held: held = []}) {
  const count = held.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  return count === 0 || count === experts ? experts : `${held.map((pair) => pair.join("-")).join(", ")} of ${experts}`;
}

function layerShape(layer) {
  const {experts_used: used, hidden, expert_width: width, types, bytes: size} = layer;
  const {gate, up, down} = types;
  const kinds = gate === up && up === down ? down : [gate, up, down].filter(Boolean).join(" ");
  return [expertsHere(layer), used, hidden, width, kinds, plain(bytes(size))];
}

function ofBlocks(served, count) {
  return count === 1 ? "the model's only block" : `${served} of ${count} blocks`;
}

function showServed(info) {
  const {backend, layers, limits} = info;
  const all = layers.reduce((sum, {bytes: size}) => sum + size, 0);
  const facts = [
    ["Model", `${info.name}, ${info.architecture}`],
    ["Layers", `${ranges(layers.map(({layer}) => layer))}: ${ofBlocks(layers.length, info.block_count)}, ${plain(bytes(all))}`],
    ["Backend", `${backend.name}, ${backend.isa}, ${backend.threads} threads, ${backend.activations} activations`],
    ["Limits", `${whole(limits.max_request_rows)} rows a request, ${whole(limits.max_batch_rows)} a batch, ${whole(limits.max_queue_rows)} queued`],
    ["Router", layers[0]?.router ?? "–"],
    ["Fingerprint", info.fingerprint.split(":").at(-1).slice(0, 16)],
    ["Version", info.version],
  ];
  byId("served").replaceChildren(...facts.flatMap(([name, text]) => [html("dt", {}, name), html("dd", {}, text)]));
  const groups = new Map(); // by shape
  for (const layer of layers) {
    const shape = layerShape(layer);
    const key = shape.join("|");
    if (!groups.has(key)) groups.set(key, {shape, indices: []});
    groups.get(key).indices.push(layer.layer);
  }
  byId("layers").tBodies[0].replaceChildren(...[...groups.values()].map(({shape, indices}) =>
    html("tr", {}, html("td", {}, ranges(indices)), ...shape.map((text) => html("td", {}, text)))));
  byId("model").textContent = info.name;
  document.title = `${info.name} · moed`;
}
