/** Waiting for others: an event goes on and off, a latch counts down, a barrier waits for everybody. */
import { group, op, run, sleep } from "cooperator";
import { Barrier, Event, Latch } from "cooperator/sync";

const open = new Event({ name: "open" });
const loaded = new Latch(3, { name: "loaded" });
const phase = new Barrier(3, { name: "phase" });

const worker = op(function* worker(name: string, delay: number) {
  yield* sleep(delay);
  console.log(`${name} has loaded`);
  loaded.countDown();
  yield* open.wait();
  for (const step of ["map", "reduce"]) {
    console.log(`${name}: ${step}`);
    yield* phase.arrive();
  }
});

const program = op(function* program() {
  yield* group(function* (g) {
    g.spawn(worker("a", 1));
    g.spawn(worker("b", 5));
    g.spawn(worker("c", 10));
    yield* loaded.wait();
    console.log("all have loaded");
    open.set();
  });
  console.log(`rounds: ${phase.statistics().rounds}`);
});

await run(program());
