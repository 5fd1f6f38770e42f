/** What a read and a write have in common: bytes, a place in a file, and a buffer that may be a registered one. */
import { OP_READ, OP_READ_FIXED, OP_WRITE, OP_WRITE_FIXED } from "../../native/layout.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import type { Handle } from "../handle.ts";
import type { Io } from "../io.ts";
import { ioprioOf } from "../io-priority.ts";
import type { Bytes } from "../memory/memory.ts";

/** Queues a transfer of `part`, which lies in `bytes`, between memory and `file`. */
export function submitTransfer(
  io: Io,
  handle: Handle,
  writes: boolean,
  file: Descriptor,
  bytes: Bytes,
  part: Bytes,
  position: number,
): void {
  const address = handle.pin(part, writes);
  const fixed = io.fixedBuffer(bytes);
  if (fixed !== -1) handle.bufferIndex = fixed;
  const opcode = writes ? (fixed === -1 ? OP_WRITE : OP_WRITE_FIXED) : fixed === -1 ? OP_READ : OP_READ_FIXED;
  const priority = ioprioOf(handle.urgency);
  io.driver.submit(handle, opcode, file.number, address, part.byteLength, position, 0, priority, 0);
}
