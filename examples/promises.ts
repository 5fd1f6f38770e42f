/** Promises in, promises out, and an AbortSignal that kills. */
import { setTimeout as delay } from "node:timers/promises";
import { abortSignal, op, run, runIn, self, sleep, timeout, until, withSignal } from "cooperator";

const program = op(function* program() {
  // The function gets a signal that is aborted when the wait is killed, here by the timeout.
  try {
    yield* timeout(
      "20 millis",
      until((signal) => delay(60_000, "late", { signal })),
    );
  } catch (error) {
    console.log((error as Error).message);
  }

  // From code that has no task: a request handler, a callback.
  const controller = new AbortController();
  const { cooperator } = self();
  const request = runIn(cooperator, sleep("1 hour"), { signal: controller.signal, name: "request" });
  controller.abort("the client has gone");
  console.log(yield* until(request.catch((error: Error) => error.message)));

  // For a part of a task only, and a signal for those who take one.
  const answer = yield* withSignal(new AbortController().signal, () =>
    until(delay(1, "in time", { signal: abortSignal() })),
  );
  console.log(answer);
});

await run(program());
