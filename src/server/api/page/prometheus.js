// Prometheus' text format, as far as this server writes it, and what histograms tell.

const SAMPLE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

// A Map from a name to its series: [{labels, value}].
function parseMetrics(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    if (line.startsWith("#") || line.startsWith("moed_expert_rows_total")) continue;
    const match = SAMPLE.exec(line);
    if (match === null) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(LABEL)) labels[name] = value;
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({labels, value: Number(match[3])});
  }
  return found;
}

const every = () => true;

function total(metrics, name, keep = every) {
  let sum = 0;
  for (const {labels, value} of metrics.get(name) ?? []) if (keep(labels)) sum += value;
  return sum;
}

// A histogram, its series added: [{bound, count}], the counts cumulative.
function buckets(metrics, name, keep = every) {
  const counts = new Map();
  for (const {labels, value} of metrics.get(`${name}_bucket`) ?? []) {
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    if (keep(labels)) counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return [...counts].sort((a, b) => a[0] - b[0]).map(([bound, count]) => ({bound, count}));
}

// What was observed between two readings.
function since(before, after) {
  return after.map(({bound, count}, i) => ({bound, count: count - (before[i]?.count ?? 0)}));
}

// As Prometheus' histogram_quantile: linear inside of a bucket. NaN without observations.
function quantile(cumulative, q) {
  const all = cumulative.at(-1)?.count ?? 0;
  if (all <= 0) return NaN;
  const rank = q * all;
  const i = cumulative.findIndex(({count}) => count >= rank);
  const low = i > 0 ? cumulative[i - 1] : {bound: 0, count: 0};
  const {bound, count} = cumulative[i];
  if (bound === Infinity) return low.bound;
  return low.bound + (bound - low.bound) * (rank - low.count) / (count - low.count);
}
