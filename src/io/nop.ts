/** The empty operation: goes to the kernel and back, and does nothing. For measuring, and for tests. */
import type { Operation } from "../coordinator/operation.ts";
import { OP_NOP } from "../native/layout.ts";
import type { Handle } from "./handle.ts";
import { IoOperation, Kind, QUEUED } from "./io-operation.ts";

/** Queues a NOP. @see {@link nop} to wait. */
export function setupNop(handle: Handle): void {
  new IoOperation(NOP, null, null, 0, null, undefined).setUp(handle);
}

/** Waits for a trip through the ring. */
export function nop(): Operation<void> {
  return new IoOperation(NOP, null, null, 0, null, undefined);
}

const NOP: Kind<void> = new Kind<void>({
  syscall: "nop",
  setup(io, handle) {
    io.driver.submit(handle, OP_NOP, -1, 0, 0, 0, 0, 0, 0);
    return QUEUED;
  },
  convert() {},
});
