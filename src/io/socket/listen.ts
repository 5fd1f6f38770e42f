/** listen(2). */
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import { OP_LISTEN } from "../../native/layout.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import type { Handle, IoOptions } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";

/** Connections the system completes before they are accepted; it has a limit of its own, net.core.somaxconn. */
export const BACKLOG_DEFAULT = 511;

/** Queues a listen. @see {@link listenSocket} to wait. listen(2); before Linux 6.11 the plain call, at once. */
export function setupListen(
  handle: Handle,
  socket: Descriptor,
  backlog: number = BACKLOG_DEFAULT,
  options?: IoOptions,
): void {
  new IoOperation(LISTEN, socket, null, checkBacklog(backlog), null, options).setUp(handle);
}

/** Makes a bound socket ready for `accept`. `listen` does all of it at once. */
export function listenSocket(
  socket: Descriptor,
  backlog: number = BACKLOG_DEFAULT,
  options?: IoOptions,
): Operation<void> {
  return new IoOperation(LISTEN, socket, null, checkBacklog(backlog), null, options);
}

function checkBacklog(backlog: number): number {
  if (Number.isInteger(backlog) && backlog >= 0 && backlog <= 0x7fff_ffff) return backlog;
  throw new UsageError(
    "COOP_ARGUMENT",
    `a backlog is a whole number from 0 up, not ${describeValue(backlog)}`,
  );
}

const LISTEN: Kind<void> = new Kind<void>({
  syscall: "listen",
  direct: true,
  setup(io, handle, operation) {
    const descriptor = operation.descriptor!;
    const { number } = descriptor;
    if (io.driver.lacks(OP_LISTEN)) {
      descriptor.checkOrdinary("listen");
      return io.driver.calls.listenNow(number, operation.number);
    }
    io.driver.submit(handle, OP_LISTEN, number, 0, operation.number, 0, 0, 0, 0);
    return QUEUED;
  },
  convert() {},
});
