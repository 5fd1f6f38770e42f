/** Puts steps of several tasks into one order, so that a test can make a race come out as it wants. */
import { BrokenError, UsageError } from "../coordinator/errors.ts";
import { type Body, enter, type Operation, op } from "../coordinator/operation.ts";
import { Signal } from "../coordinator/signal.ts";

/**
 * Steps numbered from 0; each begins when the one before it is over, whoever takes it.
 *
 * A step whose task is killed before it came to its turn breaks the sequence: those that wait for a later one
 * get a `BrokenError` instead of waiting for ever. Of a task that is killed before it has begun the sequence cannot
 * know; the report of the deadlock says which step is missing.
 *
 * @example
 * const order = new Sequencer();
 * spawn(function* () { yield* order.step(0, lock.acquire()); yield* order.step(2, () => release()); });
 * spawn(function* () { yield* order.step(1, other()); });
 */
export class Sequencer {
  /** For each step what tells that it is over. */
  private readonly over: Signal[] = [];
  private readonly taken = new Set<number>();
  /** The first step that nobody will take. */
  private broken = Number.POSITIVE_INFINITY;

  /**
   * Waits for its turn and runs `body`, which may be left out.
   *
   * @throws {UsageError} `COOP_SEQUENCE` when the number is none, or is taken: each step happens once.
   * @throws {BrokenError} when a step before it was never taken.
   */
  step<A = void>(number: number, body?: Body<A>): Operation<A> {
    if (!Number.isInteger(number) || number < 0) {
      throw new UsageError("COOP_SEQUENCE", "a step of a sequence is a whole number from 0");
    }
    if (this.taken.has(number)) throw new UsageError("COOP_SEQUENCE", `step ${number} is taken already`);
    this.taken.add(number);
    this.end(number).name =
      `step ${number}, which was asked for and has not begun; was its task killed before it could?`;
    return this.run(number, body ?? null) as Operation<A>;
  }

  private readonly run = op(function* step(this: Sequencer, number: number, body: Body<unknown> | null) {
    let reached = false;
    const end = this.end(number);
    end.name = `step ${number}, which waits for its own turn`;
    try {
      if (number > 0) yield* this.end(number - 1).wait();
      if (this.broken < number) throw new BrokenError(`step ${this.broken} of the sequence was never taken`);
      reached = true;
      end.name = `end of step ${number}`;
      return body === null ? undefined : yield* enter(null, body, "step()");
    } finally {
      if (!reached) this.broken = Math.min(this.broken, number);
      end.notify();
    }
  });

  private end(number: number): Signal {
    this.over[number] ??= new Signal({ name: `step ${number}, which nobody has asked for` });
    return this.over[number];
  }
}
