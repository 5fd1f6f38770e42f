/** Bounding how long an operation may take. Source: seeds C-102, X-06. */

import { DeadlineError } from "../coordinator/errors.ts";
import { requestKill } from "../coordinator/kill/kill.ts";
import { type BodyWith, enter, type Operation, op } from "../coordinator/operation.ts";
import { currentTask } from "../coordinator/task/current.ts";
import { CancelScope, UNWOUND } from "../coordinator/task/scope.ts";
import type { Task } from "../coordinator/task/task.ts";
import { type Duration, nanoseconds } from "./duration.ts";
import { instant } from "./sleep.ts";
import { type Timed, type TimerQueue, timerQueueOf } from "./timer-queue.ts";

/** The end of a `timeout` that runs. What moves it takes effect at once. */
export interface TimeLimit {
  /** In milliseconds on the scale of `now()`; `Infinity` when there is none. */
  readonly at: number;
  /** The time was up. */
  readonly expired: boolean;
  /**
   * Moves the end to `at`, earlier or later; a time that has passed is the end, `Infinity` takes it away.
   *
   * @returns false when it is too late: the body is over or being unwound.
   */
  moveTo(at: number): boolean;
  /** Moves the end to `duration` from now: what a watchdog does on every sign of life. */
  restart(duration: Duration): boolean;
}

/** What may run under a limit: a function gets the limit, to move it. */
export type LimitedBody<A> = Operation<A> | BodyWith<TimeLimit, A>;

/** What became of a {@link moveOnAfter}. */
export type Limited<A> =
  | { readonly timedOut: false; readonly value: A }
  | { readonly timedOut: true; readonly value: undefined };

/**
 * Runs `body` for at most `duration`. When the time is up it is unwound, its clean-up runs to the end, and
 * then this throws. A body that ends first keeps its value.
 *
 * @throws {DeadlineError} when the time was up first.
 * @example const line = yield* timeout("30 seconds", socket.readLine());
 */
export function timeout<A>(duration: Duration, body: LimitedBody<A>): Operation<A> {
  const length = nanoseconds(duration);
  return bounded(length, false, body, false) as Operation<A>;
}

/**
 * Like {@link timeout} with an absolute time: `at` is in milliseconds on the scale of `now()`.
 *
 * @throws {DeadlineError} when the time was up first.
 */
export function deadline<A>(at: number, body: LimitedBody<A>): Operation<A> {
  return bounded(instant(at), true, body, false) as Operation<A>;
}

/**
 * Like {@link timeout}, for a time limit that is no failure: says in its result whether the time was up.
 *
 * @example
 * const { timedOut, value } = yield* moveOnAfter("50 millis", cache.get(key));
 */
export function moveOnAfter<A>(duration: Duration, body: LimitedBody<A>): Operation<Limited<A>> {
  const length = nanoseconds(duration);
  return bounded(length, false, body, true) as Operation<Limited<A>>;
}

class TimeoutScope extends CancelScope implements Timed, TimeLimit {
  deadline = Number.POSITIVE_INFINITY;
  order = 0;
  heapIndex = -1;
  private readonly queue: TimerQueue;
  private fired = false;

  constructor(task: Task, queue: TimerQueue) {
    super();
    this.host = task;
    this.queue = queue;
  }

  get at(): number {
    return this.deadline / 1e6;
  }

  get expired(): boolean {
    return this.fired;
  }

  override get limit(): number {
    return this.deadline;
  }

  moveTo(at: number): boolean {
    return this.move(instant(at));
  }

  restart(duration: Duration): boolean {
    return this.move(this.queue.now() + nanoseconds(duration));
  }

  fire(): void {
    this.fired = true;
    requestKill(this, this.error());
  }

  error(): DeadlineError {
    return new DeadlineError("the time was up before the operation was done");
  }

  arm(at: number): void {
    if (at > this.queue.now()) {
      this.queue.arm(this, at);
      return;
    }
    this.queue.disarm(this);
    this.deadline = at;
    this.fire();
  }

  /** The body is over, or never began: whoever kept the limit moves nothing any more. */
  end(): void {
    this.closed = true;
    this.queue.disarm(this);
  }

  private move(at: number): boolean {
    if (this.cause !== null || this.closed) return false;
    this.arm(at);
    return true;
  }
}

const bounded = op(function* (time: number, absolute: boolean, body: LimitedBody<unknown>, moveOn: boolean) {
  const task = currentTask("timeout()");
  const queue = timerQueueOf(task.cooperator);
  const scope = new TimeoutScope(task, queue);
  const at = absolute ? time : queue.now() + time;
  // What is about to be killed is not timed.
  if (task.doomed === null) scope.arm(at);
  else scope.deadline = at;
  let value: unknown;
  try {
    value = yield* enter(scope, body, "timeout()", scope);
  } catch (error) {
    if (scope.expired) noteCause(error, scope.error());
    throw error;
  } finally {
    scope.end();
  }
  const timedOut = scope.expired || value === UNWOUND;
  if (moveOn) return { timedOut, value: timedOut ? undefined : value };
  if (timedOut) throw scope.error();
  return value;
});

/** An error thrown by clean-up after the time was up wins, and remembers why it was cleaning up. */
function noteCause(error: unknown, cause: DeadlineError): void {
  if (!(error instanceof Error) || error.cause !== undefined || !Object.isExtensible(error)) return;
  Object.defineProperty(error, "cause", { value: cause, configurable: true, writable: true });
}
