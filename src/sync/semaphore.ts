/**
 * A number of permits: how many may do something at once, or how much of something there is.
 *
 * Permits belong to nobody in particular: one task may take them and another give them back, and those of a
 * task that ends without giving them back are gone until somebody does. `withPermits` and `using` see to that.
 * Source: seeds C-235, X-25.
 */

import { UsageError } from "../coordinator/errors.ts";
import { type Body, describeValue, type Operation } from "../coordinator/operation.ts";
import { nameOf } from "../coordinator/options.ts";
import type { Task } from "../coordinator/task/task.ts";
import { holding } from "./guard.ts";
import { PermitQueue, PermitWait } from "./permit-queue.ts";

/** Permits that were acquired together: `using permit = yield* semaphore.acquire(3)`. */
export interface Permit extends Disposable {
  /** Permits this still stands for. */
  readonly amount: number;
  /**
   * Gives them back, from any task. Never suspends.
   *
   * @throws {UsageError} `COOP_NOT_HELD` when that is done already.
   */
  release(): void;
  /**
   * Takes `amount` out of this and makes them a permit of their own, for somebody else to release.
   *
   * @throws {UsageError} `COOP_PERMITS` when this does not have as many.
   */
  split(amount: number): Permit;
  /** Gives them back, unless that is done already. */
  [Symbol.dispose](): void;
}

/** `held + free = total`; `free` is below zero while more is held than a reduced total allows. */
export interface SemaphoreStatistics {
  readonly total: number;
  readonly held: number;
  readonly free: number;
  readonly waiting: number;
}

export class Semaphore {
  /** For dumps and error messages. */
  readonly name: string;
  private readonly queue: PermitQueue;

  /** @throws {UsageError} `COOP_PERMITS` when `permits` is not a whole number from 0 up. */
  constructor(permits: number, options?: { readonly name?: string }) {
    this.name = nameOf(options, "semaphore");
    this.queue = new PermitQueue(whole(permits, "a semaphore"));
  }

  /** Permits there are, held or free. */
  get total(): number {
    return this.queue.total;
  }

  /** Permits nobody holds; below zero while more is held than a reduced total allows. */
  get free(): number {
    return this.queue.total - this.queue.held;
  }

  /** Tasks that wait. O(1). */
  get waiting(): number {
    return this.queue.waiters.length;
  }

  statistics(): SemaphoreStatistics {
    const { total, held, waiters } = this.queue;
    return { total, held, free: total - held, waiting: waiters.length };
  }

  /**
   * Waits for `amount` permits at once, first come first served. None at all are had without waiting.
   *
   * @throws {UsageError} `COOP_PERMITS` when `amount` is not a whole number from 0 up, or more than there are:
   * it would wait for ever. (A total of zero means closed for now; everybody waits then.)
   * @example using permit = yield* semaphore.acquire();
   */
  acquire(amount = 1): Operation<Permit> {
    this.check(amount);
    return new SemaphoreWait(this, this.queue, amount);
  }

  /** Runs `body` with `amount` permits, and gives them back however that ends. */
  withPermits<A>(amount: number, body: Body<A>): Operation<A> {
    return holding(this.acquire(amount), body, "withPermits()");
  }

  /** Takes `amount` permits if that needs no wait; {@link release} gives them back. Allocates nothing. */
  tryAcquire(amount = 1): boolean {
    this.check(amount);
    return amount === 0 || this.queue.take(amount);
  }

  /**
   * Gives `amount` permits back that were taken with {@link tryAcquire}; a {@link Permit} has its own `release`.
   *
   * @throws {UsageError} `COOP_NOT_HELD` when fewer are held.
   */
  release(amount = 1): void {
    whole(amount, this.name);
    const { held } = this.queue;
    if (amount > held) {
      throw new UsageError(
        "COOP_NOT_HELD",
        `${amount} permits of ${this.name} were to be released and ${held} are held: release what was acquired`,
      );
    }
    this.queue.give(amount);
  }

  /**
   * Changes how many permits there are. More are given out at once; fewer take effect as permits come back.
   * Zero closes the semaphore for now. Waiters that want more than there are then fail with `COOP_PERMITS`.
   */
  resize(total: number): void {
    const { queue } = this;
    queue.total = whole(total, this.name);
    if (total > 0) {
      for (const wait of [...queue.waiters]) {
        // One before it may have taken it along: another arm of the same select.
        if (wait.wanted > total && queue.waiters.remove(wait)) wait.fail(this.tooMany(wait.wanted));
      }
    }
    queue.serve();
  }

  /** @internal Throws when `amount` can never be had. */
  check(amount: number): void {
    whole(amount, this.name);
    const { total } = this.queue;
    if (amount > total && total > 0) throw this.tooMany(amount);
  }

  private tooMany(amount: number): UsageError {
    return new UsageError(
      "COOP_PERMITS",
      `${amount} permits of ${this.name} were asked for and there are only ${this.queue.total}`,
    );
  }
}

function whole(amount: number, what: string): number {
  if (Number.isSafeInteger(amount) && amount >= 0) return amount;
  throw new UsageError(
    "COOP_PERMITS",
    `permits of ${what} are counted in whole numbers from 0 up, not ${typeof amount === "number" ? amount : describeValue(amount)}`,
  );
}

class SemaphoreWait extends PermitWait<Permit> implements Permit {
  /** Permits it stands for, once it has been granted. */
  amount = 0;
  private readonly semaphore: Semaphore;

  constructor(semaphore: Semaphore, queue: PermitQueue, wanted: number) {
    super(queue, wanted);
    this.semaphore = semaphore;
  }

  override describe(): string {
    const { semaphore, wanted } = this;
    return `${wanted} of the ${semaphore.total} permits of ${semaphore.name}, ${semaphore.free} free`;
  }

  protected override begin(task: Task): boolean {
    if (this.amount > 0) throw this.misused("COOP_OPERATION_USED", "is still held: acquire() again");
    this.semaphore.check(this.wanted);
    return this.wanted === 0 || super.begin(task);
  }

  protected override finish(): Permit {
    this.checkFailure();
    this.amount = this.wanted;
    return this;
  }

  release(): void {
    const { amount } = this;
    if (amount === 0 && this.wanted > 0) {
      throw this.misused("COOP_NOT_HELD", "has been given back: release it once");
    }
    this.semaphore.release(amount);
    this.amount = 0;
  }

  split(amount: number): Permit {
    if (whole(amount, this.semaphore.name) > this.amount) {
      throw this.misused("COOP_PERMITS", `stands for ${this.amount} and cannot give ${amount}`);
    }
    const part = new SemaphoreWait(this.semaphore, this.queue, amount);
    part.amount = amount;
    this.amount -= amount;
    return part;
  }

  [Symbol.dispose](): void {
    if (this.amount > 0) this.release();
  }

  private misused(code: string, what: string): UsageError {
    return new UsageError(code, `a permit of ${this.semaphore.name} ${what}`);
  }
}
