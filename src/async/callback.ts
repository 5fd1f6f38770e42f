/** APIs that call back. Source: conformance U08. */

import { UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation } from "../coordinator/operation.ts";
import { current } from "../coordinator/task/current.ts";
import type { KillCause } from "../coordinator/task/exit.ts";
import type { Task } from "../coordinator/task/task.ts";
import { Wait } from "../coordinator/wait.ts";

/** Starts the work. `onKill` sets what stops it when a kill comes first; the wait ends at once all the same. */
export type CallbackStarter<A> = (
  resolve: (value: A) => void,
  reject: (error: unknown) => void,
  onKill: (stop: (cause: KillCause | null) => void) => void,
) => void;

/**
 * Waits until one of the two functions is called. Only the first call counts, and none after a kill.
 *
 * @example
 * const value = yield* fromCallback((resolve, reject, onKill) => {
 *   const request = db.get(key, (error, value) => (error ? reject(error) : resolve(value)));
 *   onKill(() => request.cancel());
 * });
 */
export function fromCallback<A>(start: CallbackStarter<A>): Operation<A> {
  if (typeof start !== "function") {
    throw new UsageError(
      "COOP_NOT_A_CALLBACK",
      `fromCallback() takes a function, not ${describeValue(start)}`,
    );
  }
  return new Callback(start as CallbackStarter<unknown>) as Operation<unknown> as Operation<A>;
}

class Outcome {
  settled = false;
  failed = false;
  value: unknown = undefined;
  stop: ((cause: KillCause | null) => void) | null = null;
}

class Callback extends Wait<unknown> {
  private readonly start: CallbackStarter<unknown>;
  /** Of the wait of the moment: calls for an earlier one find another one. */
  private outcome = new Outcome();

  constructor(start: CallbackStarter<unknown>) {
    super();
    this.start = start;
  }

  override describe(): string {
    return this.start.name === "" ? "a callback" : `a callback of ${this.start.name}`;
  }

  protected override begin(): boolean {
    const outcome = new Outcome();
    this.outcome = outcome;
    let begun = false;
    const settle = (failed: boolean, value: unknown): void => {
      if (outcome.settled) return;
      outcome.settled = true;
      outcome.failed = failed;
      outcome.value = value;
      if (begun && this.outcome === outcome) this.grant();
    };
    this.start(
      (value) => settle(false, value),
      (error) => settle(true, error),
      (stop) => {
        outcome.stop = stop;
      },
    );
    begun = true;
    return outcome.settled;
  }

  protected override finish(): unknown {
    const { failed, value } = this.outcome;
    if (failed) throw value;
    return value;
  }

  override abort(): boolean {
    this.halt();
    return true;
  }

  override rollback(): void {
    this.halt();
  }

  private halt(): void {
    const { outcome } = this;
    const task: Task = this.task!;
    outcome.settled = true;
    if (outcome.stop === null) return;
    const outer = current.task;
    current.task = null;
    try {
      outcome.stop(task.doomed?.cause ?? null);
    } catch (error) {
      task.cooperator.report({ kind: "hook", task, where: "onKill of fromCallback()", error });
    } finally {
      current.task = outer;
    }
  }
}
