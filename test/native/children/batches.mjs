// Worker: a ring of its own, and many operations through it.
import { parentPort, workerData } from "node:worker_threads";
import { createRing, k } from "./ring.mjs";

const ring = createRing(32, 64);
const words = new Int32Array(ring.ringMemory);
const sqes = new Int32Array(ring.sqeMemory);
let sum = 0;
for (let round = 0; round < 200; round++) {
  const tail = words[ring.sqTailOffset >> 2];
  for (let i = 0; i < 32; i++) {
    const base = ((tail + i) & 31) * k.SQE_WORDS;
    sqes.fill(0, base, base + k.SQE_WORDS);
    sqes[base + k.SQE_WORD_USER_DATA] = workerData.id;
  }
  Atomics.store(words, ring.sqTailOffset >> 2, tail + 32);
  if (ring.flush(32) !== 32) throw new Error("flush");
  let head = words[ring.cqHeadOffset >> 2];
  const end = Atomics.load(words, ring.cqTailOffset >> 2);
  for (; head !== end; head++) sum += words[(ring.cqesOffset >> 2) + (head & 63) * k.CQE_WORDS];
  Atomics.store(words, ring.cqHeadOffset >> 2, head);
}
parentPort.postMessage(sum);
