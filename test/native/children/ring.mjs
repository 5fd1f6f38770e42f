// What the programs in this directory share. Plain JavaScript, so that every supported Node runs it.
import { createRequire } from "node:module";

export const binding = createRequire(import.meta.url)("../../../build/Release/cooperator.node");
export const k = binding.layout();

const opcodes = [k.OP_NOP, k.OP_READ, k.OP_ASYNC_CANCEL];

export function createRing(sqEntries = 64, cqEntries = 256) {
  return binding.createRing({ sqEntries, cqEntries, opcodes });
}

// The kernel writes to these until it is done: they must not be collected.
globalThis.pinned = [];

/** Submits `count` one-byte reads of `fd`; `asyncEvery`-th ones run in a kernel thread. */
export function submitReads(ring, fd, count, asyncEvery = 0) {
  const words = new Int32Array(ring.ringMemory);
  const sqes = new Int32Array(ring.sqeMemory);
  const buffer = new Uint8Array(new SharedArrayBuffer(count));
  globalThis.pinned.push(ring, buffer);
  const start = words[ring.sqTailOffset >> 2];
  for (let i = 0; i < count; i++) {
    const address = binding.addressOf(buffer) + i;
    const base = ((start + i) & (ring.sqEntries - 1)) * k.SQE_WORDS;
    const flags = asyncEvery > 0 && i % asyncEvery === 0 ? k.SQE_ASYNC : 0;
    sqes.fill(0, base, base + k.SQE_WORDS);
    sqes[base] = k.OP_READ | (flags << k.SQE_FLAGS_SHIFT);
    sqes[base + k.SQE_WORD_FD] = fd;
    sqes[base + k.SQE_WORD_OFF] = -1;
    sqes[base + k.SQE_WORD_OFF + 1] = -1;
    sqes[base + k.SQE_WORD_ADDR] = address | 0;
    sqes[base + k.SQE_WORD_ADDR + 1] = Math.floor(address / 2 ** 32);
    sqes[base + k.SQE_WORD_LEN] = 1;
    sqes[base + k.SQE_WORD_USER_DATA] = i;
  }
  Atomics.store(words, ring.sqTailOffset >> 2, start + count);
  const taken = ring.flush(count);
  if (taken !== count) throw new Error(`flush took ${taken} of ${count}`);
  return buffer;
}
