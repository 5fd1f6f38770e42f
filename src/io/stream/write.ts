/** pwrite(2), write(2): bytes to a file. */
import type { Operation } from "../../coordinator/operation.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import { ESPIPE } from "../errno.ts";
import type { Handle, IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { type Bytes, checkBytes, countOfNone, roundOf } from "../memory/memory.ts";
import { CURRENT, type PositionOptions, positionOf, setWidePosition, WIDE } from "./position.ts";
import { submitTransfer } from "./transfer.ts";

/** Without a position: where the last one ended, or the end for an appending file, whatever the position. */
export interface WriteOptions extends IoOptions, PositionOptions {}

/**
 * Queues a write and returns at once; its completion releases the handle's coordinator. The result is the
 * count, which may be short. `bytes` are held, and must not change, until then.
 *
 * @throws {BusyError} when `handle` is pending. @throws {ClosedError} when `file` is closed.
 * @see {@link write} and {@link writeAll} to wait. pwrite(2).
 */
export function setupWrite(handle: Handle, file: Descriptor, bytes: Bytes, options?: WriteOptions): void {
  writeOperation(WRITE, "write", file, bytes, options).setUp(handle);
}

/** Writes and gives the count. A write that has begun is not undone by a kill. */
export function write(file: Descriptor, bytes: Bytes, options?: WriteOptions): Operation<number> {
  return writeOperation(WRITE, "write", file, bytes, options);
}

/**
 * Writes all of `bytes`. When it is cut short in the middle of a stream (no `position`), the descriptor is
 * broken for further writes; with a position the same bytes can simply be written again.
 */
export function writeAll(file: Descriptor, bytes: Bytes, options?: WriteOptions): Operation<void> {
  return writeOperation(WRITE_ALL, "writeAll", file, bytes, options);
}

/** @internal Likewise to a stream, for one whose `writer` stands on it as the one that writes there. */
export function writeAllAs(writer: object, file: Descriptor, bytes: Bytes): Operation<void> {
  return new IoOperation(WRITE_ALL, file, checkBytes(bytes, "writeAll"), CURRENT, writer, undefined);
}

function writeOperation<A>(
  kind: Kind<A>,
  what: string,
  file: Descriptor,
  bytes: Bytes,
  options: WriteOptions | undefined,
): IoOperation<A> {
  let position = positionOf(options);
  checkBytes(bytes, what);
  // Where the rest begins has to be exact as well.
  const several = (kind as unknown) === WRITE_ALL;
  if (several && typeof position === "number" && position > Number.MAX_SAFE_INTEGER - bytes.byteLength) {
    position = BigInt(position);
  }
  if (typeof position === "number") return new IoOperation(kind, file, bytes, position, null, options);
  return new IoOperation(kind, file, bytes, WIDE, position, options);
}

const WRITE: Kind<number> = new Kind({
  syscall: "write",
  direct: true,
  setup: (io, handle, operation) => queueWrite(io, handle, operation, operation.bytes!, operation.number),
  convert: (result) => result,
});

const WRITE_ALL: Kind<void> = new Kind<void>({
  syscall: "write",
  direct: true,
  setup(io, handle, operation) {
    const { bytes, sent, number } = operation;
    if (sent === 0) operation.total = bytes!.byteLength;
    const rest = sent === 0 ? bytes! : bytes!.subarray(sent);
    const position = number < 0 ? number : number + sent;
    const result = queueWrite(io, handle, operation, rest, position);
    if (result === QUEUED) handle.continueWith(operation as IoOperation<unknown>);
    return result;
  },
  convert() {},
  cutShort(operation, sent) {
    if (operation.number === CURRENT) operation.descriptor!.brokenAt = sent;
  },
});

function queueWrite(
  io: Io,
  handle: Handle,
  operation: Pick<IoOperation<unknown>, "descriptor" | "argument" | "sent">,
  bytes: Bytes,
  position: number,
): number {
  const file = operation.descriptor!;
  const streaming = position === CURRENT;
  if (!streaming && file.placeless) return -ESPIPE;
  const holder = streaming ? (operation.argument as object | null) : null;
  const { writer } = file;
  if (streaming && writer !== null && writer !== handle && writer !== holder && !handle.follows(writer)) {
    throw file.busy("write", "writer");
  }
  if (file.brokenAt !== -1) file.checkWritable("write");
  if (bytes.byteLength === 0) return countOfNone(bytes, "write");
  // What comes after it in a chain begins when all of it is written.
  const part = file.exclusive && !handle.leads ? roundOf(io.driver.memory, bytes) : bytes;
  submitTransfer(io, handle, true, file, bytes, part, position);
  if (file.exclusive && streaming && holder === null) file.writer = handle;
  if (position === WIDE) setWidePosition(io, (operation.argument as bigint) + BigInt(operation.sent));
  return QUEUED;
}
