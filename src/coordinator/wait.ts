/**
 * The one way to block (design D2): a {@link Wait} is what a suspended task is suspended on.
 *
 * A wait is operation, iterator and queue node in one object, so that blocking costs one small allocation
 * and waking none. Its contract with the scheduler:
 *
 * | called            | when                                            | must                                        |
 * |-------------------|-------------------------------------------------|---------------------------------------------|
 * | `begin(task)`     | the task reaches it, and still runs             | finish at once (true), or queue (false)     |
 * | `abort()`         | a kill wants the task, at most once             | leave every list (true), or promise a wake  |
 * | `rollback()`      | it was satisfied, but the kill won              | hand back what it was given                 |
 * | `finish()`        | the task goes on                                | return the result or throw                  |
 *
 * The task is blocked from the moment in which `begin` has given false, and not before. What happens to it inside
 * `begin` (a grant by what `begin` calls, a kill of the task by itself) is noted, and takes effect there: `begin` has
 * nothing to look out for. It may throw as long as it has left no trace.
 *
 * Between a satisfied wait and the task's next step a kill still wins; `rollback` is why nothing is lost.
 *
 * A wait can also be an arm of another one, which waits for the first of several: see {@link Arm}. An arm that is done
 * at once may still lose, to a kill that comes while the others are being left: `rollback` follows any `begin` that
 * took something, whether it finished at once or was granted later.
 */
import { Coordinated } from "./coordinated.ts";
import type { Coordinator } from "./coordinator.ts";
import { UsageError, violation } from "./errors.ts";
import { meet } from "./kill/meet.ts";
import type { Operation } from "./operation.ts";
import { notDelegated, SUSPENDED } from "./suspended.ts";
import { current, currentTask } from "./task/current.ts";
import type { Scope } from "./task/scope.ts";
import type { Task } from "./task/task.ts";
import { BLOCKED, READY, RUNNING } from "./task/task-state.ts";

const NOBODY: readonly Task[] = Object.freeze([]);

/** What a kill does to a task that waits here. */
export type KillMode =
  /** Ends the wait and unwinds the task. */
  | "unwind"
  /** Ends the wait, which then says so in its result. */
  | "observe"
  /** Nothing: the wait is not kill-aware and the kill meets the task at its next wait that is. */
  | "ignore";

/**
 * What can be waited for together with others: every wait that a kill unwinds, and whatever has one
 * inside. The outer wait begins it, and then either takes its result or leaves its {@link waiter} and forgoes it.
 */
export interface Arm<A> extends Operation<A> {
  /** @internal What is granted once it is this arm's turn. Valid from `enlist` until `conclude` or `forgo`. */
  readonly waiter: Wait<unknown>;
  /** @internal Begins on behalf of the outer wait of `task`; true when it is done at once. */
  enlist(task: Task): boolean;
  /** @internal It has won: gives its result or throws. */
  conclude(task: Task): A;
  /** @internal It has lost, and its waiter is out of every queue: it can be used again. */
  forgo(): void;
  /** @internal What it waits for, in words. */
  describe(): string;
  /** @internal To leave it means to wait for its end: an operation that a driver works on. */
  readonly lingers: boolean;
}

export abstract class Wait<A> extends Coordinated implements Arm<A>, Iterator<unknown, A, unknown> {
  /** @internal A kill has asked for an abort that is still under way. */
  aborting: boolean;

  constructor() {
    super();
    this.aborting = false;
  }

  /** Overridden by waits that are not the everyday kind; every other wait is unwound by a kill. */
  get killMode(): KillMode {
    return "unwind";
  }

  /** What the task waits for, in words, for dumps and reports. */
  abstract describe(): string;
  /** The task has reached the wait: finish at once (true), or arrange for a later {@link grant} (false). */
  protected abstract begin(task: Task): boolean;
  /** The task goes on: the result, or an error. */
  protected abstract finish(task: Task): A;
  /** A kill wants the task, at most once: leave every queue (true), or promise a {@link grant} soon (false). */
  abstract abort(): boolean;
  /** The wait was satisfied and the kill won all the same: hand back what it was given. */
  rollback(): void {}

  /** Tasks that have to do something before this wait can end, as far as it knows: for reports of deadlocks. */
  awaitedTasks(): readonly Task[] {
    return NOBODY;
  }

  [Symbol.iterator](): Iterator<unknown, A, unknown> {
    return this;
  }

