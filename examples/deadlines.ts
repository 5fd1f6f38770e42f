/** A limit that moves, one that is no failure, and a deadline that a task and its children have in common. */
import { moveOnAfter, now, op, run, self, sleep, spawn, type TimeLimit, timeout } from "cooperator";

/** A watchdog: every sign of life gives the work another second. */
const watched = op(function* watched(limit: TimeLimit) {
  for (let part = 1; part <= 4; part++) {
    yield* sleep("300 millis");
    limit.restart("1 second");
  }
  return "all four parts";
});

const request = op(function* request() {
  // A child has what its parent has left, and less if it likes.
  const child = spawn(
    function* lookup() {
      yield* sleep("1 minute");
    },
    { deadline: now() + 10 },
  );
  const exit = yield* child.settled();
  console.log(exit.status === "killed" && String(exit.cause.reason).replace(/#\d+/, ""));
  console.log(`something is left: ${self().deadline > now()}`);
  yield* sleep("1 minute");
});

const program = op(function* program() {
  console.log(yield* timeout("1 second", watched));

  const { timedOut } = yield* moveOnAfter("10 millis", sleep("1 minute"));
  console.log(`timed out: ${timedOut}`);

  const task = spawn(request(), { deadline: now() + 500 });
  console.log((yield* task.settled()).status);
});

await run(program());
