/** preadv(2), pwritev(2): several byte arrays in one operation. */
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import {
  IOVEC_BASE,
  IOVEC_LEN,
  IOVEC_SIZE,
  OP_READ,
  OP_READV,
  OP_WRITE,
  OP_WRITEV,
} from "../../native/layout.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import type { Inbox } from "../descriptor/inbox.ts";
import { ESPIPE } from "../errno.ts";
import type { Handle } from "../handle.ts";
import type { Io } from "../io.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { ioprioOf } from "../io-priority.ts";
import { type Bytes, COPY, checkBytes, lengthOf, scatter, TRANSFER_MAX } from "../memory/memory.ts";
import { noteReadError } from "../socket/recv.ts";
import { CURRENT, positionOf } from "../stream/position.ts";
import type { ReadOptions } from "../stream/read.ts";
import type { WriteOptions } from "../stream/write.ts";

/** The kernel's limit, UIO_MAXIOV. */
export const PARTS_MAX = 1024;

/** Queues a read into several byte arrays. @see {@link readv} to wait. preadv(2). */
export function setupReadv(
  handle: Handle,
  file: Descriptor,
  parts: readonly Bytes[],
  options?: ReadOptions,
): void {
  vectorOperation(READV, "readv", file, parts, options).setUp(handle);
}

/**
 * Reads into `parts`, filling one after the other, and gives the count, 0 at the end of the file.
 *
 * @throws {IoError} what preadv(2) says. @throws {DeadlineError} when `options.timeout` was over first.
 */
export function readv(file: Descriptor, parts: readonly Bytes[], options?: ReadOptions): Operation<number> {
  return vectorOperation(READV, "readv", file, parts, options);
}

/** Queues a write of several byte arrays. @see {@link writev} to wait. pwritev(2). */
export function setupWritev(
  handle: Handle,
  file: Descriptor,
  parts: readonly Bytes[],
  options?: WriteOptions,
): void {
  vectorOperation(WRITEV, "writev", file, parts, options).setUp(handle);
}

/** Writes `parts` one after the other and gives the count, which may be short. */
export function writev(file: Descriptor, parts: readonly Bytes[], options?: WriteOptions): Operation<number> {
  return vectorOperation(WRITEV, "writev", file, parts, options);
}

/** Writes all of `parts`. When it is cut short, what {@link writeAll} says holds. */
export function writevAll(
  file: Descriptor,
  parts: readonly Bytes[],
  options?: WriteOptions,
): Operation<void> {
  return vectorOperation(WRITEV_ALL, "writevAll", file, parts, options);
}

function vectorOperation<A>(
  kind: Kind<A>,
  what: string,
  file: Descriptor,
  parts: readonly Bytes[],
  options: ReadOptions | undefined,
): IoOperation<A> {
  const position = positionOf(options);
  const checked = checkParts(parts, what);
  if (typeof position !== "number" || position > Number.MAX_SAFE_INTEGER - lengthOf(checked)) {
    throw new UsageError("COOP_POSITION", `${what} takes positions whose bytes all lie below 2^53`);
  }
  return new IoOperation(kind, file, null, position, checked, options);
}

/** A copy of the list: what the caller does to its own afterwards changes nothing. */
function checkParts(parts: readonly Bytes[], what: string): readonly Bytes[] {
  if (!Array.isArray(parts)) {
    throw new UsageError("COOP_BUFFER", `${what} takes an array of Uint8Arrays, not ${describeValue(parts)}`);
  }
  if (parts.length > PARTS_MAX) {
    throw new UsageError(
      "COOP_BUFFER",
      `${what} takes at most ${PARTS_MAX} byte arrays, not ${parts.length}`,
    );
  }
  const copy = [...parts];
  for (const part of copy) checkBytes(part, what);
  // What is empty when it completes was detached in between.
  const full = copy.filter((part) => part.byteLength > 0);
  if (lengthOf(full) > TRANSFER_MAX) {
    throw new UsageError("COOP_BUFFER", `${what} takes at most ${TRANSFER_MAX} bytes at a time`);
  }
  return full;
}

/** There are no empty ones among them, unless one was detached since the operation was made. */
function checkThere(parts: readonly Bytes[], what: string): void {
  for (const part of parts) if (part.byteLength === 0) checkBytes(part, what);
}

/**
 * Puts `parts` before the kernel: an iovec each when all lie in shared memory, else one block that stands for
 * all of them. Gives the number of iovecs, or {@link COPY}.
 */
function pinParts(io: Io, handle: Handle, parts: readonly Bytes[], fill: boolean): number {
  const { memory } = io.driver;
  const addresses: number[] = [];
  let copied = false;
  for (const part of parts) {
    const address = memory.locate(part);
    if (address === COPY) copied = true;
    addresses.push(address, part.byteLength);
  }
  handle.parts = parts;
  if (copied) {
    vectorAddress = standIn(handle, parts, fill);
    return COPY;
  }
  const count = addresses.length / 2;
  const block = handle.argument(count * IOVEC_SIZE);
  const view = new DataView(block.bytes.buffer, block.bytes.byteOffset, count * IOVEC_SIZE);
  for (let i = 0; i < count; i++) {
    view.setBigUint64(i * IOVEC_SIZE + IOVEC_BASE, BigInt(addresses[i * 2]!), true);
    view.setBigUint64(i * IOVEC_SIZE + IOVEC_LEN, BigInt(addresses[i * 2 + 1]!), true);
  }
  vectorAddress = block.address;
  if (fill && memory.checks) handle.seal();
  return count;
}

