/** send(2): bytes to a socket. */
import type { Operation } from "../coordinator/operation.ts";
import { MSG_NOSIGNAL, MSG_WAITALL, OP_SEND } from "../native/layout.ts";
import { AllWait } from "./all-wait.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { currentIo, type Io } from "./io.ts";
import { IoWait } from "./io-wait.ts";
import { type Bytes, checkBytes } from "./memory.ts";

/**
 * Queues a send and returns at once; its completion releases the handle's coordinator. The result is the
 * count that went out, which may be short. `bytes` are held, and must not change, until then.
 *
 * @throws {BusyError} when `handle` is pending. @throws {ClosedError} when `socket` is closed or broken.
 * @see {@link send} and {@link sendAll} to wait. send(2).
 */
export function setupSend(handle: Handle, socket: Descriptor, bytes: Bytes, options?: IoOptions): void {
  const done = queueSend(currentIo("setupSend()"), handle, socket, checkBytes(bytes, "send"), 0, options);
  if (done === -1) handle.started(null);
  else handle.immediate(done);
}

/**
 * Sends what the socket takes and gives the count, at least 1 unless `bytes` is empty.
 *
 * @throws {IoError} what send(2) says; there is no SIGPIPE. @throws {DeadlineError} when the time was up.
 */
export function send(socket: Descriptor, bytes: Bytes, options?: IoOptions): Operation<number> {
  return new Send(socket, checkBytes(bytes, "send"), options);
}

/**
 * Sends all of `bytes`. When a kill, a timeout or an error cuts it short after some bytes went out, the
 * socket is broken for further sends: whoever came next would write into the middle of a message.
 *
 * @throws {IoError} what send(2) says. @throws {DeadlineError} when `options.timeout` was over first.
 */
export function sendAll(socket: Descriptor, bytes: Bytes, options?: IoOptions): Operation<void> {
  return new SendAll(socket, checkBytes(bytes, "sendAll"), options);
}

function queueSend(
  io: Io,
  handle: Handle,
  socket: Descriptor,
  bytes: Bytes,
  flags: number,
  options: IoOptions | undefined,
): number {
  socket.checkWritable("send");
  const driver = handle.prepare(io, "send", socket, null, options);
  if (bytes.byteLength === 0) return 0;
  const address = handle.pin(bytes, true);
  driver.submit(handle, OP_SEND, socket.number, address, bytes.byteLength, 0, MSG_NOSIGNAL | flags, 0, 0);
  return -1;
}

class Send extends IoWait<number> {
  protected override get syscall(): string {
    return "send";
  }
  private readonly bytes: Bytes;
  constructor(socket: Descriptor, bytes: Bytes, options: IoOptions | undefined) {
    super(socket, options);
    this.bytes = bytes;
  }
  protected override setup(io: Io, handle: Handle): number {
    return queueSend(io, handle, this.descriptor!, this.bytes, 0, this.options);
  }
  protected override convert(result: number): number {
    return result;
  }
}

class SendAll extends AllWait {
  protected override get syscall(): string {
    return "send";
  }
  protected override queue(io: Io, handle: Handle, rest: Bytes): number {
    return queueSend(io, handle, this.descriptor!, rest, MSG_WAITALL, this.options);
  }
}
