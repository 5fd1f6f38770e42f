/**
 * A place where a number of tasks wait for each other, over and over.
 *
 * A participant that leaves while it waits, be it killed or out of time, **breaks** the barrier: the others
 * would wait for ever. They get a `BrokenBarrierError`, and so does everybody who comes until `reset()`. One
 * that is killed elsewhere is nothing the barrier can know of: it calls `abort()` in its clean-up.
 */

import { EmbeddedList } from "../coordinator/embedded-list.ts";
import { brand, CoopError, UsageError } from "../coordinator/errors.ts";
import type { Operation } from "../coordinator/operation.ts";
import { nameOf } from "../coordinator/options.ts";
import type { Task } from "../coordinator/task/task.ts";
import { QueuedWait } from "./queued.ts";

/** Not everybody will come: a participant has left. */
export class BrokenBarrierError extends CoopError {
  static override readonly brand = "BrokenBarrierError";
  constructor(message: string, options?: ErrorOptions) {
    super("COOP_BARRIER_BROKEN", message, options);
  }
}
brand(BrokenBarrierError);

export interface BarrierStatistics {
  readonly parties: number;
  /** Tasks that have come and wait for the rest. */
  readonly waiting: number;
  /** Times everybody has come. */
  readonly rounds: number;
  readonly broken: boolean;
}

export class Barrier {
  /** For dumps and error messages. */
  readonly name: string;
  readonly parties: number;
  /** @internal */ readonly waiters: EmbeddedList<BarrierWait> = new EmbeddedList();
  private rounds = 0;
  /** Why it is broken, in words. */
  private reason: string | null = null;

  /** @throws {UsageError} `COOP_COUNT` when `parties` is not a whole number from 1 up. */
  constructor(parties: number, options?: { readonly name?: string }) {
    if (!Number.isSafeInteger(parties) || parties < 1) {
      throw new UsageError("COOP_COUNT", "a barrier takes a whole number of tasks from 1 up");
    }
    this.name = nameOf(options, "barrier");
    this.parties = parties;
  }

  get broken(): boolean {
    return this.reason !== null;
  }

  /** Tasks that have come and wait for the rest. O(1). */
  get waiting(): number {
    return this.waiters.length;
  }

  statistics(): BarrierStatistics {
    const { parties, rounds } = this;
    return { parties, waiting: this.waiters.length, rounds, broken: this.broken };
  }

  /**
   * Waits until all have come. Gives the order of arrival from 0; the last one does not wait.
   *
   * @throws {BrokenBarrierError} when another participant leaves, or has left.
   */
  arrive(): Operation<number> {
    return new BarrierWait(this);
  }

  /** Breaks it: who waits, and who comes until the reset, gets a {@link BrokenBarrierError}. */
  abort(reason = "it was aborted"): void {
    this.reason ??= reason;
    for (let wait = this.waiters.shift(); wait !== null; wait = this.waiters.shift()) {
      wait.fail(this.brokenError());
    }
  }

  /** Makes it as new. Tasks that wait are sent away with a {@link BrokenBarrierError}. */
  reset(): void {
    if (this.waiters.length > 0) this.abort("it was reset");
    this.reason = null;
  }

  /** @internal True when `wait` is the last. */
  join(wait: BarrierWait): boolean {
    if (this.reason !== null) throw this.brokenError();
    wait.place = this.waiters.length;
    if (wait.place + 1 < this.parties) {
      this.waiters.push(wait);
      return false;
    }
    this.rounds++;
    for (let other = this.waiters.shift(); other !== null; other = this.waiters.shift()) other.grant();
    return true;
  }

  private brokenError(): BrokenBarrierError {
    return new BrokenBarrierError(`not all ${this.parties} will come to ${this.name}: ${this.reason}`);
  }
}

class BarrierWait extends QueuedWait<number> {
  place = 0;
  private readonly barrier: Barrier;

  constructor(barrier: Barrier) {
    super();
    this.barrier = barrier;
  }

  override describe(): string {
    return `${this.barrier.name}, ${this.barrier.waiting} of ${this.barrier.parties} there`;
  }

  protected override begin(_task: Task): boolean {
    return this.barrier.join(this);
  }

  protected override finish(): number {
    this.checkFailure();
    return this.place;
  }

  override abort(): boolean {
    super.abort();
    this.barrier.abort(`${this.task!.label} left`);
    return true;
  }
}
