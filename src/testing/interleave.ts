/**
 * Runs a few tasks of a few operations each in every order there is, one run per schedule, and checks each run.
 *
 * A schedule says, before each step, which of the ready tasks takes it; with `kills`, also which task is killed
 * there, and with `clock` whether the time of the next timer comes first. All are tried, depth first; those in
 * which a task goes on as long as it can come first. What a schedule can tell apart is what happens between two
 * operations, or at a wait inside one: a step itself is not cut.
 *
 * The idea is that of Loom and CHESS; the bound on preemptions is that of CHESS.
 */
import type { Coordinator } from "../coordinator/coordinator.ts";
import type { Body, Operation } from "../coordinator/operation.ts";
import type { Signal } from "../coordinator/signal.ts";
import type { Task } from "../coordinator/task/task.ts";
import { labels } from "./checks.ts";
import { Choices } from "./choices.ts";
import { endRun } from "./end-run.ts";
import { InterleavedRuntime } from "./interleaved-runtime.ts";
import { violated } from "./leaks.ts";
import { scripted } from "./scripted-task.ts";

/** One operation of a task: something for `yield*`, or a function that does something or gives such a thing. */
export type Step = Operation<unknown> | ((run: InterleavedRun) => unknown);

/** One run of a program: made afresh for each schedule, so that no state leaks from one into the next. */
export interface InterleavedProgram {
  /** Each task does its steps in order; one that is given as a body is interleaved at its waits only. */
  readonly tasks: readonly (readonly Step[] | Body<unknown>)[];
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
  /** More schedules than this are an error. Default 200,000. */
  readonly schedulesMax?: number;
  /** Steps that one run may have before it counts as endless. Default 10,000. */
  readonly stepsMax?: number;
}

export interface InterleaveResult {
  /** Schedules that were run. */
  readonly schedules: number;
  /** Steps of all of them. */
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
  const { schedule } = options ?? {};
  const schedulesMax = options?.schedulesMax ?? SCHEDULES_MAX;
  const choices = schedule === undefined ? new Choices() : Choices.parse(schedule);
  let schedules = 0;
  let steps = 0;
  let longest = 0;
  do {
    if (schedules === schedulesMax) {
      throw new Error(
        `more than ${schedulesMax} schedules: fewer steps, or a bound on preemptions, or a larger schedulesMax`,
      );
    }
    const taken = runSchedule(program, choices, options);
    schedules++;
    steps += taken;
    longest = Math.max(longest, taken);
  } while (schedule === undefined && choices.next());
  return { schedules, steps, longest };
}

function runSchedule(
  program: () => InterleavedProgram,
  choices: Choices,
  options: InterleaveOptions | undefined,
): number {
  const runtime = new InterleavedRuntime(
    choices,
    options?.kills ?? 0,
    options?.clock ?? false,
    options?.preemptions ?? Number.POSITIVE_INFINITY,
  );
  try {
    const made = program();
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
    runtime.explore(options?.stepsMax ?? STEPS_MAX, () => made.invariant?.(run));
    run.stranded = endRun(runtime, made.gates ?? [], made.reports === true);
    if (made.stranded !== true && run.kills === 0 && run.stranded.length > 0) {
      violated(`stranded: ${labels(run.stranded)}`);
    }
    if (made.failures !== true) checkFailures(tasks);
    made.check?.(run);
    return runtime.statistics().steps;
  } catch (error) {
    throw new ScheduleError(choices.toString(), runtime.story, error);
  }
}

function checkFailures(tasks: readonly Task[]): void {
  for (const { exit, label } of tasks) {
    if (exit?.status !== "failed") continue;
    const { error } = exit;
    throw new Error(`${label} failed: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}
