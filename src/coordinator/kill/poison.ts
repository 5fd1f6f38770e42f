/**
 * What `generator.return()` is called with when a kill unwinds a frame.
 *
 * A generator that ends with it was unwound properly. When a plain generator is delegated to with native
 * `yield*` and its `finally` suspends, the language forgets that the outer generator was being closed and
 * hands this value to the code after the `yield*`: any use of it throws, so that the lost kill shows up as
 * an error at the place of use and never as garbage.
 */
import { UsageError } from "../errors.ts";

/** Thrown by any use of the value; the scheduler takes it for the kill it stands for. */
export class LostKill extends UsageError {
  constructor() {
    super(
      "COOP_KILL_LOST",
      "a kill was lost: a plain generator suspended in finally and its caller went on; " +
        "make the inner generator an op(), or put its clean-up into defer()",
    );
  }
}

const refuse = (): never => {
  throw new LostKill();
};

/** The value itself: usable for nothing. */
export const POISON: unknown = new Proxy(function poison() {}, {
  apply: refuse,
  construct: refuse,
  defineProperty: refuse,
  deleteProperty: refuse,
  get: refuse,
  getOwnPropertyDescriptor: refuse,
  getPrototypeOf: refuse,
  has: refuse,
  isExtensible: refuse,
  ownKeys: refuse,
  preventExtensions: refuse,
  set: refuse,
  setPrototypeOf: refuse,
});
