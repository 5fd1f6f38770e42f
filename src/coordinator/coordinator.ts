/**
 * The one primitive everything that waits is built on: a held flag and a FIFO of waiters.
 *
 * ```
 *            tryAcquire / acquire                release, nobody waits
 *   free ───────────────────────────▶ held ───────────────────────────▶ free
 *                                     │  ▲
 *             release, somebody waits │  │ ownership goes straight to the oldest waiter;
 *                                     └──┘ the coordinator is never free in between
 * ```
 *
 * Since it is never free between a release and the next owner, nobody can barge in: acquisition is in
 * strict order of arrival. Created held it serves as an event: wait by acquiring, fire by releasing.
 * Anyone may release. Source: seeds C-001 … C-018, X-20, X-21.
 */

import type { Coordinated } from "./coordinated.ts";
import { Embedded, EmbeddedList } from "./embedded-list.ts";
import { BrokenError, UsageError } from "./errors.ts";
import type { Operation } from "./operation.ts";
import { given, nameOf } from "./options.ts";
import { Continuation, type ContinueOptions } from "./scheduler/continuation.ts";
import { current } from "./task/current.ts";
import type { Task } from "./task/task.ts";
import { ENDED } from "./task/task-state.ts";
import { Wait } from "./wait.ts";

export class Coordinator extends Embedded {
  /** For dumps and error messages. */
  name: string;
  private isHeld: boolean;
  /** The task that acquired it; null when free, and when it was made held or is held for nobody. */
  private holder: Task | null = null;
  /** @internal */ readonly waiters: EmbeddedList<Coordinated> = new EmbeddedList();

  constructor(options?: { readonly held?: boolean; readonly name?: string }) {
    super();
    this.isHeld = given(options, "held") ?? false;
    this.name = nameOf(options, "coordinator");
  }

  get held(): boolean {
    return this.isHeld;
  }

  /** The task that acquired it, or null. */
  get owner(): Task | null {
    return this.holder;
  }

  /** Tasks that wait. O(1). */
  get waiting(): number {
    return this.waiters.length;
  }

  /** Takes it if it is free, without waiting. Never looks at the waiters: while there are any, it is held. */
  tryAcquire(): boolean {
    if (this.isHeld) return false;
    this.isHeld = true;
    this.holder = current.task;
    return true;
  }

  /**
   * Waits until it is free, first come first served, and takes it.
   *
   * @throws {UsageError} `COOP_SELF_ACQUIRE` when the calling task already owns it: it would wait for itself.
   * @throws {BrokenError} when the owner ended without releasing it.
   */
  acquire(): Operation<void> {
    return new Acquire(this);
  }

  /** Waits until whoever holds it now, and everyone queued before, is done; keeps nothing. */
  flash(): Operation<void> {
    return new Flash(this);
  }

  /**
   * Gives it to the oldest waiter, or frees it. Never suspends: the waiter runs in a later step.
   *
   * @throws {UsageError} `COOP_NOT_HELD` when it is not held.
   */
  release(): void {
    if (!this.isHeld) {
      throw new UsageError("COOP_NOT_HELD", `${this.name} is not held: release it once per acquire`);
    }
    if (this.list !== null) this.list.remove(this);
    const next = this.waiters.shift();
    if (next === null) {
      this.isHeld = false;
      this.holder = null;
      return;
    }
    this.holder = next.task;
    if (this.waiters.length !== 0) this.watchOwner();
    next.grant();
  }

  /**
   * Releases, and lets the new owner run before anyone else; the caller goes to the tail of the run queue.
   * Returns at once when nobody waits.
   */
  handOff(): Operation<void> {
    return new HandOff(this);
  }

  /**
   * Calls `fn` once it is free and everyone queued before is done; `fn` owns it until it returns, and must not
   * release it. The call is made by the loop in a later turn, cannot wait, and is in line with tasks that wait.
   *
   * @throws {UsageError} `COOP_NOT_A_CALLBACK` for a generator or async function; `COOP_NO_TASK` outside of a
   * task and of a continuation.
   * @example const reply = gate.continue(() => requests.shift());
   */
  continue<A>(fn: () => A, options?: ContinueOptions): Continuation<A> {
    const continuation = new Continuation(fn, this, this.name, options);
    this.admit(continuation);
    return continuation;
  }

  /**
   * Moves up to `count` waiters, oldest first, to the tail of `target`'s FIFO. When `target` is free the
   * first of them gets it.
   *
   * @returns how many were moved.
   */
  moveWaiters(target: Coordinator, count = Number.POSITIVE_INFINITY): number {
    const most = Math.min(count, this.waiters.length);
    let moved = 0;
    for (; moved < most; moved++) {
      const node = this.waiters.shift();
      // One that was granted may have taken other waits of the same task along.
      if (node === null) break;
      node.moved(target);
      target.admit(node);
    }
    return moved;
  }

