/** send(2): bytes to a socket. */
import type { Operation } from "../../coordinator/operation.ts";
import { MSG_NOSIGNAL, MSG_WAITALL, OP_SEND } from "../../native/layout.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import type { Handle, IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { type Bytes, checkBytes, countOfNone, roundOf } from "../memory/memory.ts";
import { noteSendError } from "./recv.ts";

/**
 * Queues a send and returns at once; its completion releases the handle's coordinator. The result is the
 * count that went out, which may be short. `bytes` are held, and must not change, until then.
 *
 * @throws {BusyError} when `handle` is pending. @throws {ClosedError} when `socket` is closed or broken.
 * @see {@link send} and {@link sendAll} to wait. send(2).
 */
export function setupSend(handle: Handle, socket: Descriptor, bytes: Bytes, options?: IoOptions): void {
  new IoOperation(SEND, socket, checkBytes(bytes, "send"), 0, null, options).setUp(handle);
}

/**
 * Sends what the socket takes and gives the count, at least 1 unless `bytes` is empty.
 *
 * @throws {IoError} what send(2) says; there is no SIGPIPE. @throws {DeadlineError} when the time was up.
 */
export function send(socket: Descriptor, bytes: Bytes, options?: IoOptions): Operation<number> {
  return new IoOperation(SEND, socket, checkBytes(bytes, "send"), 0, null, options);
}

/**
 * Sends all of `bytes`. When a kill, a timeout or an error cuts it short after some bytes went out, the
 * socket is broken for further sends: whoever came next would write into the middle of a message.
 *
 * @throws {BusyError} when another task sends on the same stream. @throws {ClosedError} when it is broken.
 * @throws {IoError} what send(2) says. @throws {DeadlineError} when `options.timeout` was over first.
 */
export function sendAll(socket: Descriptor, bytes: Bytes, options?: IoOptions): Operation<void> {
  return new IoOperation(SEND_ALL, socket, checkBytes(bytes, "sendAll"), 0, null, options);
}

/** @internal Likewise, for one whose `writer` stands on the socket as the one that writes there. */
export function sendAllAs(writer: object, socket: Descriptor, bytes: Bytes): Operation<void> {
  return new IoOperation(SEND_ALL, socket, checkBytes(bytes, "sendAll"), 0, writer, undefined);
}

const SEND: Kind<number> = new Kind({
  syscall: "send",
  direct: true,
  setup: (io, handle, operation) => queueSend(io, handle, operation, operation.bytes!, 0),
  convert: (result) => result,
  failed: noteSendError,
});

const SEND_ALL: Kind<void> = new Kind<void>({
  syscall: "send",
  direct: true,
  setup(io, handle, operation) {
    const { bytes, sent } = operation;
    if (sent === 0) operation.total = bytes!.byteLength;
    const rest = sent === 0 ? bytes! : bytes!.subarray(sent);
    // A reset in the middle of a send with MSG_WAITALL gives a short count, and the error, which the kernel tells
    // once, is gone: the reader would see an end. Only what leads a chain has to go out in one.
    const flags = handle.leads ? MSG_WAITALL : 0;
    const result = queueSend(io, handle, operation as IoOperation<unknown>, rest, flags);
    if (result === QUEUED) handle.continueWith(operation as IoOperation<unknown>);
    return result;
  },
  convert() {},
  failed: noteSendError,
  cutShort(operation, sent) {
    operation.descriptor!.brokenAt = sent;
  },
});

function queueSend(
  io: Io,
  handle: Handle,
  operation: Pick<IoOperation<unknown>, "descriptor" | "argument">,
  bytes: Bytes,
  flags: number,
): number {
  const socket = operation.descriptor!;
  const holder = operation.argument as object | null;
  const { writer } = socket;
  if (writer !== null && writer !== handle && writer !== holder && !handle.follows(writer)) {
    throw socket.busy("send", "writer");
  }
  if (socket.brokenAt !== -1) socket.checkWritable("send");
  if (bytes.byteLength === 0) return countOfNone(bytes, "send");
  // What comes after it in a chain begins when all of it has gone out.
  const part = handle.leads ? bytes : roundOf(io.driver.memory, bytes);
  const address = handle.pin(part, true);
  io.driver.submit(handle, OP_SEND, socket.number, address, part.byteLength, 0, MSG_NOSIGNAL | flags, 0, 0);
  if (socket.exclusive && holder === null) socket.writer = handle;
  return QUEUED;
}
