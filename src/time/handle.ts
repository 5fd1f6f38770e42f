/** A timer as a handle: set up, lined up with other operations, waited for. Source: seeds C-151 … C-153. */

import type { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import { currentTask } from "../coordinator/task/current.ts";
import { Handle as BaseHandle } from "../handle/handle.ts";
import { type Duration, nanoseconds } from "./duration.ts";
import { type Timed, timerQueueOf } from "./timer-queue.ts";

/** `result` of a timer that was cancelled: -ECANCELED. */
export const CANCELLED = -125;

/**
 * A timer. Its result is 0 when the time was up, -125 (ECANCELED) when it was cancelled first.
 *
 * @example
 * const timer = new time.Handle();
 * timer.setup("2 seconds");
 * const first = yield* coordinateWithKill(read.coordinator, timer.coordinator);
 */
export class Handle extends BaseHandle implements Timed {
  /** @internal */ deadline = 0;
  /** @internal */ order = 0;
  /** @internal */ heapIndex = -1;
  private cooperator: Cooperator | null = null;

  override describe(): string {
    return "timer";
  }

  /**
   * Arms the timer and returns at once.
   *
   * @throws {BusyError} when it is armed already.
   * @throws {UsageError} `COOP_DURATION` when `duration` is not one.
   */
  setup(duration: Duration): void {
    this.checkIdle();
    const length = nanoseconds(duration);
    const { cooperator } = currentTask("a timer's setup()");
    const queue = timerQueueOf(cooperator);
    this.cooperator = cooperator;
    this.submitted();
    queue.arm(this, cooperator.now() + length);
  }

  /** Stops the timer: it is done at once, with -ECANCELED. Harmless when it is not armed. */
  cancel(): void {
    if (!this.pending) return;
    timerQueueOf(this.cooperator!).disarm(this);
    this.completed(CANCELLED);
  }

  /** @internal */
  fire(): void {
    this.completed(0);
  }
}
