/**
 * Kills every task of a program at every point where anything can interleave with it, one run per kill, and
 * checks after each run that nothing is left behind and nothing was lost.
 *
 * A point is just before a step, or just before the clock jumps because every task is blocked. A program is
 * deterministic on a virtual clock, so "task 7 before point 42" means the same thing in every run.
 */

import type { Coordinator } from "../coordinator/coordinator.ts";
import type { Body } from "../coordinator/operation.ts";
import { checkOptions, type Known } from "../coordinator/options.ts";
import type { Signal } from "../coordinator/signal.ts";
import type { Task } from "../coordinator/task/task.ts";
import { checkProgram, wholeFrom } from "./arguments.ts";
import { checkTree, labels } from "./checks.ts";
import { checkEnd, killStranded } from "./end-run.ts";
import { violated } from "./leaks.ts";
import { VirtualRuntime } from "./virtual.ts";

/** One run of a program: made afresh each time, so that no state leaks from one run into the next. */
export interface Program {
  /** What the root task does. */
  readonly body: Body<unknown>;
  /** Coordinators and signals that must have no waiter left. */
  readonly gates?: readonly (Coordinator | Signal)[];
  /** Throws when the run broke a rule of the program's own. Called once nothing can happen any more. */
  readonly check?: (run: KillRun) => void;
  /** True when the program is expected to report: `check` then has to look at `runtime.reports`. */
  readonly reports?: boolean;
}

/** What `check` can look at. */
export interface KillRun {
  readonly runtime: VirtualRuntime;
  readonly main: Task;
  /** The kills of this run, in order; empty in the first, undisturbed run. */
  readonly kills: readonly Injection[];
  /** Tasks that waited for ever after the kills and were ended from outside. */
  readonly stranded: readonly Task[];
}

/** A kill of task `task` just before point `point`. */
export interface Injection {
  readonly point: number;
  readonly task: number;
}

export interface KillEverywhereOptions {
  /** 2 also tries every pair of kills: mind the number of runs. Default 1. */
  readonly kills?: 1 | 2;
  /** Points a single run may have before it counts as endless. */
  readonly pointsMax?: number;
}

export interface KillEverywhereResult {
  /** Points of the undisturbed run. */
  readonly points: number;
  /** Steps of the undisturbed run. */
  readonly steps: number;
  /** Runs, the undisturbed one included. */
  readonly runs: number;
  /** The part of the planned kills that found their task alive, 0 to 1. Below 1, runs are not deterministic. */
  readonly reach: number;
}

const KNOWN: Known<KillEverywhereOptions> = { kills: true, pointsMax: true };

const POINTS_MAX = 100_000;
const NOBODY: readonly number[] = [];

/**
 * Runs `program` once undisturbed and then once for every task at every point, killing that task there.
 *
 * @throws an Error naming the kill and the broken rule.
 * @example
 * const { points, reach } = killEverywhere(() => ({ body: function* () { yield* sleep(1); } }));
 */
export function killEverywhere(
  program: () => Program,
  options?: KillEverywhereOptions,
): KillEverywhereResult {
  checkProgram(program, "killEverywhere()");
  const search = explore(options);
  let step = search.next();
  while (step.done !== true) step = search.next(runOnce(program(), step.value, options));
  return step.value;
}

/**
 * Like {@link killEverywhere}, for programs with promises in them: each time no task is ready the promise jobs get
 * their turn, and a point before it. What takes real time is not waited for.
 */
export async function killEverywhereAsync(
  program: () => Program,
  options?: KillEverywhereOptions,
): Promise<KillEverywhereResult> {
  checkProgram(program, "killEverywhere()");
  const search = explore(options);
  let step = search.next();
  while (step.done !== true) step = search.next(await runOnceAsync(program(), step.value, options));
  return step.value;
}

/** Yields the kills of each run and is given what became of it. */
function* explore(
  options: KillEverywhereOptions | undefined,
): Generator<readonly Injection[], KillEverywhereResult, RunLog> {
  checkOptions(options, "killEverywhere()", KNOWN);
  const kills = wholeFrom(1, options?.kills, 1, "kills");
  const first = yield [];
  let runs = 1;
  let planned = 0;
  let reached = 0;
  function* further(
    log: readonly (readonly number[])[],
    kills: readonly Injection[],
    depth: number,
  ): Generator<readonly Injection[], void, RunLog> {
    for (let point = kills.at(-1)?.point ?? 0; point < log.length; point++) {
      for (const task of log[point]!) {
        const more = [...kills, { point, task }];
        const run = yield more;
        runs++;
        planned++;
        if (run.reached === more.length) reached++;
        if (depth > 1) yield* further(run.log, more, depth - 1);
      }
    }
  }
  yield* further(first.log, [], kills);
  return {
    points: first.log.length,
    steps: first.steps,
    runs,
    reach: planned === 0 ? 0 : reached / planned,
  };
}

