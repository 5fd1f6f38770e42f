/** shutdown(2): says that no more is sent, or wanted. */
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import { OP_SHUTDOWN, SHUT_RD, SHUT_RDWR, SHUT_WR } from "../../native/layout.ts";
import { type Descriptor, SENDING_ENDED } from "../descriptor/descriptor.ts";
import type { Handle, IoOptions } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";

export type ShutdownHow = "read" | "write" | "both";

/** Queues a shutdown. @see {@link shutdown} to wait. shutdown(2). */
export function setupShutdown(
  handle: Handle,
  socket: Descriptor,
  how: ShutdownHow,
  options?: IoOptions,
): void {
  new IoOperation(SHUTDOWN, socket, null, howOf(how), null, options).setUp(handle);
}

/**
 * Ends one direction, or both: after `"write"` the peer reads the end, and answers can still be received. Sends are then refused
 * with a `ClosedError`. Once more is harmless. A kill comes too late to undo it.
 *
 * @throws {BusyError} when something is being sent: `"both"` ends that, `"write"` does not.
 */
export function shutdown(socket: Descriptor, how: ShutdownHow, options?: IoOptions): Operation<void> {
  return new IoOperation(SHUTDOWN, socket, null, howOf(how), null, options);
}

function howOf(how: ShutdownHow): number {
  if (how === "read") return SHUT_RD;
  if (how === "write") return SHUT_WR;
  if (how === "both") return SHUT_RDWR;
  throw new UsageError("COOP_ARGUMENT", `shutdown takes read, write or both, not ${describeValue(how)}`);
}

const SHUTDOWN: Kind<void> = new Kind<void>({
  syscall: "shutdown",
  direct: true,
  setup(io, handle, operation) {
    const socket = operation.descriptor!;
    const how = operation.number;
    // It would end what is being sent in the middle. "both" is for those who want that.
    if (how === SHUT_WR && socket.writer !== null && !handle.follows(socket.writer))
      throw socket.busy("shutdown", "writer");
    io.driver.submit(handle, OP_SHUTDOWN, socket.number, 0, how, 0, 0, 0, 0);
    if (how !== SHUT_RD && socket.exclusive && socket.brokenAt === -1) socket.brokenAt = SENDING_ENDED;
    return QUEUED;
  },
  convert() {},
  failed(handle) {
    // It is not connected, or the shutdown was cancelled before it began.
    const socket = handle.descriptor!;
    if (socket.brokenAt === SENDING_ENDED) socket.brokenAt = -1;
  },
});
