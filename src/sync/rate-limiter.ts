/**
 * So many per time, with bursts: a token bucket on the clock of the cooperator, first come first served.
 *
 * Instead of counting tokens it keeps the one instant at which the bucket would be full again. Taking `n`
 * moves it by `n` intervals into the future, giving back moves it back. Each sum is rounded to a fraction of a
 * nanosecond, and every pause long enough for the bucket to fill begins anew. One timer at most is armed, for the
 * first in line.
 */

import { EmbeddedList } from "../coordinator/embedded-list.ts";
import { UsageError } from "../coordinator/errors.ts";
import type { Operation } from "../coordinator/operation.ts";
import { checkName, checkOptions, type Known, ownOf } from "../coordinator/options.ts";
import type { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import { currentTask } from "../coordinator/task/current.ts";
import type { Task } from "../coordinator/task/task.ts";
import { type Duration, nanoseconds } from "../time/duration.ts";
import { type Timed, timerQueueOf } from "../time/timer-queue.ts";
import { QueuedWait } from "./queued.ts";

export interface RateLimiterOptions {
  /** Tokens in each `per`. */
  readonly limit: number;
  /** `"1 second"`, or milliseconds. */
  readonly per: Duration;
  /** Tokens that may be taken at once after a pause. Default: `limit`. With 1 they are spread evenly. */
  readonly burst?: number;
  /** For dumps and error messages. */
  readonly name?: string;
}

export interface RateLimiterStatistics {
  /** Tokens that have been taken. */
  readonly taken: number;
  readonly waiting: number;
}

const KNOWN: Known<RateLimiterOptions> = { limit: true, per: true, burst: true, name: true };

export class RateLimiter implements Timed {
  /** For dumps and error messages. */
  readonly name: string;
  /** Tokens that may be taken at once after a pause. */
  readonly burst: number;
  /** @internal */ readonly waiters: EmbeddedList<TokenWait> = new EmbeddedList();
  /** @internal */ deadline = 0;
  /** @internal */ order = 0;
  /** @internal */ heapIndex = -1;
  /** Nanoseconds between two tokens. */
  private readonly interval: number;
  /** When the bucket would be full again; it is full when that has passed. */
  private fullAt = Number.NEGATIVE_INFINITY;
  private taken = 0;
  /** Whose clock it is: that of the first task that asked. */
  private cooperator: Cooperator | null = null;

  /** @throws {UsageError} `COOP_RATE` when a number is not above zero, `COOP_DURATION` when `per` is no duration. */
  constructor(options: RateLimiterOptions) {
    checkOptions(options, "a RateLimiter", KNOWN);
    const own = ownOf(options);
    const { limit, per, name = "rate limiter" } = own;
    const length = nanoseconds(per);
    if (!(Number.isFinite(limit) && limit > 0 && length > 0 && length < Number.POSITIVE_INFINITY)) {
      throw new UsageError("COOP_RATE", "a rate is a number of tokens and a time, both above 0 and finite");
    }
    const { burst = Math.max(1, Math.floor(limit)) } = own;
    if (!Number.isSafeInteger(burst) || burst < 1) {
      throw new UsageError("COOP_RATE", "burst is a whole number of tokens from 1 up");
    }
    checkName(name);
    this.name = name;
    this.burst = burst;
    this.interval = length / limit;
  }

  /** Tasks that wait. O(1). */
  get waiting(): number {
    return this.waiters.length;
  }

  statistics(): RateLimiterStatistics {
    return { taken: this.taken, waiting: this.waiters.length };
  }

  /**
   * Waits until `count` tokens are there, first come first served, and takes them. A task that is killed before
   * it has gone on gives them back.
   *
   * @throws {UsageError} `COOP_RATE` when `count` is not a whole number from 0 up, or above `burst`: there
   * would never be as many.
   */
  acquire(count = 1): Operation<void> {
    this.check(count);
    return new TokenWait(this, count);
  }

  /** Takes `count` tokens if they are there and nobody waits. */
  tryAcquire(count = 1): boolean {
    this.check(count);
    return this.take(count, currentTask("tryAcquire()"));
  }

  /** @internal */
  take(count: number, task: Task): boolean {
    this.cooperator ??= task.cooperator;
    this.cooperator.checkThread(task.cooperator);
    if (count === 0) return true;
    return this.waiters.length === 0 && this.takeNow(count, this.cooperator.now());
  }

  /** @internal */
  giveBack(count: number): void {
    this.taken -= count;
    this.fullAt -= count * this.interval;
    this.serve();
  }

  /** @internal The first in line may have changed: gives it what is there, or sets the timer. */
  serve(): void {
    const timers = timerQueueOf(this.cooperator!);
    const now = this.cooperator!.now();
    for (let first = this.waiters.peek(); first !== null; first = this.waiters.peek()) {
      if (!this.takeNow(first.count, now)) {
        timers.arm(this, this.availableAt(first.count));
        return;
      }
      this.waiters.shift();
      first.grant();
    }
    timers.disarm(this);
  }

  /** @internal */
  fire(): void {
    this.serve();
  }

  private takeNow(count: number, now: number): boolean {
    if (this.availableAt(count) > now) return false;
    this.fullAt = Math.max(this.fullAt, now) + count * this.interval;
    this.taken += count;
    return true;
  }

  private availableAt(count: number): number {
    return this.fullAt - (this.burst - count) * this.interval;
  }

  private check(count: number): void {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new UsageError("COOP_RATE", `tokens of ${this.name} are counted in whole numbers from 0 up`);
    }
    if (count > this.burst) {
      throw new UsageError(
        "COOP_RATE",
        `${count} tokens of ${this.name} can never be there at once, only ${this.burst}; ask for fewer or raise burst`,
      );
    }
  }
}

class TokenWait extends QueuedWait<void> {
  readonly count: number;
  private readonly limiter: RateLimiter;

  constructor(limiter: RateLimiter, count: number) {
    super();
    this.limiter = limiter;
    this.count = count;
  }

  override describe(): string {
    return `${this.count} tokens of ${this.limiter.name}`;
  }

  protected override begin(task: Task): boolean {
    const { limiter } = this;
    if (limiter.take(this.count, task)) return true;
    limiter.waiters.push(this);
    if (limiter.waiting === 1) limiter.serve();
    return false;
  }

  protected override finish(): void {}

  override abort(): boolean {
    const first = this.limiter.waiters.peek() === this;
    super.abort();
    if (first) this.limiter.serve();
    return true;
  }

  override rollback(): void {
    this.limiter.giveBack(this.count);
  }
}
