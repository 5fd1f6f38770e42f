/** pwrite(2), write(2): bytes to a file. */
import type { Operation } from "../coordinator/operation.ts";
import { OP_WRITE, OP_WRITE_FIXED } from "../native/layout.ts";
import { AllWait } from "./all-wait.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { currentIo, type Io } from "./io.ts";
import { IoWait } from "./io-wait.ts";
import { type Bytes, checkBytes } from "./memory.ts";
import { CURRENT, positionOf } from "./position.ts";

export interface WriteOptions extends IoOptions {
  /** Byte of the file to begin at; by default where the last one ended, or the end for an appending file. */
  readonly position?: number;
}

/**
 * Queues a write and returns at once; its completion releases the handle's coordinator. The result is the
 * count, which may be short. `bytes` are held, and must not change, until then.
 *
 * @throws {BusyError} when `handle` is pending. @throws {ClosedError} when `file` is closed.
 * @see {@link write} and {@link writeAll} to wait. pwrite(2).
 */
export function setupWrite(handle: Handle, file: Descriptor, bytes: Bytes, options?: WriteOptions): void {
  const checked = checkBytes(bytes, "write");
  const done = queueWrite(currentIo("setupWrite()"), handle, file, checked, positionOf(options), options);
  if (done === -1) handle.started(null);
  else handle.immediate(done);
}

/** Writes and gives the count. A write that has begun is not undone by a kill. */
export function write(file: Descriptor, bytes: Bytes, options?: WriteOptions): Operation<number> {
  return new Write(file, checkBytes(bytes, "write"), positionOf(options), options);
}

/**
 * Writes all of `bytes`. When it is cut short in the middle of a stream (no `position`), the descriptor is
 * broken for further writes; with a position the same bytes can simply be written again.
 */
export function writeAll(file: Descriptor, bytes: Bytes, options?: WriteOptions): Operation<void> {
  return new WriteAll(file, checkBytes(bytes, "writeAll"), positionOf(options), options);
}

function queueWrite(
  io: Io,
  handle: Handle,
  file: Descriptor,
  bytes: Bytes,
  position: number,
  options: WriteOptions | undefined,
): number {
  file.checkWritable("write");
  const driver = handle.prepare(io, "write", file, null, options);
  if (bytes.byteLength === 0) return 0;
  const address = handle.pin(bytes, true);
  const fixed = io.fixedBuffer(bytes);
  if (fixed !== -1) handle.bufferIndex = fixed;
  const opcode = fixed === -1 ? OP_WRITE : OP_WRITE_FIXED;
  driver.submit(handle, opcode, file.number, address, bytes.byteLength, position, 0, 0, 0);
  return -1;
}

class Write extends IoWait<number> {
  protected override get syscall(): string {
    return "write";
  }
  private readonly bytes: Bytes;
  private readonly position: number;
  constructor(file: Descriptor, bytes: Bytes, position: number, options: WriteOptions | undefined) {
    super(file, options);
    this.bytes = bytes;
    this.position = position;
  }
  protected override setup(io: Io, handle: Handle): number {
    return queueWrite(io, handle, this.descriptor!, this.bytes, this.position, this.options);
  }
  protected override convert(result: number): number {
    return result;
  }
}

class WriteAll extends AllWait {
  protected override get syscall(): string {
    return "write";
  }
  private readonly position: number;
  constructor(file: Descriptor, bytes: Bytes, position: number, options: WriteOptions | undefined) {
    super(file, bytes, options);
    this.position = position;
  }
  protected override queue(io: Io, handle: Handle, rest: Bytes): number {
    const position = this.position === CURRENT ? CURRENT : this.position + this.sent;
    return queueWrite(io, handle, this.descriptor!, rest, position, this.options);
  }
  protected override cutShort(sent: number): void {
    if (this.position === CURRENT) super.cutShort(sent);
  }
}
