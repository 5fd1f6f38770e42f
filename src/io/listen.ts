/** listen(2). */
import { UsageError } from "../coordinator/errors.ts";
import type { Operation } from "../coordinator/operation.ts";
import { OP_LISTEN } from "../native/layout.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { currentIo, type Io } from "./io.ts";
import { IoWait } from "./io-wait.ts";

/** Connections the system completes before they are accepted; it has a limit of its own, net.core.somaxconn. */
export const BACKLOG_DEFAULT = 511;

/** Queues a listen. @see {@link listen} to wait. listen(2), since Linux 6.11 in a ring. */
export function setupListen(
  handle: Handle,
  socket: Descriptor,
  backlog: number = BACKLOG_DEFAULT,
  options?: IoOptions,
): void {
  queueListen(currentIo("setupListen()"), handle, socket, checkBacklog(backlog), options);
  handle.started(null);
}

/** Makes a bound socket ready for {@link accept}. */
export function listen(
  socket: Descriptor,
  backlog: number = BACKLOG_DEFAULT,
  options?: IoOptions,
): Operation<void> {
  return new Listen(socket, checkBacklog(backlog), options);
}

function checkBacklog(backlog: number): number {
  if (Number.isInteger(backlog) && backlog >= 0 && backlog <= 0x7fff_ffff) return backlog;
  throw new UsageError("COOP_ARGUMENT", `a backlog is a whole number from 0 up, not ${String(backlog)}`);
}

function queueListen(
  io: Io,
  handle: Handle,
  socket: Descriptor,
  backlog: number,
  options: IoOptions | undefined,
): void {
  const driver = handle.prepare(io, "listen", socket, null, options);
  driver.submit(handle, OP_LISTEN, socket.number, 0, backlog, 0, 0, 0, 0);
}

class Listen extends IoWait<void> {
  protected override get syscall(): string {
    return "listen";
  }
  private readonly backlog: number;
  constructor(socket: Descriptor, backlog: number, options: IoOptions | undefined) {
    super(socket, options);
    this.backlog = backlog;
  }
  protected override setup(io: Io, handle: Handle): number {
    queueListen(io, handle, this.descriptor!, this.backlog, this.options);
    return -1;
  }
  protected override convert(): void {}
}
