/** A kill is recursive, unwinds with clean-up, has a reason, and is over when the last child has cleaned up. */
import { never, op, run, self, sleep, spawn } from "cooperator";

const worker = op(function* worker(name: string) {
  try {
    yield* never();
  } finally {
    // Clean-up may wait. No second kill interrupts it.
    yield* sleep("20 millis");
    console.log(`${name} has cleaned up: ${self().cause?.reason}`);
  }
});

const manager = op(function* manager() {
  spawn(worker("first"));
  spawn(worker("second"));
  try {
    yield* never();
  } finally {
    console.log("the manager cleans up after its workers");
  }
});

const program = op(function* program() {
  const task = spawn(manager());
  yield* sleep("20 millis");
  const exit = yield* task.killAndWait("superseded", { within: "1 second" });
  console.log(`exit: ${exit.status}`);
});

await run(program());
