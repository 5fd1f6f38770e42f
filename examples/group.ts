/** A group waits for all of its children, and the first failure stops the rest. */
import { group, op, run, sleep } from "cooperator";

const part = op(function* part(name: string, milliseconds: number, good: boolean) {
  try {
    yield* sleep(milliseconds);
    if (!good) throw new Error(`${name} failed`);
    return name;
  } finally {
    console.log(`${name} is over`);
  }
});

const program = op(function* program() {
  const both = yield* group(function* (g) {
    const a = g.spawn(part("a", 10, true));
    const b = g.spawn(part("b", 20, true));
    return [yield* a.join(), yield* b.join()];
  });
  console.log(`both: ${both.join(" ")}`);

  try {
    yield* group(function* (g) {
      g.spawn(part("slow", 60_000, true));
      g.spawn(part("broken", 10, false));
    });
  } catch (error) {
    console.log(`caught: ${(error as Error).message}`);
  }
});

await run(program());
