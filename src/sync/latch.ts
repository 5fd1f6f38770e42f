/** A count that goes down to zero once: tasks wait until so many things have happened. */

import { UsageError } from "../coordinator/errors.ts";
import type { Operation } from "../coordinator/operation.ts";
import { nameOf } from "../coordinator/options.ts";
import { Signal } from "../coordinator/signal.ts";

export interface LatchStatistics {
  readonly remaining: number;
  readonly waiting: number;
}

export class Latch {
  /** @internal Notified when the count is zero. */
  readonly opened: Signal;
  private count: number;

  /** @throws {UsageError} `COOP_COUNT` when `count` is not a whole number from 0 up. With 0 it is open. */
  constructor(count: number, options?: { readonly name?: string }) {
    this.count = whole(count);
    this.opened = new Signal({ name: nameOf(options, "latch") });
    if (count === 0) this.opened.notify();
  }

  /** For dumps and error messages. */
  get name(): string {
    return this.opened.name;
  }

  get remaining(): number {
    return this.count;
  }

  /** Tasks that wait. O(1). */
  get waiting(): number {
    return this.opened.waiting;
  }

  statistics(): LatchStatistics {
    return { remaining: this.count, waiting: this.opened.waiting };
  }

  /**
   * Counts down; at zero everybody who waits goes on. Never suspends.
   *
   * @throws {UsageError} `COOP_COUNT` when less than `count` remains: something was counted twice.
   */
  countDown(count = 1): void {
    if (whole(count) > this.count) {
      throw new UsageError(
        "COOP_COUNT",
        `${this.name} has ${this.count} to go and was counted down by ${count}: count each thing once`,
      );
    }
    this.count -= count;
    if (this.count === 0) this.opened.notify();
  }

  /** Waits until the count is zero. */
  wait(): Operation<void> {
    return this.opened.wait();
  }
}

function whole(count: number): number {
  if (Number.isSafeInteger(count) && count >= 0) return count;
  throw new UsageError("COOP_COUNT", "a latch counts whole numbers from 0 up");
}