/** Where {@link pinParts} has put them. */
let vectorAddress = 0;

function standIn(handle: Handle, parts: readonly Bytes[], fill: boolean): number {
  const block = handle.argument(lengthOf(parts));
  if (!fill) {
    handle.copyOut();
    return block.address;
  }
  let at = 0;
  for (const part of parts) {
    block.bytes.set(part, at);
    at += part.byteLength;
  }
  return block.address;
}

function queueParts(
  io: Io,
  handle: Handle,
  file: Descriptor,
  parts: readonly Bytes[],
  position: number,
  write: boolean,
): number {
  if (position !== CURRENT && file.placeless) return -ESPIPE;
  const length = lengthOf(parts);
  const { writer } = file;
  if (write && position === CURRENT && writer !== null && writer !== handle && !handle.follows(writer)) {
    throw file.busy("writev", "writer");
  }
  if (length === 0) return 0;
  const count = pinParts(io, handle, parts, write);
  const { driver } = io;
  const ioprio = ioprioOf(handle.urgency);
  if (count === COPY) {
    driver.submit(
      handle,
      write ? OP_WRITE : OP_READ,
      file.number,
      vectorAddress,
      length,
      position,
      0,
      ioprio,
      0,
    );
  } else {
    driver.submit(
      handle,
      write ? OP_WRITEV : OP_READV,
      file.number,
      vectorAddress,
      count,
      position,
      0,
      ioprio,
      0,
    );
  }
  if (file.exclusive && position === CURRENT) {
    if (write) file.writer = handle;
    else file.reader = handle;
  }
  return QUEUED;
}

const READV: Kind<number> = new Kind({
  syscall: "readv",
  direct: true,
  setup(io, handle, operation) {
    const file = operation.descriptor!;
    const parts = operation.argument as readonly Bytes[];
    const { number: position } = operation;
    if (position !== CURRENT && file.placeless) return -ESPIPE;
    if (position === CURRENT && file.reader !== null && !handle.follows(file.reader))
      throw file.busy("readv", "reader");
    handle.streaming = position === CURRENT;
    checkThere(parts, "readv");
    if (position === CURRENT && file.inbox.waiting && parts.length > 0) {
      handle.parts = parts;
      return takeKept(file.inbox, parts);
    }
    return queueParts(io, handle, file, parts, position, false);
  },
  convert: (result) => result,
  failed(handle, result) {
    if (handle.streaming) noteReadError(handle, result);
  },
  ended: (handle) => (handle.streaming ? handle.descriptor!.inbox.ended() : 0),
  // As for read: bytes of a stream go to the next reader.
  reclaim(_io, count, handle) {
    const { parts } = handle;
    if (!handle.streaming || parts === null) return;
    // Parts that were detached meanwhile have taken their bytes with them.
    const bytes = Buffer.concat(parts, Math.min(count, lengthOf(parts)));
    const { inbox } = handle.descriptor!;
    if (handle.atOnce) inbox.putBack(bytes);
    else inbox.keep(bytes);
  },
});

function takeKept(inbox: Inbox, parts: readonly Bytes[]): number {
  if (!inbox.filled) return inbox.error;
  if (inbox.messages) {
    // One message, whole; what does not fit is gone, as it would be with the kernel.
    const { bytes } = inbox.takeMessage()!;
    const count = Math.min(bytes.length, lengthOf(parts));
    return scatter(bytes, parts, count);
  }
  let count = 0;
  for (const part of parts) {
    if (inbox.filled) count += inbox.take(part);
  }
  return count;
}

const WRITEV: Kind<number> = new Kind({
  syscall: "writev",
  direct: true,
  setup(io, handle, operation) {
    const file = operation.descriptor!;
    file.checkWritable("writev");
    checkThere(operation.argument as readonly Bytes[], "writev");
    return queueParts(io, handle, file, operation.argument as readonly Bytes[], operation.number, true);
  },
  convert: (result) => result,
});

const WRITEV_ALL: Kind<void> = new Kind<void>({
  syscall: "writev",
  direct: true,
  setup(io, handle, operation) {
    const { sent, number } = operation;
    const file = operation.descriptor!;
    const parts = operation.argument as readonly Bytes[];
    if (file.brokenAt !== -1) file.checkWritable("writev");
    if (sent === 0) {
      checkThere(parts, "writev");
      operation.total = lengthOf(parts);
    }
    const position = number === CURRENT ? CURRENT : number + sent;
    const result = queueParts(io, handle, file, sent === 0 ? parts : restOf(parts, sent), position, true);
    if (result === QUEUED) handle.continueWith(operation as IoOperation<unknown>);
    return result;
  },
  convert() {},
  cutShort(operation, sent) {
    if (operation.number === CURRENT) operation.descriptor!.brokenAt = sent;
  },
});

/** What is left after the first `sent` bytes. */
function restOf(parts: readonly Bytes[], sent: number): readonly Bytes[] {
  const rest: Bytes[] = [];
  let before = sent;
  for (const part of parts) {
    if (before < part.byteLength) rest.push(before === 0 ? part : part.subarray(before));
    before = Math.max(0, before - part.byteLength);
  }
  return rest;
}
