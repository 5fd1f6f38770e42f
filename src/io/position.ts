import { UsageError } from "../coordinator/errors.ts";

/** The file's own position: what the kernel takes as -1. */
export const CURRENT = -1;

/** @throws {UsageError} `COOP_POSITION` when the position is no byte of a file. */
export function positionOf(options: { readonly position?: number } | undefined): number {
  const position = options?.position;
  if (position === undefined) return CURRENT;
  if (Number.isSafeInteger(position) && position >= 0) return position;
  throw new UsageError(
    "COOP_POSITION",
    `a position is a whole number from 0 to 2^53 - 1, not ${String(position)}; leave it out for the current one`,
  );
}
