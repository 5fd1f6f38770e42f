// A worker thread. Plays ping-pong over two words: waits for each number in the first, answers in the second.
import { workerData } from "node:worker_threads";

const { dist, words, rounds } = workerData;
const { run } = await import(`${dist}/index.js`);
const { futexWait, futexWake } = await import(`${dist}/io/index.js`);

await run(function* () {
  for (let round = 1; round <= rounds; round++) {
    while (Atomics.load(words, 0) < round) yield* futexWait(words, 0, round - 1);
    Atomics.store(words, 1, round);
    yield* futexWake(words, 1);
  }
});
