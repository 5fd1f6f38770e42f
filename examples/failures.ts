/** Where the failure of a child goes: to its parent, to whoever joins it, or to the reporter. */
import { op, run, sleep, spawn } from "cooperator";

const broken = op(function* broken(what: string) {
  yield* sleep("5 millis");
  throw new Error(what);
});

const strict = op(function* strict() {
  spawn(broken("a bad disk"));
  yield* sleep("1 minute");
});

const program = op(function* program() {
  // "hold": nothing happens until somebody joins.
  const held = spawn(broken("a bad request"), { failure: "hold" });
  try {
    yield* held.join();
  } catch (error) {
    console.log(`joined: ${(error as Error).message}`);
  }

  // "report": told to the reporter, the others go on.
  spawn(broken("a bad peer"), { failure: "report" });
  yield* sleep("10 millis");

  // The default: the parent fails with it. Here the parent's failure is held in turn.
  const parent = spawn(strict(), { failure: "hold" });
  const exit = yield* parent.settled();
  console.log(exit.status === "failed" ? `parent: ${(exit.error as Error).message}` : exit.status);
});

await run(program(), {
  report: ({ kind, task, error }) =>
    console.log(`reported: ${kind} of ${task?.name}: ${(error as Error).message}`),
});