interface RunLog {
  /** For each point, the ids of the tasks that were alive. */
  readonly log: readonly (readonly number[])[];
  readonly steps: number;
  readonly reached: number;
}

function runOnce(
  program: Program,
  kills: readonly Injection[],
  options: KillEverywhereOptions | undefined,
): RunLog {
  const run = new Run(program, kills, options);
  try {
    run.runtime.drain();
    run.strand();
    run.runtime.drain();
    return run.end();
  } catch (error) {
    throw run.failure(error);
  }
}

async function runOnceAsync(
  program: Program,
  kills: readonly Injection[],
  options: KillEverywhereOptions | undefined,
): Promise<RunLog> {
  const run = new Run(program, kills, options);
  try {
    await run.runtime.drainAsync();
    run.strand();
    await run.runtime.drainAsync();
    return run.end();
  } catch (error) {
    throw run.failure(error);
  }
}

/** One run: what comes before, between and after the two times it is driven until nothing can happen. */
class Run {
  readonly runtime: ProbedRuntime;
  private readonly program: Program;
  private readonly kills: readonly Injection[];
  private readonly main: Task;
  private stranded: readonly Task[] = [];

  constructor(program: Program, kills: readonly Injection[], options: KillEverywhereOptions | undefined) {
    this.program = program;
    this.kills = kills;
    this.runtime = new ProbedRuntime(kills, wholeFrom(1, options?.pointsMax, POINTS_MAX, "pointsMax"));
    try {
      this.main = this.runtime.cooperator.spawn(program.body, { name: "main", failure: "hold" }) as Task;
    } catch (error) {
      throw this.failure(error);
    }
    this.main.observe();
  }

  /** Nothing can happen by itself any more. */
  strand(): void {
    this.runtime.probing = false;
    this.stranded = killStranded(this.runtime);
  }

  end(): RunLog {
    const { runtime, program, main, kills, stranded } = this;
    checkEnd(runtime, program.gates ?? [], program.reports === true);
    if (kills.length === 0 && stranded.length > 0) violated(`stranded: ${labels(stranded)}`);
    program.check?.({ runtime, main, kills, stranded });
    return { log: runtime.log, steps: runtime.statistics().steps, reached: runtime.reached };
  }

  /** What a check throws inside a turn arrives as the scheduler's own failure. */
  failure(thrown: unknown): Error {
    const error = this.runtime.violation ?? thrown;
    const what = this.kills.map(({ point, task }) => `task ${task} killed at point ${point}`).join(", ");
    const text = error instanceof Error ? error.message : String(error);
    return new Error(`${what === "" ? "undisturbed" : what}: ${text}`, { cause: error });
  }
}

/** A virtual runtime that stops at every point to look at the tree and to kill what the plan says. */
class ProbedRuntime extends VirtualRuntime {
  readonly log: (readonly number[])[] = [];
  reached = 0;
  probing = true;
  /** What a check between two steps has thrown. */
  violation: unknown = null;
  private readonly kills: readonly Injection[];
  private readonly pointsMax: number;
  /** The first kill; all before it is as it was without it. */
  private readonly disturbedFrom: number;

  constructor(kills: readonly Injection[], pointsMax: number) {
    super({ seed: null });
    this.kills = kills;
    this.disturbedFrom = kills[0]?.point ?? 0;
    this.pointsMax = pointsMax;
    this.cooperator.onStep = () => {
      if (this.statistics().ready === 0) return;
      try {
        this.point();
      } catch (error) {
        this.violation = error;
        throw error;
      }
    };
  }

  /** The moment before the clock jumps is a point too: the only one at which a sleeper can be met asleep. */
  override settle(): void {
    do super.settle();
    while (this.probing && this.point());
    const { live, timers } = this.statistics();
    if (live === 0 && timers > 0) violated(`${timers} timers are armed and no task is left`);
  }

  private point(): boolean {
    if (!this.probing) {
      checkTree(this);
      return false;
    }
    const at = this.log.length;
    if (at >= this.pointsMax) throw new Error(`more than ${this.pointsMax} points: the run does not end`);
    if (at < this.disturbedFrom) {
      // The same as in the run before, which has been looked at.
      this.log.push(NOBODY);
      return false;
    }
    const live = checkTree(this);
    this.log.push(live.map((task) => task.id));
    let killed = false;
    for (const { point, task: id } of this.kills) {
      if (point !== at) continue;
      const victim = live.find((task) => task.id === id);
      if (victim === undefined) continue;
      victim.kill(`killed at point ${at}`);
      killed = true;
      this.reached++;
    }
    return killed;
  }
}
