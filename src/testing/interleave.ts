/**
 * Runs a few tasks of a few operations each in every order there is, one run per schedule, and checks each run.
 *
 * A schedule says, before each step, which of the ready tasks takes it; with `kills`, also which task is killed
 * there, and with `clock` whether the time of the next timer comes first. All are tried, depth first; those in
 * which a task goes on as long as it can come first. What a schedule can tell apart is what happens between two
 * operations, or at a wait inside one: a step itself is not cut.
 *
 * A program that gives its `state` has each state gone on from once: what can follow does not depend on how it was
 * come to. The schedules are counted all the same, so that the number is that of all orders and not of the runs.
 *
 * The idea is that of Loom and CHESS; the bound on preemptions is that of CHESS. Seeds X-55.
 */

import type { Coordinator } from "../coordinator/coordinator.ts";
import type { Body, Operation } from "../coordinator/operation.ts";
import { checkOptions, type Known } from "../coordinator/options.ts";
import type { Signal } from "../coordinator/signal.ts";
import type { Task } from "../coordinator/task/task.ts";
import { checkProgram, wholeFrom } from "./arguments.ts";
import { labels } from "./checks.ts";
import { Choices } from "./choices.ts";
import { endRun } from "./end-run.ts";
import { InterleavedRuntime, type Limits } from "./interleaved-runtime.ts";
import { violated } from "./leaks.ts";
import { scripted } from "./scripted-task.ts";
import { Verifier } from "./verifier.ts";

/** One operation of a task: something for `yield*`, or a function that does something or gives such a thing. */
export type Step = Operation<unknown> | ((run: InterleavedRun) => unknown);

/** One run of a program: made afresh for each schedule, so that no state leaks from one into the next. */
export interface InterleavedProgram {
  /** Each task does its steps in order; one that is given as a body is interleaved at its waits only. */
  readonly tasks: readonly (readonly Step[] | Body<unknown>)[];
  /**
   * Gives all that steps and checks look at, beside what steps have given: the primitives, and the variables that the
   * program keeps. With it a state that was met before is not gone on from again.
   */
  readonly state?: () => unknown;
  /** Throws when a rule of the program's own is broken. Called between any two steps. */
  readonly invariant?: (run: InterleavedRun) => void;
  /** The same, called once nothing can happen any more. */
  readonly check?: (run: InterleavedRun) => void;
  /** Coordinators and signals that must have no waiter left. */
  readonly gates?: readonly (Coordinator | Signal)[];
  /** True when tasks may fail, may wait for ever or may report: `check` then has to look. Default false. */
  readonly failures?: boolean;
  readonly stranded?: boolean;
  readonly reports?: boolean;
}

/** What steps and checks can look at. */
export interface InterleavedRun {
  readonly runtime: InterleavedRuntime;
  /** In the order of the program. */
  readonly tasks: readonly Task[];
  /** For each task what its steps have given so far. */
  readonly results: readonly (readonly unknown[])[];
  /** Tasks that waited for ever and were ended from outside. Empty before the end. */
  readonly stranded: readonly Task[];
  /** Kills that the schedule has made so far. */
  readonly kills: number;
}

export interface InterleaveOptions {
  /** Kills in one schedule: any task at any point. Default 0. Steps that kill need none. */
  readonly kills?: number;
  /** Whether a timer may also fire while tasks are ready. Default false: time passes when all are blocked. */
  readonly clock?: boolean;
  /** Times a schedule may leave a task that could go on. Default: any number. Most bugs need at most 2. */
  readonly preemptions?: number;
  /** Only this schedule, as an error names it. */
  readonly schedule?: string;
  /**
   * Runs every schedule by itself, although the program gives its `state`, and compares: after the same state the
   * same has to follow. What `state` has forgotten is found so, with a program that is small enough.
   */
  readonly verify?: boolean;
  /** More runs than this are an error. Default 200,000. */
  readonly schedulesMax?: number;
  /** Steps that one run may have before it counts as endless. Default 10,000. */
  readonly stepsMax?: number;
}

export interface InterleaveResult {
  /** Schedules there are; as a whole number exact up to 2⁵³. */
  readonly schedules: number;
  /** Runs it took: as many as there are schedules, unless the program gives its `state`. */
  readonly runs: number;
  /** Steps of all runs. */
  readonly steps: number;
  /** Steps of the longest. */
  readonly longest: number;
}

/** Which schedule broke what. */
export class ScheduleError extends Error {
  /** For the option `schedule`. */
  readonly schedule: string;
  /** Who did what: `a1` is the first operation of the first task, `a1+` its going on after a wait. */
  readonly trace: string;

  constructor(schedule: string, trace: string, cause: unknown) {
    const what = cause instanceof Error ? cause.message : String(cause);
    super(`schedule "${schedule.slice(0, SCHEDULE_SHOWN)}" (${trace}): ${what}`, { cause });
    this.name = "ScheduleError";
    this.schedule = schedule;
    this.trace = trace;
  }
}

