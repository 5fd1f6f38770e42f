/**
 * Any number of readers, or one writer: permits of which a reader takes one and a writer all.
 *
 * One FIFO for both, so that a reader who comes after a waiting writer waits behind it: neither starves. A
 * waiting writer that is killed lets the readers behind it pass at once. A task that reads already may read
 * again, also past a waiting writer, since it would otherwise wait for itself; one that reads cannot write.
 *
 * A holder that ends without a release leaves the lock broken, by the rules of a `Mutex`. To find out, each
 * holder's task carries a `Watch` from the moment somebody waits; the path without contention pays nothing.
 * Source: seeds X-25.
 */

import { Embedded, EmbeddedList } from "../coordinator/embedded-list.ts";
import { BrokenError, UsageError } from "../coordinator/errors.ts";
import type { Body, Operation } from "../coordinator/operation.ts";
import { nameOf } from "../coordinator/options.ts";
import { current } from "../coordinator/task/current.ts";
import type { Contended } from "../coordinator/task/rare.ts";
import type { Task } from "../coordinator/task/task.ts";
import { ENDED } from "../coordinator/task/task-state.ts";
import { type Guard, holding, notHeld, notOwner } from "./guard.ts";
import { PermitQueue, PermitWait } from "./permit-queue.ts";

/** Permits of a lock, and so the readers it can have at once: far more than there can be tasks. */
const ALL = 2 ** 40;

export interface RwLockStatistics {
  readonly readers: number;
  /** Label of the task that writes. */
  readonly writer: string | null;
  readonly waiting: number;
  readonly broken: boolean;
}

export class RwLock {
  /** For dumps and error messages. */
  readonly name: string;
  /** @internal */ readonly queue = new PermitQueue(ALL);
  /** @internal Who has it and has run since it was given it, oldest first. */
  readonly holders: EmbeddedList<RwWait> = new EmbeddedList();
  /** @internal */ writing: Task | null = null;
  /** A holder that is known to have ended without a release. */
  private brokenBy: Task | null = null;

  constructor(options?: { readonly name?: string }) {
    this.name = nameOf(options, "read-write lock");
  }

  /** Times it is held for reading. */
  get readers(): number {
    return this.writing === null ? this.queue.held : 0;
  }

  /** The task that writes, or null. */
  get writer(): Task | null {
    return this.writing;
  }

  /** Tasks that wait. O(1). */
  get waiting(): number {
    return this.queue.waiters.length;
  }

  /** A holder has ended without a release. O(holders). */
  get broken(): boolean {
    return this.findDead() !== null;
  }

  statistics(): RwLockStatistics {
    return {
      readers: this.readers,
      writer: this.writer?.label ?? null,
      waiting: this.waiting,
      broken: this.broken,
    };
  }

  /**
   * Waits until the running task may read, with other readers and without a writer.
   *
   * @throws {UsageError} `COOP_SELF_ACQUIRE` when the running task writes.
   * @throws {BrokenError} when it would have to wait and a holder ended without a release.
   * @example using _ = yield* lock.read();
   */
  read(): Operation<Guard> {
    return new RwWait(this, 1);
  }

  /**
   * Waits until the running task may write, alone.
   *
   * @throws {UsageError} `COOP_SELF_ACQUIRE` when the running task reads or writes already.
   * @throws {BrokenError} when a holder ended without a release.
   */
  write(): Operation<Guard> {
    return new RwWait(this, ALL);
  }

  /** Runs `body` as a reader, and releases however that ends. */
  withRead<A>(body: Body<A>): Operation<A> {
    return holding(this.read(), body, "withRead()");
  }

  /** Runs `body` as the writer, and releases however that ends. */
  withWrite<A>(body: Body<A>): Operation<A> {
    return holding(this.write(), body, "withWrite()");
  }

  /** Frees a broken lock of the holders that have ended. False when it is not broken. */
  repair(): boolean {
    const repaired = this.broken;
    for (const wait of [...this.holders]) if (wait.holder!.state === ENDED) wait.letGo();
    this.brokenBy = null;
    return repaired;
  }

