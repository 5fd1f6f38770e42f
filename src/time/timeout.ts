/** Bounding how long an operation may take. */
import { currentTask } from "../coordinator/current.ts";
import { DeadlineError } from "../coordinator/errors.ts";
import { requestKill } from "../coordinator/kill.ts";
import { type Body, enter, type Operation, op } from "../coordinator/operation.ts";
import { CancelScope, UNWOUND } from "../coordinator/scope.ts";
import { type Duration, nanoseconds } from "./duration.ts";
import { instant } from "./sleep.ts";
import { type Timed, type TimerQueue, timerQueueOf } from "./timer-queue.ts";

/**
 * Runs `body` for at most `duration`. When the time is up it is unwound, its clean-up runs to the end, and
 * then this throws. A body that ends first keeps its value.
 *
 * @throws {DeadlineError} when the time was up first.
 * @example const line = yield* timeout("30 seconds", socket.readLine());
 */
export function timeout<A>(duration: Duration, body: Body<A>): Operation<A> {
  const length = nanoseconds(duration);
  return bounded(length, false, body) as Operation<A>;
}

/**
 * Like {@link timeout} with an absolute time: `at` is in milliseconds on the scale of `now()`.
 *
 * @throws {DeadlineError} when the time was up first.
 */
export function deadline<A>(at: number, body: Body<A>): Operation<A> {
  return bounded(instant(at), true, body) as Operation<A>;
}

class TimeoutScope extends CancelScope implements Timed {
  deadline = 0;
  order = 0;
  heapIndex = -1;
  fired = false;

  fire(): void {
    this.fired = true;
    requestKill(this, this.error());
  }

  error(): DeadlineError {
    return new DeadlineError("the time was up before the operation was done");
  }

  arm(queue: TimerQueue, at: number): void {
    if (at <= queue.now()) this.fire();
    else queue.arm(this, at);
  }
}

const bounded = op(function* (time: number, absolute: boolean, body: Body<unknown>) {
  const task = currentTask("timeout()");
  const queue = timerQueueOf(task.cooperator);
  const scope = new TimeoutScope();
  scope.host = task;
  scope.arm(queue, absolute ? time : queue.now() + time);
  let value: unknown;
  try {
    value = yield* enter(scope, body, "timeout()");
  } catch (error) {
    if (scope.fired) noteCause(error, scope.error());
    throw error;
  } finally {
    queue.disarm(scope);
  }
  if (scope.fired || value === UNWOUND) throw scope.error();
  return value;
});

/** An error thrown by clean-up after the time was up wins, and remembers why it was cleaning up. */
function noteCause(error: unknown, cause: DeadlineError): void {
  if (!(error instanceof Error) || error.cause !== undefined || !Object.isExtensible(error)) return;
  Object.defineProperty(error, "cause", { value: cause, configurable: true, writable: true });
}