const KNOWN: Known<InterleaveOptions> = {
  kills: true,
  clock: true,
  preemptions: true,
  schedule: true,
  verify: true,
  schedulesMax: true,
  stepsMax: true,
};

const SCHEDULES_MAX = 200_000;
const STEPS_MAX = 10_000;
/** Characters of a schedule in a message. An endless run has a long one. */
const SCHEDULE_SHOWN = 500;

/**
 * Runs `program` under every schedule.
 *
 * @throws {ScheduleError} with the first schedule that broke a rule; `schedule` runs it again by itself.
 * @example
 * const { schedules } = interleave(() => {
 *   const lock = new Coordinator();
 *   const user = [lock.acquire(), () => lock.release()];
 *   return { tasks: [user, [lock.acquire(), () => lock.release()]], gates: [lock] };
 * }, { kills: 1 });
 */
export function interleave(program: () => InterleavedProgram, options?: InterleaveOptions): InterleaveResult {
  checkProgram(program, "interleave()");
  checkOptions(options, "interleave()", KNOWN);
  const { schedule } = options ?? {};
  const runsMax = wholeFrom(1, options?.schedulesMax, SCHEDULES_MAX, "schedulesMax");
  const choices = schedule === undefined ? new Choices() : Choices.parse(schedule);
  const search = new Search(choices, options);
  do {
    if (search.runs === runsMax) {
      throw new Error(
        `more than ${runsMax} schedules: fewer steps, the program's state, a bound on preemptions, or a larger schedulesMax`,
      );
    }
    search.run(program());
  } while (schedule === undefined && choices.next());
  const { runs, steps, longest } = search;
  return { schedules: schedule === undefined ? choices.total : 1, runs, steps, longest };
}

class Search {
  runs = 0;
  steps = 0;
  longest = 0;
  private readonly choices: Choices;
  private readonly limits: Limits;
  private readonly stepsMax: number;
  /** What has to follow after which state; null where each is gone on from once. */
  private readonly verifier: Verifier | null;
  /** One schedule that was asked for is run to its end. */
  private readonly single: boolean;

  constructor(choices: Choices, options: InterleaveOptions | undefined) {
    this.choices = choices;
    this.limits = {
      kills: wholeFrom(0, options?.kills, 0, "kills"),
      clock: options?.clock ?? false,
      preemptions: wholeFrom(0, options?.preemptions, Number.POSITIVE_INFINITY, "preemptions"),
    };
    this.stepsMax = wholeFrom(1, options?.stepsMax, STEPS_MAX, "stepsMax");
    this.single = options?.schedule !== undefined;
    this.verifier = options?.verify === true ? new Verifier() : null;
  }

  run(made: InterleavedProgram): void {
    const runtime = new InterleavedRuntime(this.choices, this.limits, this.verifier);
    this.runs++;
    try {
      const tasks: Task[] = [];
      const results: unknown[][] = [];
      const run = {
        runtime,
        tasks,
        results,
        stranded: [] as readonly Task[],
        get kills() {
          return runtime.kills;
        },
      };
      for (const steps of made.tasks) tasks.push(scripted(run, results, steps));
      const look = () => made.invariant?.(run);
      const state = this.single ? null : stateOf(made, run);
      if (!runtime.explore(this.stepsMax, look, state)) return;
      run.stranded = endRun(runtime, made.gates ?? [], made.reports === true);
      if (made.stranded !== true && run.kills === 0 && run.stranded.length > 0) {
        violated(`stranded: ${labels(run.stranded)}`);
      }
      if (made.failures !== true) checkFailures(tasks);
      made.check?.(run);
    } catch (error) {
      throw new ScheduleError(this.choices.toString(), runtime.story, error);
    } finally {
      const { steps } = runtime.statistics();
      this.steps += steps;
      this.longest = Math.max(this.longest, steps);
    }
  }
}

/** All that decides how the tasks of a program go on, where the program says what it keeps. */
function stateOf(made: InterleavedProgram, run: InterleavedRun): (() => unknown) | null {
  const { state, tasks: scripts } = made;
  if (state === undefined) return null;
  return () => [state(), run.results, scripts.map((steps, i) => still(steps, run, i))];
}

/** Operations that are there already and have not begun. */
function still(steps: readonly Step[] | Body<unknown>, run: InterleavedRun, task: number): unknown {
  return Array.isArray(steps) ? steps.slice(run.runtime.begun(run.tasks[task]!)) : null;
}

function checkFailures(tasks: readonly Task[]): void {
  for (const { exit, label } of tasks) {
    if (exit?.status !== "failed") continue;
    const { error } = exit;
    throw new Error(`${label} failed: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}
