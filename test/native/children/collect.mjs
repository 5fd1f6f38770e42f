// Usage: node --expose-gc collect.mjs. Keeps one part of a ring at a time and collects the others.
import { execFileSync } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { binding, createRing, k, submitReads } from "./ring.mjs";

const EBADF = 9;
const directory = mkdtempSync(join(tmpdir(), "cooperator-collect-"));
const fifo = join(directory, "fifo");
execFileSync("mkfifo", [fifo]);
const fd = openSync(fifo, "r+");
rmSync(directory, { recursive: true });

async function collect() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function check(condition, what) {
  if (!condition) throw new Error(what);
}

// A function taken out of the object finds its ring, open and closed.
let flush = createRing().flush;
await collect();
check(flush(0) === 0, "flush of an open ring");
let close = (() => {
  const ring = createRing();
  flush = ring.flush;
  return ring.close;
})();
await collect();
close();
close = null;
await collect();
check(flush(0) === -EBADF, "flush of a closed ring");

// A view alone keeps the memory, whatever became of the ring.
const views = [];
for (let i = 0; i < 20; i++) {
  const ring = createRing();
  views.push(new Int32Array(i % 2 === 0 ? ring.ringMemory : ring.sqeMemory));
  ring.close();
}
await collect();
for (const view of views) view.fill(7);
check(
  views.every((view) => view[view.length - 1] === 7),
  "memory of a closed ring",
);
views.length = 0;
await collect();

// A watch keeps its callback.
const ring = createRing();
const woken = new Promise((resolve) => {
  ring.watch(() => {
    ring.flush(0);
    ring.unwatch();
    resolve();
  });
});
submitReads(ring, fd, 1);
await collect();
writeSync(fd, "x");
await woken;

// Registered buffers are kept for the kernel: this one is reachable from nowhere else.
const size = 1 << 16;
(() => {
  const view = new Uint8Array(new SharedArrayBuffer(size));
  check(ring.registerBuffers(view, 1, size) === 0, "registerBuffers");
})();
await collect();
const junk = Array.from({ length: 50 }, () => new Uint8Array(new SharedArrayBuffer(size)));
check(ring.unregisterBuffers() === 0, "unregisterBuffers");
check(
  junk.every((view) => view.every((byte) => byte === 0)),
  "other memory",
);
ring.close();

// Rings nobody holds stay open until the thread ends, which must close them then.
for (let i = 0; i < 5; i++) submitReads(createRing(), fd, 4);
globalThis.pinned.length = 0;
await collect();
check(readFileSync("/proc/self/maps", "utf8").includes("io_uring"), "forgotten rings are open");
check(binding.addressOf(new Uint8Array(0)) === 0 && k.OP_NOP === 0, "the addon still answers");
console.log("done");
