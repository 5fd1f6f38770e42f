/** shutdown(2): says that no more is sent, or wanted. */
import { UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation } from "../coordinator/operation.ts";
import { OP_SHUTDOWN, SHUT_RD, SHUT_RDWR, SHUT_WR } from "../native/layout.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { IoOperation, Kind, QUEUED } from "./io-operation.ts";

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

/** Ends one direction, or both: after `"write"` the peer reads the end, and answers can still be received. */
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
  setup(io, handle, operation) {
    io.driver.submit(handle, OP_SHUTDOWN, operation.descriptor!.number, 0, operation.number, 0, 0, 0, 0);
    return QUEUED;
  },
  convert() {},
});
