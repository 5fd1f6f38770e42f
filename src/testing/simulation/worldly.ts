/** Errors that a program may meet in a simulated world, and has to live with. All others are somebody's mistake. */
import { ClosedError, DeadlineError, KilledError } from "../../coordinator/errors.ts";
import { IoError } from "../../io/errno.ts";

/** Thrown by scenes whose clean-up is wrong on purpose. */
export class Blunder extends Error {}

export function isWorldly(error: unknown): boolean {
  if (
    !(
      error instanceof IoError ||
      error instanceof DeadlineError ||
      error instanceof ClosedError ||
      error instanceof KilledError ||
      error instanceof Blunder
    )
  ) {
    return false;
  }
  const { errors } = error as { errors?: readonly unknown[] };
  return errors === undefined || errors.every(isWorldly);
}
