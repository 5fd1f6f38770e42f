// Usage: simulate.mjs DIST [--seeds N] [--from N]. Random io programs on the simulated kernel (docs/testing.md), one for each
// seed, on all cores. Prints one line of JSON; the exit code is 1 when a seed fails, and its message says which.
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

/** Seeds that a thread takes at a time. */
const BATCH = 100;

if (isMainThread) await main();
else await work(workerData);

async function main() {
  const [dist, ...rest] = process.argv.slice(2);
  const option = (name, otherwise) =>
    rest.includes(`--${name}`) ? Number(rest[rest.indexOf(`--${name}`) + 1]) : otherwise;
  const from = option("from", 1);
  const end = from + option("seeds", 10_000);
  const taken = new Int32Array(new SharedArrayBuffer(4));
  const started = performance.now();
  const threads = Array.from({ length: availableParallelism() }, () => run({ dist, from, end, taken }));
  const results = await Promise.all(threads);
  const failures = results.map(({ failure }) => failure).filter((failure) => failure !== null);
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  console.log(JSON.stringify({ ...results.map(({ totals }) => totals).reduce(sum), seconds, failures }));
  process.exitCode = failures.length === 0 ? 0 : 1;
}

/** Its totals, when it has come to its end. */
function run(data) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: data });
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

async function work({ dist, from, end, taken }) {
  const { runSimulation } = await import(`${dist}/testing/index.js`);
  let totals = {};
  let failure = null;
  while (failure === null) {
    // What a weak reference was made to is not collected before the end of the turn.
    await setImmediate();
    const first = from + Atomics.add(taken, 0, 1) * BATCH;
    if (first >= end) break;
    try {
      totals = sum(totals, runSimulation(Math.min(BATCH, end - first), undefined, { from: first }));
    } catch (error) {
      // The others end with what they have begun.
      Atomics.store(taken, 0, end);
      failure = `${error.message}\n${error.cause?.stack}`;
    }
  }
  parentPort.postMessage({ totals, failure });
}

/** Field by field. */
function sum(a, b) {
  const total = { ...a };
  for (const [name, value] of Object.entries(b)) {
    total[name] = typeof value === "number" ? (total[name] ?? 0) + value : sum(total[name] ?? {}, value);
  }
  return total;
}
