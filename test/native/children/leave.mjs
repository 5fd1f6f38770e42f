// Usage: leave.mjs <how> <fifo>. Leaves the main thread with 1,000 operations in flight.
import { openSync } from "node:fs";
import { createRing, submitReads } from "./ring.mjs";

const [how, path] = process.argv.slice(2);
const ring = createRing(1024, 2048);
submitReads(ring, openSync(path, "r+"), 1000, 100);
ring.watch(() => {});

switch (how) {
  case "exit":
    process.exit(7);
    break;
  case "throw":
    throw new Error("left by throwing");
  case "reject":
    void Promise.reject(new Error("left by rejecting"));
    break;
  case "return":
    ring.unref();
    break;
  case "signal":
    process.kill(process.pid, "SIGTERM");
    break;
}
