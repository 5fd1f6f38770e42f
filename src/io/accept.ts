/** accept(2). */
import type { Operation } from "../coordinator/operation.ts";
import { OP_ACCEPT, SOCK_CLOEXEC } from "../native/layout.ts";
import { closeOrphan, type Descriptor } from "./descriptor.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { currentIo, type Io } from "./io.ts";
import { IoWait } from "./io-wait.ts";
import { Socket } from "./stream-socket.ts";

/**
 * Queues an accept. The result is the connection's number, for `adoptSocket`. When the task ends
 * first, a connection that arrives is closed.
 *
 * @see {@link accept} to wait. accept(2).
 */
export function setupAccept(handle: Handle, listener: Descriptor, options?: IoOptions): void {
  queueAccept(currentIo("setupAccept()"), handle, listener, options);
  handle.started(null);
}

/**
 * Waits for a connection. One that arrives after the task was killed is closed.
 *
 * @throws {IoError} what accept(2) says: `EMFILE`, `ECONNABORTED`, …
 */
export function accept(listener: Descriptor, options?: IoOptions): Operation<Socket> {
  return new Accept(listener, options);
}

function queueAccept(io: Io, handle: Handle, listener: Descriptor, options: IoOptions | undefined): void {
  const driver = handle.prepare(io, "accept", listener, closeOrphan, options);
  driver.submit(handle, OP_ACCEPT, listener.number, 0, 0, 0, SOCK_CLOEXEC, 0, 0);
}

class Accept extends IoWait<Socket> {
  protected override get syscall(): string {
    return "accept";
  }
  protected override setup(io: Io, handle: Handle): number {
    queueAccept(io, handle, this.descriptor!, this.options);
    return -1;
  }
  protected override convert(result: number, io: Io): Socket {
    return new Socket(io, result);
  }
}
