/** Ticks at equal distances. Source: seeds C-156. */

import { UsageError } from "../coordinator/errors.ts";
import type { Operation } from "../coordinator/operation.ts";
import { currentTask } from "../coordinator/task/current.ts";
import type { Task } from "../coordinator/task/task.ts";
import { Wait } from "../coordinator/wait.ts";
import { type Duration, nanoseconds } from "./duration.ts";
import { type Timed, timerQueueOf } from "./timer-queue.ts";

/**
 * Ticks every `period`, the first time one period from now. The ticks lie on a grid that does not drift, however
 * late each is looked at; those that pass while nobody waits are dropped. No timer runs between two waits, so
 * there is nothing to stop.
 *
 * @throws {UsageError} `COOP_DURATION` when `period` is zero, endless, or not a duration.
 * @example
 * const ticks = every("1 second");
 * const won = yield* select({ message: inbox.receive(), tick: ticks.next() });
 */
export function every(period: Duration): Interval {
  const length = nanoseconds(period);
  if (length === 0 || length === Number.POSITIVE_INFINITY) {
    throw new UsageError("COOP_DURATION", "the period of an interval is longer than zero, and ends");
  }
  return new Interval(length, currentTask("every()").cooperator.now());
}

export class Interval {
  /** @internal Nanoseconds. */
  readonly length: number;
  private readonly start: number;
  /** Number of the tick that is due next. */
  private due = 1;

  /** @internal Made by {@link every}. */
  constructor(length: number, start: number) {
    this.length = length;
    this.start = start;
  }

  /** Waits for the next tick, and gives how many were dropped before it. One that is due lets others run once. */
  next(): Operation<number> {
    return new Tick(this);
  }

  /** @internal When the tick that is due next comes. A product, since a sum would drift. */
  get deadline(): number {
    return this.start + this.due * this.length;
  }

  /** @internal The tick of `deadline` is looked at: gives how many have passed since. */
  pass(deadline: number, now: number): number {
    const dropped = Math.max(0, Math.floor((now - deadline) / this.length));
    const after = Math.round((deadline - this.start) / this.length) + dropped + 1;
    if (after > this.due) this.due = after;
    return dropped;
  }
}

class Tick extends Wait<number> implements Timed {
  deadline = 0;
  order = 0;
  heapIndex = -1;
  private readonly interval: Interval;

  constructor(interval: Interval) {
    super();
    this.interval = interval;
  }

  override describe(): string {
    return `tick of every ${this.interval.length / 1e6} ms`;
  }

  protected override begin(task: Task): boolean {
    this.deadline = this.interval.deadline;
    if (this.deadline <= task.cooperator.now()) this.grant();
    else timerQueueOf(task.cooperator).arm(this, this.deadline);
    return false;
  }

  protected override finish(task: Task): number {
    return this.interval.pass(this.deadline, task.cooperator.now());
  }

  fire(): void {
    this.grant();
  }

  override abort(): boolean {
    timerQueueOf(this.task!.cooperator).disarm(this);
    return true;
  }
}
