/** splice(2), tee(2): bytes from one descriptor to another inside the kernel; one of the two is a pipe. */

import { UsageError } from "../../coordinator/errors.ts";
import type { Operation } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import { OP_SPLICE, OP_TEE, SPLICE_F_MORE, SQE_WORD_ADDR } from "../../native/layout.ts";
import { checkDescriptor, type Descriptor } from "../descriptor/descriptor.ts";
import type { IoErrorDetails } from "../errno.ts";
import type { Handle, IoOptions } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { TRANSFER_MAX } from "../memory/memory.ts";
import { CURRENT, checkPosition } from "../stream/position.ts";

export interface SpliceOptions extends IoOptions {
  /** Most bytes to move. */
  readonly length: number;
  /** Byte of `from` to begin at; for a pipe, and by default, where it stands. */
  readonly fromPosition?: number;
  /** Byte of `to` to begin at; likewise. */
  readonly toPosition?: number;
  /** More follows soon: a socket may wait for it to fill a packet. Default false. */
  readonly more?: boolean;
}

/** Queues a splice. @see {@link splice} to wait. splice(2), since Linux 5.7 in a ring. */
export function setupSplice(handle: Handle, from: Descriptor, to: Descriptor, options: SpliceOptions): void {
  spliceOperation(SPLICE, from, to, options).setUp(handle);
}

/**
 * Moves bytes and gives the count, 0 at the end of `from`. What was moved when a kill came is in `to`. Both
 * descriptors have to stay open meanwhile.
 *
 * @throws {BusyError} when another task reads from the one stream, or writes to the other.
 * @throws {UsageError} `COOP_UNREAD` when `from` has bytes that a killed reader has received: read them first.
 * @throws {IoError} `EINVAL` when neither is a pipe, or a file cannot be spliced.
 */
export function splice(from: Descriptor, to: Descriptor, options: SpliceOptions): Operation<number> {
  return spliceOperation(SPLICE, from, to, options);
}

/** @internal Likewise, for one whose `writer` stands on `to` as the one that writes there. */
export function spliceAs(
  writer: object,
  from: Descriptor,
  to: Descriptor,
  options: SpliceOptions,
): Operation<number> {
  return spliceOperation(SPLICE, from, to, options, writer);
}

/**
 * Copies bytes from one pipe to another without taking them out, and gives the count.
 *
 * @throws {IoError} `EINVAL` unless both are pipes.
 */
export function tee(
  from: Descriptor,
  to: Descriptor,
  options: { readonly length: number } & IoOptions,
): Operation<number> {
  return spliceOperation(TEE, from, to, options);
}

/** The source, and where both begin. */
class Source {
  readonly from: Descriptor;
  readonly fromPosition: number;
  readonly toPosition: number;
  readonly flags: number;
  readonly writer: object | null;
  constructor(from: Descriptor, options: SpliceOptions, writer: object | null) {
    this.from = from;
    this.fromPosition = placeOf(given(options, "fromPosition"));
    this.toPosition = placeOf(given(options, "toPosition"));
    this.flags = given(options, "more") === true ? SPLICE_F_MORE : 0;
    this.writer = writer;
  }
}

function placeOf(position: number | undefined): number {
  if (position === undefined) return CURRENT;
  const place = checkPosition(position);
  if (typeof place === "number") return place;
  throw new UsageError("COOP_POSITION", "splice takes positions up to 2^53 - 1");
}

function spliceOperation(
  kind: Kind<number>,
  from: Descriptor,
  to: Descriptor,
  options: SpliceOptions,
  writer: object | null = null,
): IoOperation<number> {
  checkDescriptor(from, kind.syscall);
  const length = given(options, "length") ?? -1;
  if (!Number.isSafeInteger(length) || length < 0) {
    throw new UsageError("COOP_ARGUMENT", "splice needs a length, a whole number of bytes");
  }
  // `to` counts as what is worked on: that is where bytes that were moved end up.
  const source = new Source(from, options, writer);
  return new IoOperation(kind, to, null, Math.min(length, TRANSFER_MAX), source, options);
}

const SPLICE: Kind<number> = new Kind({
  syscall: "splice",
  direct: true,
  setup(io, handle, operation) {
    const { from, fromPosition, toPosition, flags, writer } = operation.argument as Source;
    const to = operation.descriptor!;
    from.checkUsable(io, "splice");
    from.checkOrdinary("splice");
    to.checkWritable("splice");
    const reads = fromPosition === CURRENT;
    const writes = toPosition === CURRENT;
    if (reads) checkSource(from, "splice");
    if (writes && to.writer !== null && to.writer !== writer) throw to.busy("splice", "writer");
    if (operation.number === 0) return 0;
    handle.takeFrom(from);
    io.driver.submit(
      handle,
      OP_SPLICE,
      to.number,
      fromPosition,
      operation.number,
      toPosition,
      flags,
      0,
      from.number,
    );
    // The source's position is where other operations have an address, and only an offset can be -1.
    if (reads) io.driver.setWide(SQE_WORD_ADDR, CURRENT, CURRENT);
    if (reads && from.exclusive) from.reader = handle;
    if (writes && to.exclusive && writer === null) to.writer = handle;
    return QUEUED;
  },
  convert: (result) => result,
  details: bothOpen,
});

const TEE: Kind<number> = new Kind({
  syscall: "tee",
  setup(io, handle, operation) {
    const { from } = operation.argument as Source;
    from.checkUsable(io, "tee");
    from.checkOrdinary("tee");
    const to = operation.descriptor!;
    to.checkWritable("tee");
    checkSource(from, "tee");
    if (to.writer !== null) throw to.busy("tee", "writer");
    if (operation.number === 0) return 0;
    handle.takeFrom(from);
    io.driver.submit(handle, OP_TEE, to.number, 0, operation.number, 0, 0, 0, from.number);
    if (to.exclusive) to.writer = handle;
    return QUEUED;
  },
  convert: (result) => result,
  details: bothOpen,
});

/** Nobody else may be reading from it, and what comes first has to be there for the kernel to take. */
function checkSource(from: Descriptor, what: string): void {
  if (from.reader !== null) throw from.busy(what, "reader");
  from.checkRead(what);
}

/** An operation whose source was closed says so, as one whose target was closed does. */
function bothOpen(operation: IoOperation<number>): IoErrorDetails | undefined {
  (operation.argument as Source).from.checkOpen(operation.kind.syscall);
  return operation.descriptor!.details;
}
