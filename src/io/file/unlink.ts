/** unlinkat(2): removes a name of a file, or an empty directory. */
import type { Operation } from "../../coordinator/operation.ts";
import { AT_REMOVEDIR, OP_UNLINKAT } from "../../native/layout.ts";
import type { Handle } from "../handle.ts";
import type { IoOperation } from "../io-operation.ts";
import {
  type AtOptions,
  NO_PATH,
  type PathArgument,
  type PathKindSource,
  pathKind,
  pathOperation,
} from "./at.ts";
import type { Path } from "./path.ts";

/** Queues an unlink. @see {@link unlink} to wait. unlink(2), since Linux 5.11 in a ring. */
export function setupUnlink(handle: Handle, path: Path, options?: AtOptions): void {
  pathOperation(UNLINK, path, NO_PATH, 0, 0, options).setUp(handle);
}

/**
 * Removes the name. A file that is open stays until its last descriptor is closed. After a kill the name may
 * be gone, or not.
 *
 * @throws {IoError} with the path: `ENOENT`, `EISDIR`, `EACCES`, …
 */
export function unlink(path: Path, options?: AtOptions): Operation<void> {
  return pathOperation(UNLINK, path, NO_PATH, 0, 0, options);
}

/** Queues the removal of an empty directory. @see {@link rmdir} to wait. rmdir(2). */
export function setupRmdir(handle: Handle, path: Path, options?: AtOptions): void {
  pathOperation(RMDIR, path, NO_PATH, AT_REMOVEDIR, 0, options).setUp(handle);
}

/**
 * Removes an empty directory. After a kill it may be gone, or not.
 *
 * @throws {IoError} with the path: `ENOTEMPTY`, `ENOENT`, `ENOTDIR`, …
 */
export function rmdir(path: Path, options?: AtOptions): Operation<void> {
  return pathOperation(RMDIR, path, NO_PATH, AT_REMOVEDIR, 0, options);
}

const submit: PathKindSource["submit"] = (
  io,
  handle,
  start,
  first,
  _second,
  operation: IoOperation<void>,
) => {
  const { flags } = operation.argument as PathArgument;
  io.driver.submit(handle, OP_UNLINKAT, start, first, 0, 0, flags, 0, 0);
};
const UNLINK = pathKind({ syscall: "unlink", opcode: OP_UNLINKAT, since: "5.11", submit });
const RMDIR = pathKind({ syscall: "rmdir", opcode: OP_UNLINKAT, since: "5.11", submit });
