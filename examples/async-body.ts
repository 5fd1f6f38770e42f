/** A task body may be an async function: same tree, same kill; operations are awaited through self.wait. */
import { op, run, sleep, spawn } from "cooperator";

const program = op(function* program() {
  const worker = spawn(async function worker(self) {
    self.signal.addEventListener("abort", () => console.log("aborted: stop what you fetch"));
    self.spawn(async (inner) => {
      try {
        await inner.wait(sleep("1 hour"));
      } finally {
        console.log("the child cleans up");
      }
    });
    try {
      for (;;) await self.wait(sleep("1 hour"));
    } finally {
      await self.wait(sleep("10 millis"));
      console.log("clean-up may wait");
    }
  });
  yield* sleep("20 millis");
  const exit = yield* worker.killAndWait("superseded");
  console.log(`exit: ${exit.status}`);
});

await run(program());
