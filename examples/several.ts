/** Several operations at once: all, race, any, allSettled, and a group with a limit. */
import { all, allSettled, any, group, op, race, run, sleep } from "cooperator";

const fetchPart = op(function* fetchPart(name: string, milliseconds: number, good = true) {
  try {
    yield* sleep(milliseconds);
    if (!good) throw new Error(`${name} is down`);
    return name;
  } finally {
    if (name === "slow") console.log("slow is over");
  }
});

const program = op(function* program() {
  const [first, second] = yield* all([fetchPart("a", 20), fetchPart("b", 10)]);
  console.log(`all: ${first} ${second}`);

  // The loser has cleaned up before the race is over.
  console.log(`race: ${yield* race([fetchPart("slow", 60_000), fetchPart("quick", 5)])}`);

  console.log(`any: ${yield* any([fetchPart("mirror 1", 1, false), fetchPart("mirror 2", 5)])}`);

  const exits = yield* allSettled({ up: fetchPart("up", 1), down: fetchPart("down", 1, false) });
  console.log(`allSettled: up ${exits.up.status}, down ${exits.down.status}`);

  let most = 0;
  yield* group(
    function* (g) {
      for (let i = 0; i < 10; i++) {
        // Waits for a place.
        yield* g.start(fetchPart(`part ${i}`, 2));
        most = Math.max(most, g.size);
      }
    },
    { limit: 3 },
  );
  console.log(`limit: never more than ${most} at a time`);
});

await run(program());