  /** @internal Throws when `task` would wait for ever; true when it reads already, and so may read again. */
  mayPass(task: Task, wanted: number): boolean {
    if (this.queue.waiters.length === 0) for (const wait of this.holders) wait.watch();
    this.brokenBy ??= this.queue.waiters.length === 0 ? this.findDead() : null;
    if (this.brokenBy !== null) throw this.brokenError(this.brokenBy);
    const own = task.rare?.contended ?? null;
    if (own === null) return false;
    for (const watch of own) {
      if (!(watch instanceof Watch) || watch.lock !== this) continue;
      if (wanted === 1 && this.writing === null) return true;
      const does = this.writing === null ? "reads" : "writes";
      throw new UsageError(
        "COOP_SELF_ACQUIRE",
        `${task.label} already ${does} ${this.name} and would wait for itself; release it first`,
      );
    }
    return false;
  }

  /** @internal A holder ended while others wait. */
  holderEnded(holder: Task): void {
    this.brokenBy = holder;
    const { waiters } = this.queue;
    for (let wait = waiters.shift(); wait !== null; wait = waiters.shift()) {
      wait.fail(this.brokenError(holder));
    }
  }

  private findDead(): Task | null {
    for (const wait of this.holders) if (wait.holder!.state === ENDED) return wait.holder;
    return null;
  }

  private brokenError(holder: Task): BrokenError {
    return new BrokenError(
      `${holder.label} ended while it held ${this.name}; release it in a finally block or a defer`,
    );
  }
}

/** On the list of what a holder's task owns and others wait for. */
class Watch extends Embedded implements Contended {
  readonly lock: RwLock;
  constructor(lock: RwLock) {
    super();
    this.lock = lock;
  }
  breakWaiters(owner: Task): void {
    this.lock.holderEnded(owner);
  }
}

/** On the lock's list of waiters while it waits, on that of holders while it holds. */
class RwWait extends PermitWait<Guard> implements Guard {
  /** The task that waits or holds. */
  holder: Task | null = null;
  private readonly lock: RwLock;
  private watched: Watch | null = null;

  constructor(lock: RwLock, wanted: number) {
    super(lock.queue, wanted);
    this.lock = lock;
  }

  override describe(): string {
    return `${this.wanted === 1 ? "read" : "write"} of ${this.lock.name}`;
  }

  override awaitedTasks(): readonly Task[] {
    return [...this.lock.holders].map((wait) => wait.holder!);
  }

  protected override begin(task: Task): boolean {
    const { lock, queue, wanted } = this;
    if (this.list !== null) throw new UsageError("COOP_OPERATION_USED", "this lock is held: make a new wait");
    this.holder = task;
    if (!queue.take(wanted)) {
      if (!lock.mayPass(task, wanted)) {
        queue.waiters.push(this);
        return false;
      }
      queue.held += wanted;
    }
    if (wanted === ALL) lock.writing = task;
    return true;
  }

  override grant(): void {
    if (this.wanted === ALL && this.failure === null) this.lock.writing = this.holder;
    super.grant();
  }

  protected override finish(): Guard {
    this.checkFailure();
    this.lock.holders.push(this);
    if (this.queue.waiters.length > 0) this.watch();
    return this;
  }

  override rollback(): void {
    if (this.failure === null) this.letGo();
    this.failure = null;
  }

  /** @internal The end of the holder's task is to be noticed. */
  watch(): void {
    if (this.watched !== null || this.holder!.state === ENDED) return;
    const rare = this.holder!.needRare();
    rare.contended ??= new EmbeddedList();
    this.watched = new Watch(this.lock);
    rare.contended.push(this.watched);
  }

  /** @internal */
  letGo(): void {
    this.lock.holders.remove(this);
    this.watched?.list?.remove(this.watched);
    this.watched = null;
    if (this.wanted === ALL) this.lock.writing = null;
    this.queue.give(this.wanted);
  }

  release(): void {
    const { lock, holder } = this;
    if (!lock.holders.has(this)) throw notHeld(lock.name);
    if (holder !== current.task) throw notOwner(lock.name, holder!);
    this.letGo();
  }

  [Symbol.dispose](): void {
    if (this.lock.holders.has(this)) this.release();
  }
}
