// Usage: watch-exit.mjs <how> <fifo>. Watches a ring and leaves in one of several ways.
import { openSync, writeSync } from "node:fs";
import { createRing, submitReads } from "./ring.mjs";

const [how, path] = process.argv.slice(2);
const fd = openSync(path, "r+");
const ring = createRing();
submitReads(ring, fd, 1);

switch (how) {
  case "unref":
    ring.watch(() => {});
    ring.unref();
    break;
  case "ref-again":
    ring.watch(() => ring.unref());
    ring.unref();
    ring.ref();
    writeSync(fd, "x");
    break;
  case "unwatch":
    ring.watch(() => {});
    ring.unwatch();
    break;
  case "close":
    ring.watch(() => {});
    ring.close();
    break;
  case "throw":
    ring.watch(() => {
      throw new Error("from the callback");
    });
    writeSync(fd, "x");
    break;
  case "throw-caught":
    process.on("uncaughtException", (error) => {
      console.log(`caught ${error.message}`);
      ring.close();
    });
    ring.watch(() => {
      throw new Error("from the callback");
    });
    writeSync(fd, "x");
    break;
  case "exit-inside":
    ring.watch(() => process.exit(5));
    writeSync(fd, "x");
    break;
}
