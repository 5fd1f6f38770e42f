// Worker: writes single bytes at times nobody can foresee.
import { writeSync } from "node:fs";
import { workerData } from "node:worker_threads";

const { fd, count, seed } = workerData;
let state = seed;
for (let i = 0; i < count; i++) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  for (let spin = state >>> 20; spin > 0; spin--);
  writeSync(fd, "x");
}
