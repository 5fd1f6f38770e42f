/**
 * What a lock gives to its holder, and the one way to hold it around a body.
 *
 * A guard is the wait that acquired the lock, so that holding costs no second object.
 */
import { UsageError } from "../coordinator/errors.ts";
import { type Body, describeValue, enter, type Operation, op } from "../coordinator/operation.ts";
import type { Task } from "../coordinator/task/task.ts";

/** One holding of a lock: `using guard = yield* mutex.lock()`, or `guard.release()` by hand. */
export interface Guard extends Disposable {
  /**
   * Releases the lock. Never suspends.
   *
   * @throws {UsageError} `COOP_NOT_HELD` when it is released already, `COOP_NOT_OWNER` in a task that does not
   * hold it.
   */
  release(): void;
  /** Releases the lock, unless that is done already or the lock was lost with a `BrokenError`. */
  [Symbol.dispose](): void;
}

/**
 * @internal Runs `body` between `acquire` and the release, whatever becomes of the body.
 *
 * A function is only called once the lock is held, since what it reads may be what the lock protects.
 */
export function holding<A>(acquire: Operation<Disposable>, body: Body<A>, what: string): Operation<A> {
  if (typeof body !== "function" && typeof body?.[Symbol.iterator] !== "function") {
    throw new UsageError(
      "COOP_NOT_AN_OPERATION",
      `${what} takes an operation or a generator function, not ${describeValue(body)}`,
    );
  }
  return hold(acquire, body, what) as Operation<A>;
}

const hold = op(function* hold(acquire: Operation<Disposable>, body: Body<unknown>, what: string) {
  const guard = yield* acquire;
  try {
    return yield* enter(null, body, what);
  } finally {
    guard[Symbol.dispose]();
  }
});

/** @internal */
export function notOwner(name: string, owner: Task): UsageError {
  return new UsageError(
    "COOP_NOT_OWNER",
    `${name} is held by ${owner.label}: only the task that acquired it may release it`,
  );
}

/** @internal */
export function notHeld(name: string): UsageError {
  return new UsageError("COOP_NOT_HELD", `${name} is not held: release it once per acquire`);
}
