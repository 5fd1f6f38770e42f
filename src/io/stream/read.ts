/** pread(2), read(2): bytes from a file. */
import type { Operation } from "../../coordinator/operation.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import { ESPIPE } from "../errno.ts";
import type { Handle, IoOptions } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { type Bytes, checkBytes, countOfNone, roundOf } from "../memory/memory.ts";
import { keepReceived, noteReadError } from "../socket/recv.ts";
import { CURRENT, type PositionOptions, positionOf, setWidePosition, WIDE } from "./position.ts";
import { submitTransfer } from "./transfer.ts";

export interface ReadOptions extends IoOptions, PositionOptions {}

/**
 * Queues a read and returns at once; its completion releases the handle's coordinator. `into` is held until
 * the last completion, even if the task is killed.
 *
 * @throws {BusyError} when `handle` is pending. @throws {ClosedError} when `file` is closed.
 * @see {@link read} to wait. pread(2).
 */
export function setupRead(handle: Handle, file: Descriptor, into: Bytes, options?: ReadOptions): void {
  readOperation(file, into, options).setUp(handle);
}

/**
 * Reads and gives the count, 0 at the end of the file.
 *
 * @throws {IoError} what pread(2) says. @throws {DeadlineError} when `options.timeout` was over first.
 */
export function read(file: Descriptor, into: Bytes, options?: ReadOptions): Operation<number> {
  return readOperation(file, into, options);
}

function readOperation(file: Descriptor, into: Bytes, options: ReadOptions | undefined): IoOperation<number> {
  const position = positionOf(options);
  checkBytes(into, "read");
  if (typeof position === "number") return new IoOperation(READ, file, into, position, null, options);
  return new IoOperation(READ, file, into, WIDE, position, options);
}

const READ: Kind<number> = new Kind({
  syscall: "read",
  direct: true,
  setup(io, handle, operation) {
    const { number: position } = operation;
    const file = operation.descriptor!;
    const into = operation.bytes!;
    if (position !== CURRENT && file.placeless) return -ESPIPE;
    if (position === CURRENT && file.reader !== null && !handle.follows(file.reader))
      throw file.busy("read", "reader");
    if (into.byteLength === 0) return countOfNone(into, "read");
    handle.streaming = position === CURRENT;
    if (position === CURRENT && file.inbox.waiting) return file.inbox.take(into);
    const part = file.exclusive ? roundOf(io.driver.memory, into) : into;
    submitTransfer(io, handle, false, file, into, part, position);
    if (file.exclusive && position === CURRENT) file.reader = handle;
    if (position === WIDE) setWidePosition(io, operation.argument as bigint);
    return QUEUED;
  },
  convert: (result) => result,
  failed(handle, result) {
    if (handle.streaming) noteReadError(handle, result);
  },
  ended: (handle) => (handle.streaming ? handle.descriptor!.inbox.ended() : 0),
  // Bytes of a place in the file can be read again; bytes of a stream cannot.
  reclaim(io, count, handle) {
    if (handle.streaming) keepReceived(io, count, handle);
  },
});
