/**
 * The one way to block (design D2): a {@link Wait} is what a suspended task is suspended on.
 *
 * A wait is operation, iterator and queue node in one object, so that blocking costs one small allocation
 * and waking none. Its contract with the scheduler:
 *
 * | called            | when                                            | must                                        |
 * |-------------------|-------------------------------------------------|---------------------------------------------|
 * | `begin(task)`     | the task reaches it                             | finish at once (true), or queue (false)     |
 * | `abort()`         | a kill wants the task, at most once             | leave every list (true), or promise a wake  |
 * | `rollback()`      | it was satisfied, but the kill won              | hand back what it was given                 |
 * | `finish()`        | the task goes on                                | return the result or throw                  |
 *
 * Between a satisfied wait and the task's next step a kill still wins; `rollback` is why nothing is lost.
 */
import { Coordinated } from "./coordinated.ts";
import type { Coordinator } from "./coordinator.ts";
import { current, currentTask } from "./current.ts";
import { InvariantError, UsageError } from "./errors.ts";
import { notDelegated, type Operation, SUSPENDED } from "./operation.ts";
import type { Scope } from "./scope.ts";
import type { Task } from "./task.ts";
import { BLOCKED, READY, RUNNING } from "./task-state.ts";

/** What a kill does to a task that waits here. */
export type KillMode =
  /** Ends the wait and unwinds the task. */
  | "unwind"
  /** Ends the wait, which then says so in its result. */
  | "observe"
  /** Nothing: the wait is not kill-aware and the kill meets the task at its next wait that is. */
  | "ignore";

export abstract class Wait<A> extends Coordinated implements Operation<A>, Iterator<unknown, A, unknown> {
  /** @internal A kill has asked for an abort that is still under way. */
  aborting = false;

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

  [Symbol.iterator](): Iterator<unknown, A, unknown> {
    return this;
  }

  /** Iterator protocol, driven by `yield*`: the first call waits, the second gives the result. */
  next(): IteratorResult<unknown, A> {
    const owner = this.task;
    if (owner !== null) {
      if (owner !== current.task) throw inUse();
      if (owner.wait === this) {
        this.withdrawBegun(owner);
        throw notDelegated();
      }
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
    task.state = BLOCKED;
    let done: boolean;
    try {
      done = this.begin(task);
    } catch (error) {
      this.withdraw(task);
      throw error;
    }
    if (!done) return SUSPENDED;
    this.withdraw(task);
    return { done: true, value: this.finish(task) };
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

  /** @internal Something the task had to outlive is gone; only the wait for that cares. */
  drained(): void {}

  /** Satisfied: the task runs again. */
  override grant(): void {
    this.satisfied = true;
    const task = this.task;
    // A late grant may find the task gone, or in another wait.
    if (task !== null && task.wait === this) task.cooperator.ready(task);
  }

  /** @internal Only coordinators fail their waiters; the waits that queue on one override this. */
  override fail(error: unknown): void {
    throw new InvariantError(`${this.describe()} cannot fail`, { cause: error });
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
  private withdrawBegun(task: Task): void {
    if (this.satisfied) this.rollback();
    else this.abort();
    this.withdraw(task);
  }
}

function inUse(): UsageError {
  return new UsageError(
    "COOP_OPERATION_USED",
    "this operation is already waiting: run it with yield* from one task at a time",
  );
}
