/** Places in files: what callers may give, and how the kernel gets them exactly. */

import { UsageError } from "../../coordinator/errors.ts";
import { describeValue } from "../../coordinator/operation.ts";
import { SQE_WORD_OFF } from "../../native/layout.ts";
import type { Io } from "../io.ts";

/** The file's own position: what the kernel takes as -1. */
export const CURRENT = -1;

/** The place is a BigInt that is no exact number; {@link setWidePosition} hands it over. */
export const WIDE = -2;

const POSITION_MAX = 0x7fff_ffff_ffff_ffffn;

/** Where a read or a write begins. */
export interface PositionOptions {
  /** Byte of the file; a BigInt from 2^53 up. Left out: where the last one ended, as for a pipe. */
  readonly position?: number | bigint;
}

/**
 * The position as a number or, from 2^53 up, a BigInt; {@link CURRENT} when there is none.
 *
 * @throws {UsageError} `COOP_POSITION` when the position is no byte of a file.
 */
export function positionOf(options: PositionOptions | undefined): number | bigint {
  // Asked here and not by `given`, which knows all kinds of options and is slower for it.
  const position = options?.position;
  if (position === undefined || !Object.hasOwn(options!, "position")) return CURRENT;
  return checkPosition(position);
}

/** @throws {UsageError} `COOP_POSITION` when it is no byte of a file. */
export function checkPosition(position: unknown, what = "a position"): number | bigint {
  if (typeof position === "number" && Number.isSafeInteger(position) && position >= 0) return position;
  if (typeof position === "bigint" && position >= 0n && position <= POSITION_MAX) {
    return position <= Number.MAX_SAFE_INTEGER ? Number(position) : position;
  }
  throw new UsageError(
    "COOP_POSITION",
    `${what} is a whole number from 0 to 2^53 - 1, or a BigInt up to 2^63 - 1, not ${describeValue(position)}; ` +
      "leave it out for the current one",
  );
}

/** A byte, or a number of bytes, that is no BigInt. @throws {UsageError} `COOP_POSITION` */
export function byteOf(value: unknown, what: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new UsageError(
    "COOP_POSITION",
    `${what} is a whole number from 0 to 2^53 - 1, not ${describeValue(value)}`,
  );
}

/** Gives the operation that was just submitted a position no number holds. */
export function setWidePosition(io: Io, position: bigint, word: number = SQE_WORD_OFF): void {
  io.driver.setWide(word, Number(BigInt.asIntN(32, position)), Number(BigInt.asIntN(32, position >> 32n)));
}
