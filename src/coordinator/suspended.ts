/** What passes between operations and the scheduler; apart from both, so that either can be loaded first. */

import { UsageError } from "./errors.ts";
import { current } from "./task/current.ts";

/**
 * The one result object that means "suspended". Native `yield*` passes it through unchanged, so its
 * identity tells the scheduler a real suspension from a stray `yield` in user code.
 */
export const SUSPENDED: IteratorResult<never, never> = Object.freeze({
  done: false,
  value: undefined as never,
});

/** @internal Something other than the scheduler has asked for the next result; nothing has run. */
export function notDelegated(): UsageError {
  current.call = null;
  return new UsageError("COOP_NOT_DELEGATED", "an operation can only be run with yield*, not iterated over");
}
