/** linkat(2), symlinkat(2): more names for a file. */
import type { Operation } from "../../coordinator/operation.ts";
import { OP_LINKAT, OP_SYMLINKAT } from "../../native/layout.ts";
import type { Handle } from "../handle.ts";
import { type AtOptions, pathKind, pathOperation } from "./at.ts";
import type { Path } from "./path.ts";

/** Queues a link. @see {@link link} to wait. link(2), since Linux 5.15 in a ring. */
export function setupLink(handle: Handle, existing: Path, path: Path, options?: AtOptions): void {
  pathOperation(LINK, existing, path, 0, 0, options).setUp(handle);
}

/**
 * Gives the file at `existing` the name `path` too. `at` holds for both. After a kill it has happened, or not.
 *
 * @throws {IoError} with `path` and `dest`: `EEXIST`, `EXDEV`, …
 */
export function link(existing: Path, path: Path, options?: AtOptions): Operation<void> {
  return pathOperation(LINK, existing, path, 0, 0, options);
}

/** Queues a symlink. @see {@link symlink} to wait. symlink(2), since Linux 5.15 in a ring. */
export function setupSymlink(handle: Handle, target: Path, path: Path, options?: AtOptions): void {
  pathOperation(SYMLINK, target, path, 0, 0, options).setUp(handle);
}

/**
 * Makes a symbolic link at `path` that says `target`, which need not exist. After a kill it has happened, or
 * not.
 *
 * @throws {IoError} with `path` and `dest`: `EEXIST`, `EACCES`, …
 */
export function symlink(target: Path, path: Path, options?: AtOptions): Operation<void> {
  return pathOperation(SYMLINK, target, path, 0, 0, options);
}

const LINK = pathKind({
  syscall: "link",
  opcode: OP_LINKAT,
  since: "5.15",
  submit(io, handle, start, first, second) {
    io.driver.submit(handle, OP_LINKAT, start, first, start, second, 0, 0, 0);
  },
});

const SYMLINK = pathKind({
  syscall: "symlink",
  opcode: OP_SYMLINKAT,
  since: "5.15",
  submit(io, handle, start, first, second) {
    io.driver.submit(handle, OP_SYMLINKAT, start, first, 0, second, 0, 0, 0);
  },
});
