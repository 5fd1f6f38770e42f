/** An Effect program as a task body, with operations in it: one tree, one kill. */
import { op, run, Signal, sleep, spawn } from "cooperator";
import { runEffect, toEffect } from "cooperator/effect";
import { Effect } from "effect";

const greeted = new Signal({ name: "greeted" });

const service = Effect.gen(function* () {
  yield* Effect.acquireRelease(Effect.succeed("connection"), (connection) =>
    Effect.gen(function* () {
      yield* toEffect(sleep("10 millis"));
      console.log(`${connection} closed`);
    }).pipe(Effect.orDie),
  );
  const greeting = yield* toEffect(() => greet("Ada"));
  console.log(greeting);
  greeted.notify();
  yield* toEffect(() => sleep("1 hour"));
}).pipe(Effect.scoped);

const greet = op(function* greet(name: string) {
  yield* sleep("1 millis");
  return `hello ${name}`;
});

const program = op(function* program() {
  const task = spawn(runEffect(service), { name: "service" });
  yield* greeted.wait();
  const exit = yield* task.killAndWait("superseded");
  console.log(`exit: ${exit.status}`);
});

await run(program());
