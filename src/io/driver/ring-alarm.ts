/**
 * The one timer of a ring: a TIMEOUT to the time at which the first of all timers is due. Source: design D10;
 * io_uring_enter(2), IORING_OP_TIMEOUT.
 */
import * as abi from "../../native/layout.ts";
import type { SubmissionQueue } from "./submission-queue.ts";
import { KIND_ALARM, KIND_NONE, KIND_SHIFT } from "./user-data.ts";

/** The latest alarm, in nanoseconds: what is later has no exact words, and the kernel's clock ends there too. */
const ALARM_MAX = 9e18;

/** Timespecs: each lives until the submission that names it has been taken. */
const SLOTS = 16;

export class RingAlarm {
  private readonly sq: SubmissionQueue;
  private readonly times: Int32Array;
  private readonly address: number;
  private slot = 0;
  /** Of the last one that was set: at most one is armed, the others are being replaced. */
  private generation = 0;
  private armed = false;
  /** Added to our clock it gives CLOCK_MONOTONIC, in nanoseconds. */
  private readonly clockOffset: number;

  constructor(sq: SubmissionQueue, addressOf: (view: Uint8Array) => number) {
    this.sq = sq;
    const memory = new SharedArrayBuffer(SLOTS * abi.TIMESPEC_SIZE);
    this.times = new Int32Array(memory);
    this.address = addressOf(new Uint8Array(memory));
    this.clockOffset = measureClockOffset();
  }

  /** Sets it to `deadline`, nanoseconds of our clock; replaces the one that is set. */
  arm(deadline: number): void {
    const { times } = this;
    const time = Math.min(deadline + this.clockOffset, ALARM_MAX);
    const seconds = Math.floor(time / 1e9);
    const slot = this.slot;
    this.slot = (slot + 1) % SLOTS;
    const at = slot * 4;
    times[at] = seconds;
    times[at + 1] = seconds / 4294967296;
    times[at + 2] = Math.ceil(time - seconds * 1e9);
    times[at + 3] = 0;
    this.disarm();
    this.armed = true;
    this.generation = (this.generation + 1) | 0;
    const address = this.address + slot * abi.TIMESPEC_SIZE;
    const low = KIND_ALARM << KIND_SHIFT;
    this.sq.write(null, abi.OP_TIMEOUT, -1, address, 1, 0, abi.TIMEOUT_ABS, low, this.generation, 0, 0);
  }

  disarm(): void {
    if (!this.armed) return;
    this.armed = false;
    this.sq.write(null, abi.OP_TIMEOUT_REMOVE, -1, 0, 0, 0, 0, KIND_NONE << KIND_SHIFT, 0, 0, 0);
    this.sq.setWide(abi.SQE_WORD_ADDR, KIND_ALARM << KIND_SHIFT, this.generation);
  }

  /** A completion has come. False for one that was replaced meanwhile. */
  wentOff(generation: number): boolean {
    if (generation !== this.generation || !this.armed) return false;
    this.armed = false;
    return true;
  }
}

/** CLOCK_MONOTONIC minus `performance.now()`, in nanoseconds: both tick alike. The closest of a few looks. */
function measureClockOffset(): number {
  let best = Number.POSITIVE_INFINITY;
  let offset = 0;
  for (let i = 0; i < 8; i++) {
    const before = performance.now() * 1e6;
    const monotonic = Number(process.hrtime.bigint());
    const after = performance.now() * 1e6;
    if (after - before >= best) continue;
    best = after - before;
    offset = monotonic - (before + after) / 2;
  }
  return offset;
}
