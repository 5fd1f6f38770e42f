/** A group waits for its work but not for its daemons; a detached task outlives its spawner. */
import { group, never, op, run, Signal, self, sleep, spawn } from "cooperator";

const closing = new Signal({ name: "closing time" });

const heartbeat = op(function* heartbeat() {
  try {
    yield* never();
  } finally {
    console.log(`heartbeat: ${self().cause?.reason}`);
  }
});

const audit = op(function* audit() {
  yield* closing.wait();
  console.log("audit: done, after its spawner");
});

const work = op(function* work() {
  const detached = spawn(audit(), { detached: true });
  yield* group(function* (g) {
    g.spawn(heartbeat(), { daemon: true });
    g.spawn(sleep("5 millis"));
  });
  console.log("work: done");
  return detached;
});

const program = op(function* program() {
  const detached = yield* spawn(work()).join();
  closing.notify();
  yield* detached.join();
});

await run(program());
