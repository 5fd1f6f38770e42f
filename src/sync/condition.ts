/**
 * Waiting, with a mutex released, until somebody says that what it protects has changed.
 *
 * A condition is a coordinator that is never free. A notification moves waiters from its FIFO to the tail of
 * the mutex's, where they queue like everybody else: nobody is woken only to wait again.
 *
 * However a wait ends, the task holds the mutex afterwards: a kill takes effect when the mutex has been
 * acquired again, so that clean-up may rely on it. (The one exception is a mutex that breaks meanwhile.) A
 * notification given to a task that is killed before it has run goes to the next waiter.
 */

import { Acquisition, Coordinator } from "../coordinator/coordinator.ts";
import { UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation } from "../coordinator/operation.ts";
import { nameOf } from "../coordinator/options.ts";
import type { Task } from "../coordinator/task/task.ts";
import { notHeld, notOwner } from "./guard.ts";
import { Mutex } from "./mutex.ts";

export interface ConditionStatistics {
  /** Tasks that wait for a notification; those that have it wait at the mutex. */
  readonly waiting: number;
}

export class Condition {
  readonly mutex: Mutex;
  /** @internal Held by nobody, for ever. */
  readonly gate: Coordinator;

  /** @throws {UsageError} `COOP_NOT_A_MUTEX` for anything else. */
  constructor(mutex: Mutex, options?: { readonly name?: string }) {
    if (!(mutex instanceof Mutex)) {
      throw new UsageError("COOP_NOT_A_MUTEX", `a condition has a Mutex, not ${describeValue(mutex)}`);
    }
    this.mutex = mutex;
    this.gate = new Coordinator({ held: true, name: nameOf(options, "condition") });
  }

  /** For dumps and error messages. */
  get name(): string {
    return this.gate.name;
  }

  /** Tasks that wait for a notification. O(1). */
  get waiting(): number {
    return this.gate.waiting;
  }

  statistics(): ConditionStatistics {
    return { waiting: this.gate.waiting };
  }

  /**
   * Releases the mutex, waits for a notification, and acquires the mutex again. Others may have changed the
   * state in between: wait in a loop that looks at it.
   *
   * @throws {UsageError} `COOP_NOT_HELD` or `COOP_NOT_OWNER` when the running task does not hold the mutex.
   * @throws {BrokenError} when another owner of the mutex ended without releasing it; the mutex is not held then.
   * @example while (queue.length === 0) yield* notEmpty.wait();
   */
  wait(): Operation<void> {
    return new ConditionWait(this);
  }

  /**
   * Lets the `count` oldest waiters go on, as soon as they get the mutex. Never suspends, and may be called
   * with or without the mutex.
   *
   * @returns how many there were.
   * @throws {UsageError} `COOP_COUNT` when `count` is not a whole number from 0 up.
   */
  notify(count = 1): number {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new UsageError("COOP_COUNT", "notify() takes a whole number from 0 up");
    }
    return this.gate.moveWaiters(this.mutex.gate, count);
  }

  /** Lets all waiters go on, one after the other, as they get the mutex. */
  notifyAll(): number {
    return this.gate.moveWaiters(this.mutex.gate);
  }
}

class ConditionWait extends Acquisition<void> {
  private readonly condition: Condition;
  private left = false;

  constructor(condition: Condition) {
    super(condition.gate);
    this.condition = condition;
  }

  override describe(): string {
    const { condition } = this;
    const notified = this.coordinator !== condition.gate;
    return notified ? `lock of ${condition.mutex.name}, after ${condition.name}` : condition.name;
  }

  /** @internal To leave it takes the mutex. */
  override get lingers(): boolean {
    return true;
  }

  protected override begin(task: Task): boolean {
    const { condition } = this;
    const mutex = condition.mutex.gate;
    if (mutex.owner === null) throw notHeld(mutex.name);
    if (mutex.owner !== task) throw notOwner(mutex.name, mutex.owner);
    this.coordinator = condition.gate;
    this.left = false;
    condition.gate.enqueue(this);
    mutex.release();
    return false;
  }

  protected override finish(): void {
    this.checkAcquired();
  }

  /** Leaves the condition, but not without the mutex. */
  override abort(): boolean {
    const { condition } = this;
    if (this.coordinator === condition.gate) {
      this.left = true;
      condition.gate.waiters.remove(this);
      this.coordinator = condition.mutex.gate;
      condition.mutex.gate.admit(this);
    }
    return false;
  }

  /** Code that iterates by hand does not wait for the mutex, and must not be given it later. */
  protected override withdrawBegun(task: Task): void {
    super.withdrawBegun(task);
    this.list?.remove(this);
  }

  /** The mutex is kept: clean-up relies on it. The notification, if there was one, is for somebody else. */
  override rollback(): void {
    this.failure = null;
    if (!this.left) this.condition.notify();
  }
}
