/** pread(2), read(2): bytes from a file. */
import type { Operation } from "../coordinator/operation.ts";
import { OP_READ, OP_READ_FIXED } from "../native/layout.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { currentIo, type Io } from "./io.ts";
import { IoWait } from "./io-wait.ts";
import { type Bytes, checkBytes } from "./memory.ts";
import { CURRENT, positionOf } from "./position.ts";
import { keepReceived } from "./recv.ts";

export interface ReadOptions extends IoOptions {
  /** Byte of the file to begin at; by default where the last read or write ended, as for a pipe. */
  readonly position?: number;
}

/**
 * Queues a read and returns at once; its completion releases the handle's coordinator. `into` is held until
 * the last completion, even if the task is killed.
 *
 * @throws {BusyError} when `handle` is pending. @throws {ClosedError} when `file` is closed.
 * @see {@link read} to wait. pread(2).
 */
export function setupRead(handle: Handle, file: Descriptor, into: Bytes, options?: ReadOptions): void {
  const bytes = checkBytes(into, "read");
  const done = queueRead(currentIo("setupRead()"), handle, file, bytes, positionOf(options), options);
  if (done === -1) handle.started(null);
  else handle.immediate(done);
}

/**
 * Reads and gives the count, 0 at the end of the file.
 *
 * @throws {IoError} what pread(2) says. @throws {DeadlineError} when `options.timeout` was over first.
 */
export function read(file: Descriptor, into: Bytes, options?: ReadOptions): Operation<number> {
  return new Read(file, checkBytes(into, "read"), positionOf(options), options);
}

function queueRead(
  io: Io,
  handle: Handle,
  file: Descriptor,
  into: Bytes,
  position: number,
  options: ReadOptions | undefined,
): number {
  // Bytes taken from a place in the file can be read again; bytes taken from a stream cannot.
  const streaming = position === CURRENT;
  const driver = handle.prepare(io, "read", file, streaming ? keepReceived : null, options);
  if (into.byteLength === 0) return 0;
  if (streaming && file.unread !== null) return file.takeUnread(into);
  const address = handle.pin(into, false);
  const fixed = io.fixedBuffer(into);
  if (fixed !== -1) handle.bufferIndex = fixed;
  const opcode = fixed === -1 ? OP_READ : OP_READ_FIXED;
  driver.submit(handle, opcode, file.number, address, into.byteLength, position, 0, 0, 0);
  return -1;
}

class Read extends IoWait<number> {
  protected override get syscall(): string {
    return "read";
  }
  private readonly into: Bytes;
  private readonly position: number;
  constructor(file: Descriptor, into: Bytes, position: number, options: ReadOptions | undefined) {
    super(file, options);
    this.into = into;
    this.position = position;
  }
  protected override setup(io: Io, handle: Handle): number {
    return queueRead(io, handle, this.descriptor!, this.into, this.position, this.options);
  }
  protected override convert(result: number): number {
    return result;
  }
}