  /**
   * Iterator protocol, driven by `yield*`: the first call waits, the second gives the result. Kept short, and the
   * unusual kept out of it: the engine inlines it into its caller only while the whole stays below its limit.
   */
  next(): IteratorResult<unknown, A> {
    const owner = this.task;
    if (owner !== null) {
      if (owner !== current.task || owner.wait === this) throw this.notIterable(owner);
      this.task = null;
      return { done: true, value: this.finish(owner) };
    }
    const task = currentTask("yield*");
    // A pending kill is met before anything is taken.
    if (task.doomed !== null && this.killMode === "unwind") return SUSPENDED;
    this.task = task;
    this.satisfied = false;
    this.aborting = false;
    task.wait = this;
    let done: boolean;
    try {
      done = this.begin(task);
    } catch (error) {
      this.unwait(task);
      throw error;
    }
    if (done) {
      this.unwait(task);
      return { done: true, value: this.finish(task) };
    }
    task.state = BLOCKED;
    if (this.satisfied || task.doomed !== null) this.metInBegin(task);
    return SUSPENDED;
  }

  /** The task does not wait here. */
  private unwait(task: Task): void {
    this.task = null;
    task.wait = null;
  }

  /** What has happened to the task inside `begin` takes effect. */
  private metInBegin(task: Task): void {
    if (this.satisfied) task.cooperator.ready(task);
    else meet(task);
  }

  /** It was iterated over by hand, or twice at a time. */
  private notIterable(owner: Task): UsageError {
    if (owner !== current.task) return inUse();
    this.withdrawBegun(owner);
    return notDelegated();
  }

  return(value?: unknown): IteratorResult<unknown, A> {
    const owner = this.task;
    if (owner !== null && owner === current.task && owner.wait === this) this.withdrawBegun(owner);
    this.task = null;
    return { done: true, value: value as A };
  }

  throw(error?: unknown): IteratorResult<unknown, A> {
    this.task = null;
    throw error;
  }

  /** @internal The scope whose children the task waits for here, if that is what it does. */
  get awaitedScope(): Scope | null {
    return null;
  }

  /** @internal Only a kill ends it, and that is what it is for: no deadlock where a kill may come from outside. */
  get awaitsKill(): boolean {
    return false;
  }

  /** @internal */
  get waiter(): Wait<unknown> {
    return this;
  }

  /** @internal */
  enlist(task: Task): boolean {
    if (this.task !== null) throw inUse();
    this.task = task;
    this.satisfied = false;
    this.aborting = false;
    try {
      return this.begin(task);
    } catch (error) {
      this.task = null;
      throw error;
    }
  }

  /** @internal */
  conclude(task: Task): A {
    this.task = null;
    return this.finish(task);
  }

  /** @internal */
  forgo(): void {
    this.task = null;
  }

  /** @internal */
  get lingers(): boolean {
    return false;
  }

  /** @internal A wait that the same task has begun inside this one is satisfied. */
  armGranted(_waiter: Wait<unknown>): void {}

  /** @internal Its very point is that what is ready goes first: a promise whatever the order is otherwise. */
  get letsOthersFirst(): boolean {
    return false;
  }

  /** @internal Something the task had to outlive is gone; only the wait for that cares. */
  drained(): void {}

  /** Satisfied: the task runs again. */
  override grant(): void {
    this.satisfied = true;
    const task = this.task;
    if (task === null) return;
    if (task.wait === this) task.cooperator.ready(task);
    // It is an arm of that wait; or the grant is late, and the task gone or in a wait that does not know it.
    else if (task.wait !== null) task.wait.armGranted(this);
  }

  /** @internal Only coordinators fail their waiters; the waits that queue on one override this. */
  override fail(error: unknown): void {
    throw violation(`${this.describe()} cannot fail`, { cause: error });
  }

  /** @internal */
  override moved(_to: Coordinator): void {}

  private withdraw(task: Task): void {
    this.task = null;
    task.wait = null;
    if (task.state === READY) task.cooperator.unready(task);
    task.state = RUNNING;
  }

  /** Only the scheduler may resume a wait: code that iterates over it by hand leaves it, and has nothing. */
  protected withdrawBegun(task: Task): void {
    if (this.satisfied) this.rollback();
    else this.abort();
    this.withdraw(task);
  }
}

/** @internal */
export function inUse(): UsageError {
  return new UsageError(
    "COOP_OPERATION_USED",
    "this operation is already waiting: run it with yield* from one task at a time",
  );
}
