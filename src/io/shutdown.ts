/** shutdown(2): says that no more is sent, or wanted. */
import { UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation } from "../coordinator/operation.ts";
import { OP_SHUTDOWN, SHUT_RD, SHUT_RDWR, SHUT_WR } from "../native/layout.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { currentIo, type Io } from "./io.ts";
import { IoWait } from "./io-wait.ts";

export type ShutdownHow = "read" | "write" | "both";

/** Queues a shutdown. @see {@link shutdown} to wait. shutdown(2). */
export function setupShutdown(
  handle: Handle,
  socket: Descriptor,
  how: ShutdownHow,
  options?: IoOptions,
): void {
  queueShutdown(currentIo("setupShutdown()"), handle, socket, howOf(how), options);
  handle.started(null);
}

/** Ends one direction, or both: after `"write"` the peer reads the end, and answers can still be received. */
export function shutdown(socket: Descriptor, how: ShutdownHow, options?: IoOptions): Operation<void> {
  return new Shutdown(socket, howOf(how), options);
}

function howOf(how: ShutdownHow): number {
  if (how === "read") return SHUT_RD;
  if (how === "write") return SHUT_WR;
  if (how === "both") return SHUT_RDWR;
  throw new UsageError("COOP_ARGUMENT", `shutdown takes read, write or both, not ${describeValue(how)}`);
}

function queueShutdown(
  io: Io,
  handle: Handle,
  socket: Descriptor,
  how: number,
  options: IoOptions | undefined,
): void {
  const driver = handle.prepare(io, "shutdown", socket, null, options);
  driver.submit(handle, OP_SHUTDOWN, socket.number, 0, how, 0, 0, 0, 0);
}

class Shutdown extends IoWait<void> {
  protected override get syscall(): string {
    return "shutdown";
  }
  private readonly how: number;
  constructor(socket: Descriptor, how: number, options: IoOptions | undefined) {
    super(socket, options);
    this.how = how;
  }
  protected override setup(io: Io, handle: Handle): number {
    queueShutdown(io, handle, this.descriptor!, this.how, this.options);
    return -1;
  }
  protected override convert(): void {}
}
