/** What a test is given: one that is not what it says would prove less than it seems to. */
import { UsageError } from "../coordinator/errors.ts";
import { describeValue } from "../coordinator/operation.ts";

/** @internal A program is called for each run. */
export function checkProgram(program: unknown, what: string): void {
  if (typeof program === "function") return;
  throw new UsageError(
    "COOP_NOT_A_PROGRAM",
    `${what} takes a function that makes the program of a run, not ${describeValue(program)}`,
  );
}

/** @internal A whole number from `least` up, or what is taken when there is none. */
export function wholeFrom(least: number, value: number | undefined, otherwise: number, what: string): number {
  if (value === undefined) return otherwise;
  if (value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && value >= least)) return value;
  throw new UsageError(
    "COOP_ARGUMENT",
    `${what} is a whole number from ${least} up, not ${describeValue(value)}`,
  );
}

/** @internal A time in milliseconds. */
export function millisecondsOf(value: number | undefined, what: string): number {
  if (value === undefined) return 0;
  if (typeof value === "number" && value >= 0 && value < Number.POSITIVE_INFINITY) return value;
  throw new UsageError(
    "COOP_ARGUMENT",
    `${what} is a number of milliseconds from 0 up, not ${describeValue(value)}`,
  );
}
