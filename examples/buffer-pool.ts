/** A pool bounds memory: who finds it empty waits in line, and a buffer comes back however its user ends. */
import { op, run, sleep, spawn } from "cooperator";
import { BufferPool } from "cooperator/io";

const user = op(function* user(pool: BufferPool, name: string) {
  using lease = yield* pool.claim();
  lease.bytes.fill(name);
  yield* sleep("10 millis");
  console.log(`${name} had ${lease.bytes.length} bytes, ${pool.statistics().waiting} wait`);
});

const program = op(function* program() {
  const pool = new BufferPool({ size: 4096, count: 2 });
  const tasks = ["a", "b", "c", "d"].map((name) => spawn(user(pool, name)));
  for (const task of tasks) yield* task.join();

  const killed = spawn(user(pool, "e"));
  yield* sleep("1 millis");
  yield* killed.killAndWait();
  const { claimed, released, free, total } = pool.statistics();
  console.log(`claimed ${claimed}, released ${released}, free ${free} of ${total}`);
});

await run(program());
