/**
 * Waiting for promises. A kill ends the wait at once; the promise itself cannot be ended, so what it still brings
 * is dealt with when it comes: an error is nobody's, a value is given to `onLate`. Source: seeds X-10.
 */

import { UsageError } from "../coordinator/errors.ts";
import { checkFunction, describeValue, type Operation } from "../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../coordinator/options.ts";
import type { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import { SUSPENDED } from "../coordinator/suspended.ts";
import { promiseOf } from "../coordinator/task/async-body.ts";
import { current } from "../coordinator/task/current.ts";
import { killedError } from "../coordinator/task/exit.ts";
import type { Task } from "../coordinator/task/task.ts";
import { Wait } from "../coordinator/wait.ts";

export interface UntilOptions<A> {
  /**
   * Gets a value that came when nobody waited any more: to close what it opened. It may give a promise. What it
   * throws is reported.
   */
  readonly onLate?: (value: A) => unknown;
}

const KNOWN: Known<UntilOptions<unknown>> = { onLate: true };

/** What gives a promise, and can be told to stop. */
export type Starter<A> = (signal: AbortSignal) => PromiseLike<A> | A;

/**
 * Waits for a promise, or for the one that a function makes; throws what it rejects with. The function is called
 * when the task gets here, and with a signal that is aborted when the task is killed before the promise settles:
 * its reason is a {@link KilledError} that has the kill's.
 *
 * @throws {UsageError} `COOP_NOT_A_PROMISE` for anything else.
 * @example const response = yield* until((signal) => fetch(url, { signal }));
 */
export function until<A>(source: PromiseLike<A> | Starter<A>, options?: UntilOptions<A>): Operation<A> {
  checkOptions(options, "until()", KNOWN);
  const onLate = given(options, "onLate");
  if (onLate !== undefined) checkFunction(onLate, "onLate");
  return new Until(
    source as PromiseLike<unknown> | Starter<unknown>,
    (onLate ?? null) as ((value: unknown) => unknown) | null,
  ) as Operation<unknown> as Operation<A>;
}

/** One promise and whoever waits for it; a later wait of the same operation has another one. */
class Subscription {
  wait: Until | null;
  readonly controller: AbortController | null;
  constructor(wait: Until, controller: AbortController | null) {
    this.wait = wait;
    this.controller = controller;
  }
}

class Until extends Wait<unknown> {
  private readonly source: PromiseLike<unknown> | Starter<unknown>;
  private readonly onLate: ((value: unknown) => unknown) | null;
  private subscription: Subscription | null = null;
  private failed = false;
  private value: unknown = undefined;
  /** The value of a promise that several waits in turn may have has been dealt with as late. */
  private wasLate = false;

  constructor(source: PromiseLike<unknown> | Starter<unknown>, onLate: ((value: unknown) => unknown) | null) {
    super();
    if (typeof source !== "function") {
      if (typeof source?.then !== "function") throw notAPromise(source);
      this.source = promiseOf(source);
      // The task may be killed before it gets here, and then nobody will ever look.
      this.source.then(undefined, ignore);
    } else this.source = source;
    this.onLate = onLate;
  }

  override describe(): string {
    const name = typeof this.source === "function" ? this.source.name : "";
    return name === "" ? "a promise" : `the promise of ${name}`;
  }

  override next(): IteratorResult<unknown, unknown> {
    const result = super.next();
    // A kill came first. The promise was made for this wait, and what it brings is late.
    if (result === SUSPENDED && this.task === null && typeof this.source !== "function") {
      const { cooperator } = current.task!;
      this.source.then((value) => this.late(value, cooperator), ignore);
    }
    return result;
  }

  protected override begin(task: Task): boolean {
    const { source } = this;
    this.failed = false;
    this.value = undefined;
    let promise: unknown = source;
    let controller: AbortController | null = null;
    if (typeof source === "function") {
      // Most have no use for a signal, and it costs more than all the rest.
      if (source.length > 0) controller = new AbortController();
      promise = source(controller?.signal as AbortSignal);
      if (typeof (promise as PromiseLike<unknown> | null)?.then !== "function") {
        this.value = promise;
        return true;
      }
    }
    const subscription = new Subscription(this, controller);
    this.subscription = subscription;
    const { cooperator } = task;
    promiseOf(promise as PromiseLike<unknown>).then(
      (value) => {
        const { wait } = subscription;
        if (wait === null) this.late(value, cooperator);
        else wait.settle(false, value);
      },
      (error: unknown) => subscription.wait?.settle(true, error),
    );
    return false;
  }

  protected override finish(): unknown {
    this.subscription = null;
    const { value } = this;
    this.value = undefined;
    if (this.failed) throw value;
    return value;
  }

  override abort(): boolean {
    this.leave();
    return true;
  }

  override rollback(): void {
    const { failed, value } = this;
    this.leave();
    this.value = undefined;
    if (!failed) this.late(value, this.task!.cooperator);
  }

  private settle(failed: boolean, value: unknown): void {
    this.failed = failed;
    this.value = value;
    this.grant();
  }

  /** Nobody waits any more. */
  private leave(): void {
    const { subscription } = this;
    // There is none when what was to be waited for was there at once.
    if (subscription === null) return;
    this.subscription = null;
    subscription.wait = null;
    if (subscription.controller === null) return;
    const task = this.task!;
    const cause = task.doomed?.cause ?? null;
    if (cause !== null) subscription.controller.abort(killedError(cause, task.label, []));
    else subscription.controller.abort();
  }

  private late(value: unknown, cooperator: Cooperator): void {
    const { onLate } = this;
    if (onLate === null) return;
    // The one promise of an arm that is used again: a wait that was left is not the last that may get its value.
    if (typeof this.source !== "function") {
      if (this.subscription !== null || this.wasLate) return;
      this.wasLate = true;
    }
    const report = (error: unknown): void =>
      cooperator.report({ kind: "hook", task: null, where: "onLate of until()", error });
    try {
      Promise.resolve(onLate(value)).then(undefined, report);
    } catch (error) {
      report(error);
    }
  }
}

function ignore(): void {}

function notAPromise(value: unknown): UsageError {
  return new UsageError(
    "COOP_NOT_A_PROMISE",
    `until() takes a promise or a function that makes one, not ${describeValue(value)}`,
  );
}
