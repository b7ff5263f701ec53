// The last minutes: readings of the server's counters, and what happened between them.

const SPAN_S = 300; // of the charts
const NOW_S = 10; // of the tiles
const MINUTE_S = 60;

const takesRows = ({route}) => /\/(forward|route|infer)$/.test(route);
const answered = (labels) => takesRows(labels) && labels.code.startsWith("2");
const refused = (labels) => takesRows(labels) && !labels.code.startsWith("2");

// What the page needs of one /metrics.
function reading(metrics, at) {
  return {
    at,
    started: total(metrics, "process_start_time_seconds"),
    rows: total(metrics, "moed_rows_total"),
    requests: total(metrics, "moed_http_requests_total", answered),
    refused: total(metrics, "moed_http_requests_total", refused),
    busy: total(metrics, "moed_worker_busy_seconds_total"),
    workers: metrics.get("moed_worker_busy_seconds_total")?.length ?? 0,
    weights: total(metrics, "moed_expert_weight_bytes_total"),
    queue: total(metrics, "moed_queue_rows"),
    latency: buckets(metrics, "moed_http_request_duration_seconds", takesRows),
    batches: buckets(metrics, "moed_batch_rows"),
  };
}

class History {
  readings = [];

  add(next) {
    if (this.readings.at(-1)?.started !== next.started) this.readings = []; // another process
    this.readings.push(next);
    while (this.readings[0].at < next.at - SPAN_S) this.readings.shift();
  }

  // The newest reading that is at least so many seconds older than reading `i`; else the oldest.
  before(i, seconds) {
    let k = i;
    while (k > 0 && this.readings[k].at > this.readings[i].at - seconds) k--;
    return this.readings[k];
  }

  // What happened in the seconds up to reading `i`; null for the first reading.
  between(i, seconds) {
    const now = this.readings[i];
    const then = this.before(i, seconds);
    const elapsed = now.at - then.at;
    if (elapsed <= 0) return null;
    const rate = (field) => (now[field] - then[field]) / elapsed;
    const latency = since(then.latency, now.latency);
    return {
      rows: rate("rows"), requests: rate("requests"), refused: rate("refused"),
      // A batch is counted when it ends, also what of it came before `then`: no more than all the time.
      busy: now.workers > 0 ? Math.min(rate("busy") / now.workers, 1) : 0, weights: rate("weights"),
      p50: quantile(latency, 0.5), p99: quantile(latency, 0.99),
    };
  }

  now() {
    return this.readings.length > 0 ? this.between(this.readings.length - 1, NOW_S) : null;
  }

  // Points of a chart: [{at, values}].
  points(values) {
    return this.readings.map((now, i) => ({at: now.at, values: values(this.between(i, NOW_S), now)}));
  }

  // Batches of the last minute: [{bound, count}], the counts of single buckets.
  batches() {
    const now = this.readings.at(-1);
    const then = this.before(this.readings.length - 1, MINUTE_S);
    const counts = since(then.batches, now.batches);
    return counts.map(({bound, count}, i) => ({bound, count: count - (counts[i - 1]?.count ?? 0)}));
  }
}

// The experts' counts as they were up to a minute ago, for what was added since.
class Minute {
  snapshots = [];

  // Layers of /v1/moe/experts; gives the counts since the oldest snapshot.
  add(layers, at) {
    const last = this.snapshots.at(-1);
    if (last && layers.some(({rows}, i) => rows < (last.layers[i]?.rows ?? 0))) this.snapshots = []; // reset
    this.snapshots.push({at, layers});
    while (this.snapshots.length > 2 && this.snapshots[1].at <= at - MINUTE_S) this.snapshots.shift();
    const old = this.snapshots[0].layers;
    const less = (now, then) => now.map((value, e) => value - (then?.[e] ?? 0));
    return layers.map((layer, i) => ({
      ...layer, rows: layer.rows - (old[i]?.rows ?? 0),
      tokens: less(layer.tokens, old[i]?.tokens), weight_mass: less(layer.weight_mass, old[i]?.weight_mass),
    }));
  }

  clear() {
    this.snapshots = [];
  }
}
