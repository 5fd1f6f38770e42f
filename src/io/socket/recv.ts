/** recv(2): bytes from a socket. */
import type { Operation } from "../../coordinator/operation.ts";
import { OP_RECV, RECVSEND_POLL_FIRST } from "../../native/layout.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import type { Handle, IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { type Bytes, checkBytes, countOfNone, roundOf } from "../memory/memory.ts";

/**
 * Queues a receive and returns at once; its completion releases the handle's coordinator.
 *
 * `handle` goes idle → submitted. `into` is held until the last completion, even if the task is killed.
 *
 * @param into Where the bytes go; at most `into.byteLength` of them. With {@link allocate} nothing is copied.
 * @throws {BusyError} when `handle` is pending. @throws {ClosedError} when `socket` is closed.
 * @see {@link recv} to wait. recv(2).
 */
export function setupRecv(handle: Handle, socket: Descriptor, into: Bytes, options?: IoOptions): void {
  new IoOperation(RECV, socket, checkBytes(into, "recv"), 0, null, options).setUp(handle);
}

/**
 * Waits for bytes and gives their count, 0 when the peer has sent its last. A kill loses nothing: bytes that
 * had arrived are what the next reader gets first. The end, and a reset, stay: every later call tells the same.
 *
 * @throws {BusyError} when another task receives from the same stream. @throws {IoError} what recv(2) says. @throws {DeadlineError} when `options.timeout` was over first.
 */
export function recv(socket: Descriptor, into: Bytes, options?: IoOptions): Operation<number> {
  return new IoOperation(RECV, socket, checkBytes(into, "recv"), 0, null, options);
}

/** Bytes that arrived for a reader that is gone. */
export function keepReceived(_io: Io, count: number, handle: Handle): void {
  const bytes = handle.bytes!;
  // A buffer that was detached meanwhile has taken its bytes with it.
  if (bytes.byteLength < count) return;
  const { inbox } = handle.descriptor!;
  const received = bytes.subarray(0, count);
  if (handle.atOnce) inbox.putBack(received);
  else inbox.keep(received);
}

/** @internal */
export function noteReadError(handle: Handle, result: number): void {
  // A timeout of ours is no error of the connection: that operation was cancelled.
  if (handle.descriptor!.exclusive) handle.descriptor!.inbox.readFailed(result);
}

/** @internal */
export function noteSendError(handle: Handle, result: number): void {
  if (handle.descriptor!.exclusive) handle.descriptor!.inbox.sendFailed(result);
}

const RECV: Kind<number> = new Kind({
  syscall: "recv",
  direct: true,
  setup(io, handle, operation) {
    const socket = operation.descriptor!;
    const into = operation.bytes!;
    if (socket.reader !== null && !handle.follows(socket.reader)) throw socket.busy("recv", "reader");
    if (into.byteLength === 0) return countOfNone(into, "recv");
    if (socket.inbox.waiting) return socket.inbox.take(into);
    const part = roundOf(io.driver.memory, into);
    const address = handle.pin(part, false);
    // Where nothing is there yet the kernel is spared a first try that would fail.
    const ioprio = socket.hasMore ? 0 : RECVSEND_POLL_FIRST;
    io.driver.submit(handle, OP_RECV, socket.number, address, part.byteLength, 0, 0, ioprio, 0);
    if (socket.exclusive) socket.reader = handle;
    return QUEUED;
  },
  convert: (result) => result,
  reclaim: keepReceived,
  failed: noteReadError,
  ended: (handle) => handle.descriptor!.inbox.ended(),
});
