/** fsync(2), fdatasync(2): waits until what was written is on the device. */

import type { Operation } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import { FSYNC_DATASYNC, OP_FSYNC } from "../../native/layout.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import { EDQUOT, EIO, ENOSPC } from "../errno.ts";
import type { Handle, IoOptions } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";

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
 * happened. An error means that data is lost, and the kernel tells it once: every later sync of the same
 * descriptor fails with it too. Open the file again, write the data again, and sync that.
 */
export function fsync(file: Descriptor, options?: FsyncOptions): Operation<void> {
  return new IoOperation(FSYNC, file, null, flagsOf(options), null, options);
}

function flagsOf(options: FsyncOptions | undefined): number {
  return given(options, "dataOnly") === true ? FSYNC_DATASYNC : 0;
}

const FSYNC: Kind<void> = new Kind<void>({
  syscall: "fsync",
  direct: true,
  setup(io, handle, operation) {
    const { syncError } = operation.descriptor!;
    if (syncError !== 0) return syncError;
    io.driver.submit(handle, OP_FSYNC, operation.descriptor!.number, 0, 0, 0, operation.number, 0, 0);
    return QUEUED;
  },
  convert() {},
  failed(handle, result) {
    if (LOSING.has(result)) handle.descriptor!.syncError = result;
  },
});

/** Errors that say that written data did not get to the device. Others say that nothing was tried. */
const LOSING: ReadonlySet<number> = new Set([-EIO, -ENOSPC, -EDQUOT]);
