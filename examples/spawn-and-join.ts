/** Spawning children and joining them: a task waits for values, and a parent never ends before its children. */
import { op, run, sleep, spawn } from "cooperator";

const square = op(function* square(n: number) {
  yield* sleep(30 - n * 10);
  console.log(`${n} squared`);
  return n * n;
});

const program = op(function* program() {
  const tasks = [1, 2, 3].map((n) => spawn(square(n)));
  let sum = 0;
  for (const task of tasks) sum += yield* task.join();
  return sum;
});

console.log(`sum ${await run(program())}`);
