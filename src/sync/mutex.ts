/**
 * Mutual exclusion with an owner: a coordinator that only its owner may release.
 *
 * Strictly first come, first served. A release gives the lock to the oldest waiter there and then, so nobody
 * who comes later can barge in, and a waiter that is killed before it has run passes it on.
 *
 * An owner that ends without a release leaves the mutex **broken**: what it protects may be half changed. All
 * who wait, and all who come later, get a `BrokenError`, until `repair()` says that the state is sound again.
 * Source: seeds X-20, C-001 … C-018.
 */

import { Acquisition, Coordinator } from "../coordinator/coordinator.ts";
import type { Body, Operation } from "../coordinator/operation.ts";
import { nameOf } from "../coordinator/options.ts";
import { current, currentTask } from "../coordinator/task/current.ts";
import type { Task } from "../coordinator/task/task.ts";
import { ENDED } from "../coordinator/task/task-state.ts";
import { type Guard, holding, notHeld, notOwner } from "./guard.ts";

export interface MutexStatistics {
  readonly locked: boolean;
  /** Label of the task that holds it, or held it when it broke. */
  readonly owner: string | null;
  readonly waiting: number;
  readonly broken: boolean;
}

export class Mutex {
  /** @internal */ readonly gate: Coordinator;

  constructor(options?: { readonly name?: string }) {
    this.gate = new Coordinator({ name: nameOf(options, "mutex") });
  }

  /** For dumps and error messages. */
  get name(): string {
    return this.gate.name;
  }

  get locked(): boolean {
    return this.gate.held;
  }

  /** The task that holds it, or null. */
  get owner(): Task | null {
    return this.gate.owner;
  }

  /** Tasks that wait. O(1). */
  get waiting(): number {
    return this.gate.waiting;
  }

  /** The owner has ended without a release. */
  get broken(): boolean {
    return this.gate.owner?.state === ENDED;
  }

  statistics(): MutexStatistics {
    const { gate } = this;
    return {
      locked: gate.held,
      owner: gate.owner?.label ?? null,
      waiting: gate.waiting,
      broken: this.broken,
    };
  }

  /**
   * Waits until the running task has it, first come first served.
   *
   * @throws {UsageError} `COOP_SELF_ACQUIRE` when the running task has it already.
   * @throws {BrokenError} when the owner ended without releasing it.
   * @example using _ = yield* mutex.lock();
   */
  lock(): Operation<Guard> {
    return new LockWait(this.gate);
  }

  /** Runs `body` with the lock, and releases it however that ends. */
  withLock<A>(body: Body<A>): Operation<A> {
    return holding(this.lock(), body, "withLock()");
  }

  /**
   * Takes it if it is free; {@link unlock} releases it. Neither waits nor allocates.
   *
   * @throws as {@link lock} does.
   */
  tryLock(): boolean {
    const task = currentTask("tryLock()");
    if (this.gate.tryAcquire()) return true;
    this.gate.check(task);
    return false;
  }

  /**
   * Gives it to the oldest waiter, or frees it. Never suspends.
   *
   * @throws {UsageError} `COOP_NOT_HELD` when it is free, `COOP_NOT_OWNER` in a task that does not hold it.
   */
  unlock(): void {
    unlock(this.gate);
  }

  /** Frees a broken mutex: what it protects has been looked at and put in order. False when it is not broken. */
  repair(): boolean {
    if (!this.broken) return false;
    this.gate.release();
    return true;
  }
}

function unlock(gate: Coordinator): void {
  const { owner } = gate;
  if (owner === null) throw notHeld(gate.name);
  if (owner !== current.task) throw notOwner(gate.name, owner);
  gate.release();
}

class LockWait extends Acquisition<Guard> implements Guard {
  /** The task this holds the lock for; null before and after. */
  private holder: Task | null = null;

  override describe(): string {
    return `lock of ${this.coordinator.name}`;
  }

  protected override finish(task: Task): Guard {
    this.checkAcquired();
    this.holder = task;
    return this;
  }

  release(): void {
    if (this.holder === null) throw notHeld(this.coordinator.name);
    unlock(this.coordinator);
    this.holder = null;
  }

  [Symbol.dispose](): void {
    const { holder } = this;
    // Lost in a wait for a condition, or unlocked by hand: there is nothing left to release.
    if (holder !== null && holder === this.coordinator.owner) this.release();
  }
}
