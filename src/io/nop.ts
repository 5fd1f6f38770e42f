/** The empty operation: goes to the kernel and back, and does nothing. For measuring, and for tests. */
import type { Operation } from "../coordinator/operation.ts";
import { OP_NOP } from "../native/layout.ts";
import type { Handle } from "./handle.ts";
import { currentIo, type Io } from "./io.ts";
import { IoWait } from "./io-wait.ts";

/** Queues a NOP. @see {@link nop} to wait. */
export function setupNop(handle: Handle): void {
  queueNop(currentIo("setupNop()"), handle);
  handle.started(null);
}

/** Waits for a trip through the ring. */
export function nop(): Operation<void> {
  return new Nop(null, undefined);
}

function queueNop(io: Io, handle: Handle): void {
  const driver = handle.prepare(io, "nop", null, null, undefined);
  driver.submit(handle, OP_NOP, -1, 0, 0, 0, 0, 0, 0);
}

class Nop extends IoWait<void> {
  protected override get syscall(): string {
    return "nop";
  }
  protected override setup(io: Io, handle: Handle): number {
    queueNop(io, handle);
    return -1;
  }
  protected override convert(): void {}
}
