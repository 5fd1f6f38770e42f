/** Finds a race by trying every order, and proves that the repair leaves none. */
import { Coordinator, sleep } from "cooperator";
import { interleave, ScheduleError } from "cooperator/testing";

/** A cache that fetches what it does not have: two readers at once may fetch twice. */
const readers = (locked: boolean) => () => {
  const lock = new Coordinator({ name: "lock" });
  let cached: string | null = null;
  let fetches = 0;
  function* read() {
    if (locked) yield* lock.acquire();
    try {
      if (cached === null) {
        fetches++;
        yield* sleep("20 millis");
        cached = "page";
      }
      return cached;
    } finally {
      if (locked) lock.release();
    }
  }
  return {
    tasks: [[read], [read]],
    gates: [lock],
    invariant() {
      if (fetches > 1 && cached === null) throw new Error("fetched twice");
    },
  };
};

try {
  interleave(readers(false));
} catch (error) {
  if (!(error instanceof ScheduleError)) throw error;
  console.log(`${error.trace}: ${(error.cause as Error).message}`);
}
interleave(readers(true));
console.log("with the lock: in no order");
