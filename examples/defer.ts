/** A defer runs when the task's children are gone, last registered first, however the task ends. */
import { defer, op, run, sleep, spawn } from "cooperator";

const child = op(function* child() {
  try {
    yield* sleep("1 minute");
  } finally {
    console.log("child: stopped");
  }
});

const parent = op(function* parent() {
  defer(() => console.log("parent: the log is closed"));
  defer(function* () {
    yield* sleep("10 millis");
    console.log("parent: the cache is flushed");
  });
  spawn(child());
  yield* sleep("10 millis");
  console.log("parent: returns");
});

await run(parent());
