/** fsync(2), fdatasync(2): waits until what was written is on the device. */
import type { Operation } from "../coordinator/operation.ts";
import { FSYNC_DATASYNC, OP_FSYNC } from "../native/layout.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { IoOperation, Kind, QUEUED } from "./io-operation.ts";

export interface FsyncOptions extends IoOptions {
  /** Only the data and what is needed to find it, as fdatasync(2) does. Default false. */
  readonly dataOnly?: boolean;
}

/** Queues an fsync. @see {@link fsync} to wait. fsync(2). */
export function setupFsync(handle: Handle, file: Descriptor, options?: FsyncOptions): void {
  new IoOperation(FSYNC, file, null, flagsOf(options), null, options).setUp(handle);
}

/**
 * Waits until everything written to the file before is on the device. After a kill it may or may not have
 * happened. An error means that data may be lost: writing it again and syncing is the only cure.
 */
export function fsync(file: Descriptor, options?: FsyncOptions): Operation<void> {
  return new IoOperation(FSYNC, file, null, flagsOf(options), null, options);
}

function flagsOf(options: FsyncOptions | undefined): number {
  return options?.dataOnly === true ? FSYNC_DATASYNC : 0;
}

const FSYNC: Kind<void> = new Kind<void>({
  syscall: "fsync",
  setup(io, handle, operation) {
    io.driver.submit(handle, OP_FSYNC, operation.descriptor!.number, 0, 0, 0, operation.number, 0, 0);
    return QUEUED;
  },
  convert() {},
});
