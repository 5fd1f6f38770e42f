/** A task that waits for another thread, without a message and without blocking its own thread. */
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { op, run, sleep, spawn } from "cooperator";
import { futexWait, futexWake } from "cooperator/io";

const READY = 0;
const SUM = 1;

/** In the worker: computes, stores, and then says so. */
const compute = op(function* compute(words: Int32Array) {
  for (let i = 1; i <= 1000; i++) words[SUM]! += i;
  Atomics.store(words, READY, 1);
  yield* futexWake(words, READY);
});

const ticking = op(function* ticking() {
  let ticks = 0;
  try {
    for (;;) {
      yield* sleep("1 milli");
      ticks++;
    }
  } finally {
    console.log(`other tasks ran meanwhile: ${ticks > 0}`);
  }
});

const program = op(function* program() {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL(import.meta.url), { workerData: words });
  worker.on("error", (error) => console.error(error));
  const ticks = spawn(ticking());
  // Woken or not, the word tells: it may have changed before this began to wait.
  while (Atomics.load(words, READY) === 0) yield* futexWait(words, READY, 0);
  console.log(`the sum is ${words[SUM]}`);
  yield* ticks.killAndWait("enough");
});

await run(isMainThread ? program() : compute(workerData as Int32Array));
