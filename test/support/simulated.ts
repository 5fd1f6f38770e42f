/** Programs on the simulated kernel, each under a few seeds. */
import { type Body, KilledError, op } from "../../src/coordinator/index.ts";
import { allTasks } from "../../src/coordinator/task/walk.ts";
import { accept, close, connect, listen } from "../../src/io/index.ts";
import { type SimulatedOptions, SimulatedRuntime } from "../../src/testing/index.ts";

/** Runs `body` under `count` seeds, and checks each time that nothing is left; gives the last runtime. */
export function underSeeds(
  count: number,
  options: SimulatedOptions,
  body: (runtime: SimulatedRuntime) => Body<unknown>,
): SimulatedRuntime {
  for (let seed = 1; ; seed++) {
    const runtime = new SimulatedRuntime({ seed, delay: 5, ...options });
    try {
      runtime.run(body(runtime)).result;
      runtime.checkAtRest();
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
    if (seed === count) return runtime;
  }
}

let ports = 1000;

/** Two ends of a simulated connection. */
export const simulatedPair = op(function* () {
  const address = { host: "127.0.0.1", port: ports++ };
  const listener = yield* listen(address);
  const near = yield* connect(address);
  const far = yield* accept(listener);
  yield* close(listener);
  return { near, far };
});

/** A task killed before one step. */
interface Kill {
  readonly step: number;
  readonly task: number;
}

/**
 * Kills every task of a program before every step, one run per kill, and checks each time that nothing is left.
 * Gives the number of runs.
 */
export function killAtEveryStep(
  options: SimulatedOptions,
  body: (runtime: SimulatedRuntime) => Body<unknown>,
): number {
  const alive = runOnce(options, body, null);
  let runs = 0;
  for (let step = 0; step < alive.length; step++) {
    for (const task of alive[step]!) {
      runs++;
      try {
        runOnce(options, body, { step, task });
      } catch (error) {
        const what = error instanceof Error ? error.message : String(error);
        throw new Error(`task ${task} killed before step ${step}: ${what}`, { cause: error });
      }
    }
  }
  return runs;
}

/** Gives the tasks that were alive before each step. */
function runOnce(
  options: SimulatedOptions,
  body: (runtime: SimulatedRuntime) => Body<unknown>,
  kill: Kill | null,
): number[][] {
  const runtime = new SimulatedRuntime(options);
  const { cooperator } = runtime;
  const alive: number[][] = [];
  cooperator.batchSteps = 1;
  cooperator.onStep = () => {
    if (runtime.statistics().ready === 0) return;
    const tasks = allTasks(cooperator.tasks());
    if (alive.length === kill?.step) tasks.find((task) => task.id === kill.task)?.kill("at the worst moment");
    alive.push(tasks.map((task) => task.id));
  };
  const main = cooperator.spawn(body(runtime), { name: "main", failure: "hold" });
  main.observe();
  runtime.drain();
  // Whoever waits for a task that was killed waits for ever.
  cooperator.kill("the run is over");
  runtime.drain();
  runtime.checkAtRest();
  if (main.exit?.status === "failed" && !(main.exit.error instanceof KilledError)) throw main.exit.error;
  return alive;
}
