// The server this page came from: whatever prefix a proxy gave it, with the key it may want.

const ROOT = location.pathname.replace(/\/*$/, "/");
const PATIENCE_MS = 10000;

let apiKey = ""; // in memory only

// What the server said instead of an answer.
class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const headers = {...options.headers};
  if (apiKey !== "") headers.Authorization = `Bearer ${apiKey}`;
  const response = await fetch(ROOT + path, {
    ...options, headers, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Refusal(response.status, problem.detail ?? `HTTP ${response.status}`);
}

const readInfo = async () => (await ask("v1/moe/info")).json();
// As text: how long it is says what it cost the server.
const readMetrics = async () => (await ask("metrics")).text();
const readExperts = async () => (await ask("v1/moe/experts")).text();

// Whether it is ready: null, or why not, in the server's words.
async function readState() {
  try {
    await ask("readyz");
    return null;
  } catch (error) {
    if (error instanceof Refusal && error.status === 503) return error.message;
    throw error;
  }
}

async function forward(layer, row) {
  const response = await ask(`v1/moe/layers/${layer}/forward`, {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({hidden_states: [row], return: ["output", "routing", "timing"]}),
  });
  return response.json();
}