  /** @internal Gives it to `node` if it is free, and queues `node` if not; fails it when the owner is gone. */
  admit(node: Coordinated): void {
    const owner = this.holder;
    if (!this.isHeld) {
      this.isHeld = true;
      this.holder = node.task;
      node.grant();
    } else if (owner !== null && owner.state === ENDED) node.fail(this.broken(owner));
    else this.enqueue(node);
  }

  /**
   * @internal Hands back what `task` was given but never saw, since a kill came first. Somebody else may have
   * released it in between: then there is nothing to hand back.
   */
  handBack(task: Task | null): void {
    if (this.isHeld && this.holder === task) this.release();
  }

  /** @internal Held again, for nobody in particular: what a handle does when it is submitted. */
  rearm(): void {
    this.isHeld = true;
    this.holder = null;
  }

  /** @internal Throws when `task` could never get it. */
  check(task: Task): void {
    const owner = this.holder;
    if (owner === null) return;
    if (owner === task) {
      throw new UsageError(
        "COOP_SELF_ACQUIRE",
        `${task.label} already owns ${this.name} and would wait for itself; release it first`,
      );
    }
    if (owner.state === ENDED) throw this.broken(owner);
  }

  /** @internal Queues a waiter at the tail. */
  enqueue(node: Coordinated): void {
    this.waiters.push(node);
    if (this.list === null && this.holder !== null) this.watchOwner();
  }

  /** @internal The owner ended: nobody is left to release it, so the waiters are told. */
  breakWaiters(owner: Task): void {
    for (let node = this.waiters.shift(); node !== null; node = this.waiters.shift()) {
      node.fail(this.broken(owner));
    }
  }

  private broken(owner: Task): BrokenError {
    return new BrokenError(
      `${owner.label} ended while it owned ${this.name}; release it in a finally block or a defer`,
    );
  }

  /** An owner is only told what it holds once somebody waits for it: the uncontended path pays nothing. */
  private watchOwner(): void {
    const owner = this.holder;
    if (owner === null) return;
    const rare = owner.needRare();
    rare.contended ??= new EmbeddedList();
    rare.contended.push(this);
  }
}

/** @internal What all waits that acquire have in common; the subclass says what they give. */
export abstract class Acquisition<A> extends Wait<A> {
  coordinator: Coordinator;
  protected failure: unknown = null;

  constructor(coordinator: Coordinator) {
    super();
    this.coordinator = coordinator;
  }

  protected override begin(task: Task): boolean {
    const coordinator = this.coordinator;
    if (coordinator.tryAcquire()) return true;
    coordinator.check(task);
    coordinator.enqueue(this);
    return false;
  }

  override awaitedTasks(): readonly Task[] {
    const { owner } = this.coordinator;
    return owner === null ? [] : [owner];
  }

  /** Throws when the owner ended without releasing it. */
  protected checkAcquired(): void {
    if (this.failure === null) return;
    const failure = this.failure;
    this.failure = null;
    throw failure;
  }

  override abort(): boolean {
    this.list?.remove(this);
    return true;
  }

  override rollback(): void {
    if (this.failure === null) this.coordinator.handBack(this.task);
    this.failure = null;
  }

  override fail(error: unknown): void {
    this.failure = error;
    this.grant();
  }

  override moved(to: Coordinator): void {
    this.coordinator = to;
  }
}

/** The wait of `acquire`. */
class Acquire extends Acquisition<void> {
  override describe(): string {
    return `acquire of ${this.coordinator.name}`;
  }
  protected override finish(): void {
    this.checkAcquired();
  }
}

/** The wait of `flash`. */
class Flash extends Acquisition<void> {
  override describe(): string {
    return `flash of ${this.coordinator.name}`;
  }
  protected override begin(task: Task): boolean {
    const coordinator = this.coordinator;
    if (!coordinator.held) return true;
    coordinator.check(task);
    coordinator.enqueue(this);
    return false;
  }
  protected override finish(task: Task): void {
    this.checkAcquired();
    if (this.satisfied) this.coordinator.handBack(task);
  }
}

class HandOff extends Wait<void> {
  private readonly coordinator: Coordinator;
  constructor(coordinator: Coordinator) {
    super();
    this.coordinator = coordinator;
  }
  override get letsOthersFirst(): boolean {
    return true;
  }
  override describe(): string {
    return `hand-off of ${this.coordinator.name}`;
  }
  protected override begin(task: Task): boolean {
    if (this.coordinator.waiting === 0) {
      this.coordinator.release();
      return true;
    }
    const cooperator = task.cooperator;
    cooperator.readyFirst = true;
    try {
      this.coordinator.release();
    } finally {
      cooperator.readyFirst = false;
    }
    this.grant();
    return false;
  }
  protected override finish(): void {}
  override abort(): boolean {
    return true;
  }
}
