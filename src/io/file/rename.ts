/** renameat2(2): gives a file another name. */

import { UsageError } from "../../coordinator/errors.ts";
import type { Operation } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import { OP_RENAMEAT, RENAME_EXCHANGE, RENAME_NOREPLACE } from "../../native/layout.ts";
import type { Handle } from "../handle.ts";
import type { IoOperation } from "../io-operation.ts";
import { type AtOptions, type PathArgument, pathKind, pathOperation } from "./at.ts";
import type { Path } from "./path.ts";

export interface RenameOptions extends AtOptions {
  /** What becomes of a file that has the new name already: `"replace"` (default), `"fail"`, or `"exchange"`. */
  readonly existing?: "replace" | "fail" | "exchange";
}

/** Queues a rename. @see {@link rename} to wait. rename(2), since Linux 5.11 in a ring. */
export function setupRename(handle: Handle, from: Path, to: Path, options?: RenameOptions): void {
  renameOperation(from, to, options).setUp(handle);
}

/**
 * Renames a file or a directory, in one step that nobody sees half done. `at` holds for both paths. After a
 * kill it has happened, or not.
 *
 * @throws {IoError} with `path` and `dest`: `ENOENT`, `EXDEV`, `EEXIST`, …
 */
export function rename(from: Path, to: Path, options?: RenameOptions): Operation<void> {
  return renameOperation(from, to, options);
}

function renameOperation(from: Path, to: Path, options: RenameOptions | undefined): IoOperation<void> {
  return pathOperation(RENAME, from, to, flagsOf(options), 0, options);
}

function flagsOf(options: RenameOptions | undefined): number {
  const existing = given(options, "existing") ?? "replace";
  if (existing === "replace") return 0;
  if (existing === "fail") return RENAME_NOREPLACE;
  if (existing === "exchange") return RENAME_EXCHANGE;
  throw new UsageError("COOP_ARGUMENT", `existing is "replace", "fail" or "exchange"`);
}

const RENAME = pathKind({
  syscall: "rename",
  opcode: OP_RENAMEAT,
  since: "5.11",
  submit(io, handle, start, first, second, operation) {
    const { flags } = operation.argument as PathArgument;
    io.driver.submit(handle, OP_RENAMEAT, start, first, start, second, flags, 0, 0);
  },
});
