/** Operations on a part of an open file: ftruncate(2), fallocate(2), posix_fadvise(2), sync_file_range(2). */

import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import * as abi from "../../native/layout.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import type { Handle, IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { requireOpcode } from "../require-opcode.ts";
import { byteOf } from "../stream/position.ts";

/** Where a part of a file lies. */
export interface RangeOptions extends IoOptions {
  /** First byte. Default 0. */
  readonly position?: number;
  /** Bytes. Default 0: to the end of the file. */
  readonly length?: number;
}

export interface AllocateOptions extends RangeOptions {
  /** Bytes, at least 1: here 0, also as the default, is no rest of the file but `EINVAL`. */
  readonly length?: number;
  /**
   * `"extend"` (default) reserves room and makes the file longer where needed, `"keep"` reserves it without,
   * `"punch"` gives the room back and leaves zeros, `"zero"` leaves zeros and keeps the room.
   */
  readonly how?: "extend" | "keep" | "punch" | "zero";
}

export type Advice = "normal" | "random" | "sequential" | "will-need" | "dont-need" | "no-reuse";

export interface AdviseOptions extends RangeOptions {
  readonly advice: Advice;
}

export interface SyncRangeOptions extends RangeOptions {
  /** Waits until the pages are on the device. Default true; false only starts to write them. */
  readonly wait?: boolean;
}

/** Queues a truncate. @see {@link truncate} to wait. ftruncate(2), since Linux 6.9 in a ring. */
export function setupTruncate(handle: Handle, file: Descriptor, size: number, options?: IoOptions): void {
  truncateOperation(file, size, options).setUp(handle);
}

/**
 * Gives the file this size: it is cut, or filled up with zeros. After a kill it has happened, or not.
 *
 * @throws {IoError} `EINVAL`, `EFBIG`, …
 */
export function truncate(file: Descriptor, size: number, options?: IoOptions): Operation<void> {
  return truncateOperation(file, size, options);
}

function truncateOperation(
  file: Descriptor,
  size: number,
  options: IoOptions | undefined,
): IoOperation<void> {
  return new IoOperation(TRUNCATE, file, null, byteOf(size, "a size"), null, options);
}

/** Queues a fallocate. @see {@link fallocate} to wait. fallocate(2). */
export function setupFallocate(handle: Handle, file: Descriptor, options: AllocateOptions): void {
  rangeOperation(FALLOCATE, file, options, allocateMode(options)).setUp(handle);
}

/**
 * Reserves room on the device, or gives it back. After a kill it has happened, or not, or a part of it.
 *
 * @throws {IoError} `ENOSPC`, `EOPNOTSUPP` where the file system cannot, …
 */
export function fallocate(file: Descriptor, options: AllocateOptions): Operation<void> {
  return rangeOperation(FALLOCATE, file, options, allocateMode(options));
}

/** Queues advice. @see {@link advise} to wait. posix_fadvise(2). */
export function setupAdvise(handle: Handle, file: Descriptor, options: AdviseOptions): void {
  rangeOperation(ADVISE, file, options, adviceOf(options)).setUp(handle);
}

/** Tells the kernel how the file will be used. Nothing depends on it but speed. */
export function advise(file: Descriptor, options: AdviseOptions): Operation<void> {
  return rangeOperation(ADVISE, file, options, adviceOf(options));
}

/** Queues the writing of pages. @see {@link syncRange} to wait. sync_file_range(2). */
export function setupSyncRange(handle: Handle, file: Descriptor, options?: SyncRangeOptions): void {
  rangeOperation(SYNC_RANGE, file, options, syncFlags(options)).setUp(handle);
}

/**
 * Has written pages put on the device. It says nothing of the file's size or place, so it does not survive a
 * power failure: only `fsync` does. For spreading the work of a later `fsync`.
 */
export function syncRange(file: Descriptor, options?: SyncRangeOptions): Operation<void> {
  return rangeOperation(SYNC_RANGE, file, options, syncFlags(options));
}

