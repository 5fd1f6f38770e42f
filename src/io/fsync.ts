/** fsync(2), fdatasync(2): waits until what was written is on the device. */
import type { Operation } from "../coordinator/operation.ts";
import { FSYNC_DATASYNC, OP_FSYNC } from "../native/layout.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { currentIo, type Io } from "./io.ts";
import { IoWait } from "./io-wait.ts";

export interface FsyncOptions extends IoOptions {
  /** Only the data and what is needed to find it, as fdatasync(2) does. Default false. */
  readonly dataOnly?: boolean;
}

/** Queues an fsync. @see {@link fsync} to wait. fsync(2). */
export function setupFsync(handle: Handle, file: Descriptor, options?: FsyncOptions): void {
  queueFsync(currentIo("setupFsync()"), handle, file, options);
  handle.started(null);
}

/**
 * Waits until everything written to the file before is on the device. After a kill it may or may not have
 * happened. An error means that data may be lost: writing it again and syncing is the only cure.
 */
export function fsync(file: Descriptor, options?: FsyncOptions): Operation<void> {
  return new Fsync(file, options);
}

function queueFsync(io: Io, handle: Handle, file: Descriptor, options: FsyncOptions | undefined): void {
  const driver = handle.prepare(io, "fsync", file, null, options);
  const flags = options?.dataOnly === true ? FSYNC_DATASYNC : 0;
  driver.submit(handle, OP_FSYNC, file.number, 0, 0, 0, flags, 0, 0);
}

class Fsync extends IoWait<void> {
  protected override get syscall(): string {
    return "fsync";
  }
  private readonly flags: FsyncOptions | undefined;
  constructor(file: Descriptor, options: FsyncOptions | undefined) {
    super(file, options);
    this.flags = options;
  }
  protected override setup(io: Io, handle: Handle): number {
    queueFsync(io, handle, this.descriptor!, this.flags);
    return -1;
  }
  protected override convert(): void {}
}
