/** A timeout unwinds what it bounds, clean-up included, and then throws; a deadline is one with a fixed end. */
import { DeadlineError, deadline, now, op, run, sleep, timeout } from "cooperator";

const slow = op(function* slow() {
  try {
    yield* sleep("1 minute");
    return "an answer";
  } finally {
    console.log("slow: cleaned up");
  }
});

const program = op(function* program() {
  console.log(yield* timeout("1 second", sleep("1 millis")));
  try {
    yield* timeout("20 millis", slow());
  } catch (error) {
    console.log(`${error instanceof DeadlineError}: ${(error as Error).message}`);
  }

  // One end for several steps: whatever the first takes is not there for the second.
  const end = now() + 400;
  try {
    yield* deadline(end, sleep("10 millis"));
    console.log("the first step was in time");
    yield* deadline(end, sleep("1 minute"));
  } catch (error) {
    console.log((error as DeadlineError).code);
  }
});

await run(program());
