/**
 * What each task has done, and how long kills take: an instrument that counts. Whoever does not ask for it pays
 * nothing. Source: seeds C-072, X-13, X-53.
 */
import { UsageError } from "../errors.ts";
import { describeValue } from "../operation.ts";
import type { Cooperator } from "../scheduler/cooperator.ts";
import type { KillCause } from "../task/exit.ts";
import type { Task } from "../task/task.ts";
import { READY } from "../task/task-state.ts";
import { StepClock } from "./instrument.ts";

/** What a task has done since the profile began. A plain record; it does not change. */
export interface TaskStatistics {
  /** Steps it has taken. */
  readonly steps: number;
  /** Steps that ended with the task ready for the next. */
  readonly yields: number;
  /** Steps that ended in a wait. */
  readonly blocks: number;
  /** Operations it has handed to the io driver, and those of them that are over. */
  readonly submitted: number;
  readonly completed: number;
  /** Milliseconds in its steps, without those of tasks that began inside one (`start: "now"`). */
  readonly runTime: number;
}

/** Kills, from the request to the end of the last task that it reached. Times are in milliseconds. */
export interface KillStatistics {
  /** Kills that are over: everything they reached has ended. */
  readonly kills: number;
  /** Tasks that those have reached. */
  readonly tasks: number;
  /** Kills whose tasks are still cleaning up, some of them. */
  readonly pending: number;
  /** How long the last that came to its end took, the slowest, and all together. */
  readonly last: number;
  readonly longest: number;
  readonly total: number;
}

class Counts {
  steps = 0;
  yields = 0;
  blocks = 0;
  submitted = 0;
  completed = 0;
  runTime = 0;
}

/** A kill on its way. */
class Kill {
  readonly requested: number;
  /** Tasks that it reached, and those of them that live. */
  reached = 0;
  live = 0;
  constructor(requested: number) {
    this.requested = requested;
  }
}

const NS_PER_MS = 1e6;

/** @see {@link profile} */
export class Profile {
  private readonly cooperator: Cooperator;
  /** Those of tasks that nobody knows any more go with them. */
  private readonly counts = new WeakMap<Task, Counts>();
  private readonly underway = new Map<KillCause, Kill>();
  private readonly clock: StepClock;
  private readonly sums = { kills: 0, tasks: 0, last: 0, longest: 0, total: 0 };
  private readonly off: () => void;

  /** @internal Made by {@link profile}. */
  constructor(cooperator: Cooperator) {
    this.cooperator = cooperator;
    this.clock = new StepClock(cooperator);
    this.off = cooperator.instrument(this);
  }

  /** What `task` has done, also when it has ended. */
  of(task: Task<any>): TaskStatistics {
    const { steps, yields, blocks, submitted, completed, runTime } = this.counts.get(task) ?? new Counts();
    return { steps, yields, blocks, submitted, completed, runTime: runTime / NS_PER_MS };
  }

  /** How long kills have taken. */
  get kills(): KillStatistics {
    return { ...this.sums, pending: this.underway.size };
  }

  /** Counts no more; what has been counted stays. */
  stop(): void {
    this.off();
  }

  /** @internal */
  beforeStep(): void {
    this.clock.begin();
  }

  /** @internal */
  afterStep(task: Task): void {
    const took = this.clock.end();
    if (took < 0) return;
    const counts = this.need(task);
    counts.steps++;
    counts.runTime += took;
    if (task.state === READY) counts.yields++;
    else if (!task.ended) counts.blocks++;
  }

  /** @internal */
  submitted(task: Task): void {
    this.need(task).submitted++;
  }

  /** @internal */
  completed(task: Task): void {
    this.need(task).completed++;
  }

  /** @internal */
  killed(_task: Task, cause: KillCause): void {
    let kill = this.underway.get(cause);
    if (kill === undefined) {
      kill = new Kill(this.cooperator.now());
      this.underway.set(cause, kill);
    }
    kill.reached++;
    kill.live++;
  }

  /** @internal */
  ended(task: Task): void {
    const kill = task.cause === null ? undefined : this.underway.get(task.cause);
    if (kill === undefined || --kill.live > 0) return;
    this.underway.delete(task.cause!);
    const { sums } = this;
    sums.last = (this.cooperator.now() - kill.requested) / NS_PER_MS;
    sums.longest = Math.max(sums.longest, sums.last);
    sums.total += sums.last;
    sums.kills++;
    sums.tasks += kill.reached;
  }

  private need(task: Task): Counts {
    let counts = this.counts.get(task);
    if (counts === undefined) {
      counts = new Counts();
      this.counts.set(task, counts);
    }
    return counts;
  }
}

/**
 * Begins to count what tasks of `cooperator` do, and how long kills take from the request to the end of the last
 * descendant.
 *
 * @example
 * const counted = profile(self().cooperator);
 * yield* worker.killAndWait();
 * console.log(counted.of(worker).steps, counted.kills.last);
 */
export function profile(cooperator: Cooperator): Profile {
  if (typeof cooperator?.instrument !== "function") {
    throw new UsageError(
      "COOP_NOT_A_COOPERATOR",
      `profile() takes a cooperator, not ${describeValue(cooperator)}`,
    );
  }
  return new Profile(cooperator);
}
