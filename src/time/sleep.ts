/** Waiting for time to pass. */

import { UsageError } from "../coordinator/errors.ts";
import type { Operation } from "../coordinator/operation.ts";
import { currentTask } from "../coordinator/task/current.ts";
import type { Task } from "../coordinator/task/task.ts";
import { Wait } from "../coordinator/wait.ts";
import { type Duration, nanoseconds } from "./duration.ts";
import { type Timed, timerQueueOf } from "./timer-queue.ts";

/** Monotonic milliseconds of the running task's clock: the scale of `sleepUntil` and `deadline`. */
export function now(): number {
  return currentTask("now()").cooperator.now() / 1e6;
}

/**
 * Waits for `duration`, never less. Zero lets others run once.
 *
 * @throws {UsageError} `COOP_DURATION` when it is negative or not a duration.
 * @example yield* sleep("250 millis");
 */
export function sleep(duration: Duration): Operation<void> {
  return new Sleep(nanoseconds(duration), false);
}

/** Waits until `now()` reaches `at`, in milliseconds. A time that has passed lets others run once. */
export function sleepUntil(at: number): Operation<void> {
  return new Sleep(instant(at), true);
}

/** @internal An absolute time in nanoseconds. */
export function instant(at: number): number {
  if (typeof at !== "number" || Number.isNaN(at)) {
    throw new UsageError("COOP_DURATION", "give a time in milliseconds as now() tells it");
  }
  return at * 1e6;
}

class Sleep extends Wait<void> implements Timed {
  deadline = 0;
  order = 0;
  heapIndex = -1;
  private readonly time: number;
  private readonly absolute: boolean;

  constructor(time: number, absolute: boolean) {
    super();
    this.time = time;
    this.absolute = absolute;
  }

  override describe(): string {
    return this.absolute ? "a point in time" : `sleep of ${this.time / 1e6} ms`;
  }

  override get letsOthersFirst(): boolean {
    return this.time === 0;
  }

  protected override begin(task: Task): boolean {
    const queue = timerQueueOf(task.cooperator);
    if (this.time === 0) {
      this.grant();
      return false;
    }
    queue.arm(this, this.absolute ? this.time : task.cooperator.now() + this.time);
    return false;
  }

  protected override finish(): void {}

  fire(): void {
    this.grant();
  }

  override abort(): boolean {
    timerQueueOf(this.task!.cooperator).disarm(this);
    return true;
  }
}
