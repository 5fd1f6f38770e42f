/** A signal is a broadcast that happens once: who waits is woken, who comes later passes. */
import { op, run, Signal, spawn, yieldNow } from "cooperator";

const ready = new Signal({ name: "configuration" });

const service = op(function* service(name: string) {
  yield* ready.wait();
  console.log(`${name} starts`);
});

const program = op(function* program() {
  const early = [spawn(service("web")), spawn(service("mail"))];
  yield* yieldNow();
  console.log(`waiting: ${ready.waiting}`);
  ready.notify();
  for (const task of early) yield* task.join();
  yield* service("late");
});

await run(program());
