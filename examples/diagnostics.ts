/** What a program tells about itself: kill hooks, calls from outside, instruments, stalls and deadlocks. */
import { Coordinator, DeadlockError, never, onKill, op, run, self, sleep, spawn } from "cooperator";

const program = op(function* program() {
  const { cooperator } = self();

  // A tool listens.
  let spawned = 0;
  const off = cooperator.instrument({ spawned: () => spawned++ });
  const worker = spawn(
    function* worker() {
      onKill(({ reason }) => console.log(`the worker is told: ${reason}`));
      yield* never();
    },
    { name: "worker" },
  );
  yield* sleep(1);
  off();
  console.log(`tasks spawned: ${spawned}`);

  // A listener of Node's hands in work.
  setTimeout(() => cooperator.post(() => worker.kill("time to go")), 1);
  yield* worker.settled();

  // A step that keeps everybody waiting is reported.
  const end = performance.now() + 250;
  while (performance.now() < end);
  yield* sleep(1);

  // Two who wait for each other.
  const lock = new Coordinator({ name: "lock" });
  yield* lock.acquire();
  yield* spawn(lock.acquire(), { name: "other" }).join();
});

try {
  await run(program(), {
    stallAfter: "200 millis",
    report: ({ kind, task }) => console.log(`${kind}: ${task?.name}`),
  });
} catch (error) {
  if (!(error instanceof DeadlockError)) throw error;
  console.log(error.message.split("\n")[1]);
}
