/** Higher priorities go first, and a low one that waits still gets a step now and then. */
import { HIGH, LOW, op, run, spawn, yieldNow } from "cooperator";

let stop = false;

const busy = op(function* busy() {
  let steps = 0;
  for (; !stop; steps++) yield* yieldNow();
  return steps;
});

const program = op(function* program() {
  const low = spawn(busy(), { priority: LOW });
  const high = spawn(busy(), { priority: HIGH });
  for (let i = 0; i < 1000; i++) yield* yieldNow();
  stop = true;
  const [highSteps, lowSteps] = [yield* high.join(), yield* low.join()];
  console.log(`the high one ran more often: ${highSteps > 10 * lowSteps}`);
  console.log(`the low one ran: ${lowSteps > 0}`);
});

await run(program());
