/** A shield holds a kill back until a step that must not be cut in half is done. */
import { KilledError, op, run, shield, sleep, spawn } from "cooperator";

const transfer = op(function* transfer() {
  console.log("take from one account");
  yield* sleep("30 millis");
  console.log("put into the other");
});

const clerk = op(function* clerk() {
  for (;;) {
    yield* shield(transfer());
    yield* sleep("1 minute");
    console.log("never reached");
  }
});

const program = op(function* program() {
  const task = spawn(clerk());
  yield* sleep("10 millis");
  console.log("kill");
  yield* task.killAndWait("closing time");
  try {
    yield* task.join();
  } catch (error) {
    console.log(`${error instanceof KilledError}: ${(error as KilledError).reason}`);
  }
});

await run(program());