/** The part, and what is done with it. */
class Range {
  readonly position: number;
  readonly length: number;
  readonly flags: number;
  constructor(options: RangeOptions | undefined, flags: number) {
    this.position = byteOf(given(options, "position") ?? 0, "a position");
    this.length = byteOf(given(options, "length") ?? 0, "a length");
    this.flags = flags;
  }
}

function rangeOperation(
  kind: Kind<void>,
  file: Descriptor,
  options: RangeOptions | undefined,
  flags: number,
): IoOperation<void> {
  return new IoOperation(kind, file, null, 0, new Range(options, flags), options);
}

const MODES = {
  extend: 0,
  keep: abi.FALLOC_FL_KEEP_SIZE,
  punch: abi.FALLOC_FL_PUNCH_HOLE | abi.FALLOC_FL_KEEP_SIZE,
  zero: abi.FALLOC_FL_ZERO_RANGE,
};

function allocateMode(options: AllocateOptions): number {
  return lookUp(MODES, given(options, "how") ?? "extend", "how");
}

const ADVICE = {
  normal: abi.POSIX_FADV_NORMAL,
  random: abi.POSIX_FADV_RANDOM,
  sequential: abi.POSIX_FADV_SEQUENTIAL,
  "will-need": abi.POSIX_FADV_WILLNEED,
  "dont-need": abi.POSIX_FADV_DONTNEED,
  "no-reuse": abi.POSIX_FADV_NOREUSE,
};

function adviceOf(options: AdviseOptions): number {
  return lookUp(ADVICE, given(options, "advice"), "advice");
}

function lookUp(table: Readonly<Record<string, number>>, name: unknown, what: string): number {
  if (typeof name === "string" && Object.hasOwn(table, name)) return table[name]!;
  throw new UsageError(
    "COOP_ARGUMENT",
    `${what} is one of ${Object.keys(table).join(", ")}, not ${describeValue(name)}`,
  );
}

function syncFlags(options: SyncRangeOptions | undefined): number {
  if (given(options, "wait") === false) return abi.SYNC_FILE_RANGE_WRITE;
  return abi.SYNC_FILE_RANGE_WAIT_BEFORE | abi.SYNC_FILE_RANGE_WRITE | abi.SYNC_FILE_RANGE_WAIT_AFTER;
}

const TRUNCATE: Kind<void> = new Kind<void>({
  syscall: "ftruncate",
  direct: true,
  setup(io, handle, operation) {
    requireOpcode(io, abi.OP_FTRUNCATE, "ftruncate", "6.9");
    io.driver.submit(handle, abi.OP_FTRUNCATE, operation.descriptor!.number, 0, 0, operation.number, 0, 0, 0);
    return QUEUED;
  },
  convert() {},
});

const FALLOCATE: Kind<void> = new Kind<void>({
  syscall: "fallocate",
  direct: true,
  setup(io, handle, operation) {
    const { position, length, flags } = operation.argument as Range;
    // The length is where other operations have an address, and the mode where they have a length.
    io.driver.submit(
      handle,
      abi.OP_FALLOCATE,
      operation.descriptor!.number,
      length,
      flags,
      position,
      0,
      0,
      0,
    );
    return QUEUED;
  },
  convert() {},
});

/** Lengths of these two have 32 bits; 0 is the rest of the file. */
const LENGTH_MAX = 0xffff_ffff;

function queueRange(opcode: number): (io: Io, handle: Handle, operation: IoOperation<void>) => number {
  return (io, handle, operation) => {
    const { position, length, flags } = operation.argument as Range;
    const most = length > LENGTH_MAX ? 0 : length;
    io.driver.submit(handle, opcode, operation.descriptor!.number, 0, most, position, flags, 0, 0);
    return QUEUED;
  };
}

const ADVISE = new Kind<void>({
  syscall: "fadvise",
  direct: true,
  setup: queueRange(abi.OP_FADVISE),
  convert() {},
});
const SYNC_RANGE = new Kind<void>({
  syscall: "sync_file_range",
  direct: true,
  setup: queueRange(abi.OP_SYNC_FILE_RANGE),
  convert() {},
});
