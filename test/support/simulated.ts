/** Programs on the simulated kernel, each under a few seeds. */
import { type Body, KilledError, op, type Task } from "../../src/coordinator/index.ts";
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

/** One run; knows which tasks were alive before each step. */
class KilledRun {
  readonly runtime: SimulatedRuntime;
  private readonly alive: number[][] = [];
  private readonly main: Task;

  constructor(
    options: SimulatedOptions,
    body: (runtime: SimulatedRuntime) => Body<unknown>,
    kill: Kill | null,
  ) {
    const runtime = new SimulatedRuntime(options);
    this.runtime = runtime;
    const { alive } = this;
    const { cooperator } = runtime;
    cooperator.batchSteps = 1;
    cooperator.onStep = () => {
      if (runtime.statistics().ready === 0) return;
      const tasks = allTasks(cooperator.tasks());
      if (alive.length === kill?.step)
        tasks.find((task) => task.id === kill.task)?.kill("at the worst moment");
      alive.push(tasks.map((task) => task.id));
    };
    this.main = cooperator.spawn(body(runtime), { name: "main", failure: "hold" }) as Task;
    this.main.observe();
  }

  /** Whoever waits for a task that was killed waits for ever. */
  strand(): void {
    this.runtime.cooperator.kill("the run is over");
  }

  end(): number[][] {
    this.runtime.checkAtRest();
    const { exit } = this.main;
    if (exit?.status === "failed" && !(exit.error instanceof KilledError)) throw exit.error;
    return this.alive;
  }
}

/** Gives the tasks that were alive before each step. */
function runOnce(
  options: SimulatedOptions,
  body: (runtime: SimulatedRuntime) => Body<unknown>,
  kill: Kill | null,
): number[][] {
  const run = new KilledRun(options, body, kill);
  run.runtime.drain();
  run.strand();
  run.runtime.drain();
  return run.end();
}

/** Likewise for programs that Node has a part in: `next` ticks and promise jobs get their turn when no task is ready. */
export async function killAtEveryStepAsync(
  options: SimulatedOptions,
  body: (runtime: SimulatedRuntime) => Body<unknown>,
  check: () => void = () => {},
): Promise<number> {
  const alive = await runOnceAsync(options, body, null, check);
  let runs = 0;
  for (let step = 0; step < alive.length; step++) {
    for (const task of alive[step]!) {
      runs++;
      try {
        await runOnceAsync(options, body, { step, task }, check);
      } catch (error) {
        const what = error instanceof Error ? error.message : String(error);
        throw new Error(`task ${task} killed before step ${step}: ${what}`, { cause: error });
      }
    }
  }
  return runs;
}

async function runOnceAsync(
  options: SimulatedOptions,
  body: (runtime: SimulatedRuntime) => Body<unknown>,
  kill: Kill | null,
  check: () => void,
): Promise<number[][]> {
  const run = new KilledRun(options, body, kill);
  await run.runtime.drainAsync();
  run.strand();
  await run.runtime.drainAsync();
  check();
  return run.end();
}
