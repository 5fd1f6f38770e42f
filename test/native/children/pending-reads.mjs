// Worker: two rings with reads that never end. `leave` says how the thread goes.
import { parentPort, workerData } from "node:worker_threads";
import { createRing, submitReads } from "./ring.mjs";

const { fd, leave } = workerData;
for (let i = 0; i < 2; i++) {
  const ring = createRing();
  submitReads(ring, fd, 8, 2);
  if (i === 0) {
    ring.watch(() => ring.flush(0));
    if (leave === "return") ring.unref();
  }
}
parentPort.postMessage("pending");
if (leave === "exit") process.exit(3);
if (leave === "throw") throw new Error("left by throwing");
if (leave === "spin") for (;;);
if (leave === "stay") setInterval(() => {}, 60_000);
