/**
 * What a simulated kernel does wrong, each with a probability, and what it may do at most.
 * Source: the table of faults that simulations of this project run under; io_uring_cancelation(7).
 */
import { UsageError } from "../../coordinator/errors.ts";
import type { Dice } from "./dice.ts";

/** Probabilities from 0 to 1; what is left out is 0. */
export interface FaultOptions {
  /** A read or receive gives less than there is. */
  readonly shortRead?: number;
  /** A write or send takes less than there is room for. */
  readonly shortWrite?: number;
  /** EINTR, and EAGAIN, as the result of an operation. */
  readonly interrupted?: number;
  readonly again?: number;
  /** ENOMEM or ENOBUFS; EMFILE or ENFILE where a descriptor is made. */
  readonly exhausted?: number;
  /** Memory is short for a while: most operations give ENOBUFS or ENOMEM until then. */
  readonly shortage?: number;
  /** What an operation may say besides: EACCES, EXDEV, EADDRINUSE, … by its kind. */
  readonly refused?: number;
  /** ENOSPC of a write, EIO of any operation on a file. */
  readonly disk?: number;
  /** ECONNRESET or ETIMEDOUT: the connection is broken from then on. ENETDOWN, EHOSTUNREACH: it is not. */
  readonly connection?: number;
  /** ECANCELED, or EINTR, although nobody has cancelled. */
  readonly spontaneousCancel?: number;
  /** A cancel comes too late: the operation goes on, and gives what it gives. */
  readonly lateCancel?: number;
  /** The completion of a cancel comes before that of the operation. */
  readonly cancelFirst?: number;
  /** io_uring_enter fails with EAGAIN, EBUSY, EINTR or ENOMEM, or takes only some of the submissions. */
  readonly enterFailure?: number;
  /** A completion comes a second time, long after. */
  readonly duplicate?: number;
  /** A completion for an operation that never was. */
  readonly stale?: number;
  /** A multishot operation ends for no reason. */
  readonly multishotEnd?: number;
  /** EIO, ENOSPC or EINTR of a close; the descriptor is closed all the same. */
  readonly close?: number;
  /** The clock jumps by an hour. */
  readonly clockJump?: number;
  /** The thread stands still for some seconds, and finds all that has happened meanwhile at once. */
  readonly stall?: number;
  /** A file or connection stops for some seconds, however much there is to do. */
  readonly clog?: number;
}

export type Fault = keyof FaultOptions;

/** The most that a random simulation draws. */
export const FAULTS_MAX: Readonly<Required<FaultOptions>> = {
  shortRead: 0.3,
  shortWrite: 0.3,
  interrupted: 0.05,
  again: 0.05,
  exhausted: 0.03,
  shortage: 0.005,
  refused: 0.04,
  disk: 0.1,
  connection: 0.03,
  spontaneousCancel: 0.01,
  lateCancel: 0.67,
  cancelFirst: 0.5,
  enterFailure: 0.05,
  duplicate: 0.02,
  stale: 0.01,
  multishotEnd: 0.1,
  close: 0.02,
  clockJump: 0.01,
  stall: 0.05,
  clog: 0.05,
};

/** @internal All that there are. */
export const FAULTS = Object.keys(FAULTS_MAX) as readonly Fault[];

const NONE = Object.fromEntries(FAULTS.map((name) => [name, 0])) as Record<Fault, number>;

/** A fault is in a run at all with this probability: many at once would hide each other. */
const ACTIVE = 0.5;

/** @internal Checked, and complete. */
export function faultsOf(options: FaultOptions | undefined): Record<Fault, number> {
  const faults: Record<Fault, number> = { ...NONE };
  for (const [name, probability] of Object.entries(options ?? {})) {
    if (!(name in FAULTS_MAX)) {
      throw new UsageError("COOP_ARGUMENT", `"${name}" is no fault; there are ${FAULTS.join(", ")}`);
    }
    if (!(typeof probability === "number" && probability >= 0 && probability <= 1)) {
      throw new UsageError(
        "COOP_ARGUMENT",
        `${name} is a probability from 0 to 1, not ${String(probability)}`,
      );
    }
    faults[name as Fault] = probability;
  }
  return faults;
}

/** @internal The faults of one random run. */
export function drawFaults(dice: Dice): FaultOptions {
  const drawn: Partial<Record<Fault, number>> = {};
  for (const name of FAULTS) {
    if (dice.chance(ACTIVE)) drawn[name] = (FAULTS_MAX[name] * dice.next(1000)) / 1000;
  }
  return drawn;
}
