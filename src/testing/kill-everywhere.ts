/**
 * Kills every task of a program at every point where anything can interleave with it, one run per kill, and
 * checks after each run that nothing is left behind and nothing was lost.
 *
 * A point is just before a step, or just before the clock jumps because every task is blocked. A program is
 * deterministic on a virtual clock, so "task 7 before point 42" means the same thing in every run.
 */
import type { Coordinator } from "../coordinator/coordinator.ts";
import { dumpTree } from "../coordinator/dump.ts";
import type { Body } from "../coordinator/operation.ts";
import type { Signal } from "../coordinator/signal.ts";
import type { Task } from "../coordinator/task.ts";
import { BLOCKED, DRAINING, ENDED, READY } from "../coordinator/task-state.ts";
import { regionLive } from "../coordinator/unwind.ts";
import { allTasks } from "../coordinator/walk.ts";
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
  const pointsMax = options?.pointsMax ?? POINTS_MAX;
  const first = runOnce(program(), [], pointsMax);
  let runs = 1;
  let planned = 0;
  let reached = 0;
  const explore = (log: readonly (readonly number[])[], kills: readonly Injection[], depth: number): void => {
    for (let point = kills.at(-1)?.point ?? 0; point < log.length; point++) {
      for (const task of log[point]!) {
        const more = [...kills, { point, task }];
        const run = runOnce(program(), more, pointsMax);
        runs++;
        planned++;
        if (run.reached === more.length) reached++;
        if (depth > 1) explore(run.log, more, depth - 1);
      }
    }
  };
  explore(first.log, [], options?.kills ?? 1);
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

function runOnce(program: Program, kills: readonly Injection[], pointsMax: number): RunLog {
  const runtime = new ProbedRuntime(kills, pointsMax);
  try {
    const main = runtime.cooperator.spawn(program.body, { name: "main", failure: "hold" }) as Task;
    main.observe();
    runtime.drain();
    runtime.probing = false;
    const stranded = allTasks(runtime.cooperator.tasks());
    if (stranded.length > 0) {
      runtime.cooperator.kill("the run is over");
      runtime.drain();
    }
    checkQuiescent(runtime);
    for (const gate of program.gates ?? []) checkGate(gate);
    if (kills.length === 0 && stranded.length > 0) violated(`stranded: ${labels(stranded)}`);
    if (program.reports !== true && runtime.reports.length > 0) {
      const { kind, task, error } = runtime.reports[0]!;
      throw new Error(`${task.label} reported ${kind}`, { cause: error });
    }
    program.check?.({ runtime, main, kills, stranded });
    return { log: runtime.log, steps: runtime.statistics().steps, reached: runtime.reached };
  } catch (thrown) {
    // What a check throws inside a turn arrives as the scheduler's own failure.
    const error = runtime.violation ?? thrown;
    const what = kills.map(({ point, task }) => `task ${task} killed at point ${point}`).join(", ");
    throw new Error(
      `${what === "" ? "undisturbed" : what}: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    );
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
    super();
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

/**
 * Checks the rules that hold between any two steps: every live task is in the tree, under a live owner, and
 * exactly where its state says.
 *
 * @returns the live tasks.
 */
export function checkTree(runtime: VirtualRuntime): readonly Task[] {
  const { cooperator } = runtime;
  const stats = cooperator.statistics();
  const tasks = allTasks(cooperator.tasks());
  let ready = 0;
  if (stats.live !== tasks.length) {
    violated(`${stats.spawned} spawned and ${stats.live} not ended, but ${tasks.length} in the tree`);
  }
  for (const task of tasks) {
    const { state, wait, owner } = task;
    if (state === ENDED) violated(`${task.label} has ended and is still in the tree`);
    if (owner.host?.state === ENDED) violated(`${task.label} outlives ${owner.host.label}`);
    if (owner.children?.has(task) !== true) violated(`${task.label} is not a child of its owner`);
    task.children?.validate();
    task.rare?.joiners?.validate();
    if (state === READY) {
      ready++;
      if (wait !== null && wait.list !== null)
        violated(`${task.label} is ready and still queued as a waiter`);
    } else if (state === BLOCKED) {
      if (wait === null || wait.task !== task) violated(`${task.label} is blocked on nothing`);
      else if (task.doomed !== null && wait.killMode === "unwind" && !wait.aborting) {
        violated(`${task.label} sleeps through its kill: wait for ${wait.describe()}`);
      }
    } else if (state === DRAINING) {
      if (!regionLive(task, task.doomed!)) violated(`${task.label} waits for children that are gone`);
    }
  }
  if (ready !== stats.ready) violated(`${ready} tasks are ready, ${stats.ready} are in the run queue`);
  runtime.timers.validate();
  return tasks;
}

/** Checks that a runtime is back at its baseline: every task ended and counted once, nothing armed or queued. */
export function checkQuiescent(runtime: VirtualRuntime): void {
  const { spawned, done, failed, killed, live, ready, timers, inflight } = runtime.statistics();
  if (live !== 0) violated(`${live} tasks live:\n${dumpTree(runtime.cooperator.tasks())}`);
  if (spawned !== done + failed + killed + live) {
    violated(`spawned ${spawned} is not done ${done} + failed ${failed} + killed ${killed} + live ${live}`);
  }
  if (ready !== 0) violated(`${ready} tasks are in the run queue`);
  if (timers !== 0) violated(`${timers} timers are armed`);
  if (inflight !== 0) violated(`${inflight} operations are in flight`);
  checkTree(runtime);
}

/** Checks that nobody is left waiting at `gate`. */
export function checkGate(gate: Coordinator | Signal): void {
  gate.waiters.validate();
  if (gate.waiting !== 0) violated(`${gate.name} has ${gate.waiting} waiters left`);
}

function labels(tasks: readonly Task[]): string {
  return tasks.map((task) => task.label).join(", ");
}

function violated(rule: string): never {
  throw new Error(`broken invariant: ${rule}`);
}
