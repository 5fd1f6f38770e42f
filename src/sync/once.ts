/**
 * Something that is made once, by whoever needs it first; everybody gets the same.
 *
 * A flight whose value is kept: it runs in a task of its own, so that a caller that is killed does not take it
 * from those who wait. When all of them have gone it is killed, and the next caller begins anew. A failure is
 * thrown to all who wait, and the next caller begins anew as well. Source: seeds X-25.
 */

import { UsageError } from "../coordinator/errors.ts";
import { type Body, describeValue, enter, type Operation, op } from "../coordinator/operation.ts";
import { nameOf } from "../coordinator/options.ts";
import { SingleFlight } from "./single-flight.ts";

export interface OnceStatistics {
  readonly done: boolean;
  readonly running: boolean;
  readonly waiting: number;
}

export class Once<A> {
  /** For dumps and error messages. */
  readonly name: string;
  /** @internal */ readonly flight: SingleFlight<string, A>;
  /** @internal */ readonly body: () => Operation<A>;
  /** @internal The value, in an array of one; empty before. */
  readonly kept: A[] = [];

  /**
   * `body` makes the value; it is not called before the first `get`.
   *
   * @throws {UsageError} `COOP_NOT_AN_OPERATION` when it is not a function.
   */
  constructor(body: () => Operation<A>, options?: { readonly name?: string }) {
    if (typeof body !== "function") {
      throw new UsageError(
        "COOP_NOT_AN_OPERATION",
        `Once takes a generator function, which it may have to call again, not ${describeValue(body)}`,
      );
    }
    this.name = nameOf(options, "once");
    this.body = body;
    this.flight = new SingleFlight({ name: this.name });
  }

  /** The value is there: `get` no longer waits. */
  get done(): boolean {
    return this.kept.length > 0;
  }

  statistics(): OnceStatistics {
    const { flights, waiting } = this.flight.statistics();
    return { done: this.done, running: flights > 0, waiting };
  }

  /** Gives the value, and waits until it has been made. Throws what making it throws. */
  get(): Operation<A> {
    return get(this as Once<unknown>) as Operation<A>;
  }
}

const get = op(function* get(once: Once<unknown>) {
  if (once.done) return once.kept[0];
  return yield* once.flight.run("value", () => make(once));
});

/** Keeps the value itself: a caller may be killed before it could. */
const make = op(function* make(once: Once<unknown>) {
  const value = yield* enter(null, once.body as Body<unknown>, "Once");
  once.kept.push(value);
  return value;
});
