/** mkdirat(2): makes a directory. */

import type { Operation } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import { OP_MKDIRAT } from "../../native/layout.ts";
import type { Handle } from "../handle.ts";
import { type AtOptions, checkPermissions, NO_PATH, pathKind, pathOperation } from "./at.ts";
import type { Path } from "./path.ts";

export interface MkdirOptions extends AtOptions {
  /** Permission bits before the umask. Default 0o777. */
  readonly permissions?: number;
}

/** Queues a mkdir. @see {@link mkdir} to wait. mkdir(2), since Linux 5.15 in a ring. */
export function setupMkdir(handle: Handle, path: Path, options?: MkdirOptions): void {
  pathOperation(MKDIR, path, NO_PATH, 0, permissionsOf(options), options).setUp(handle);
}

/**
 * Makes one directory; those above it must be there. After a kill it may exist, or not.
 *
 * @throws {IoError} with the path: `EEXIST`, `ENOENT`, `EACCES`, …
 */
export function mkdir(path: Path, options?: MkdirOptions): Operation<void> {
  return pathOperation(MKDIR, path, NO_PATH, 0, permissionsOf(options), options);
}

function permissionsOf(options: MkdirOptions | undefined): number {
  return checkPermissions(given(options, "permissions") ?? 0o777);
}

const MKDIR = pathKind({
  syscall: "mkdir",
  opcode: OP_MKDIRAT,
  since: "5.15",
  submit(io, handle, start, first, _second, operation) {
    io.driver.submit(handle, OP_MKDIRAT, start, first, operation.number, 0, 0, 0, 0);
  },
});
