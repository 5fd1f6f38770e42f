/** open(2). */

import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import {
  AT_FDCWD,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  OP_OPENAT,
} from "../../native/layout.ts";
import { closeOrphan, type Descriptor } from "../descriptor/descriptor.ts";
import type { DirectOptions } from "../descriptor/direct.ts";
import type { Handle } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { File } from "./file.ts";
import { type Path, pathBytes, pathText, pinPath } from "./path.ts";

/** As in node:fs: read, write (created, emptied), append (created); `+` is both ways, `x` must not exist. */
export type OpenMode = "r" | "r+" | "w" | "wx" | "w+" | "wx+" | "a" | "ax" | "a+" | "ax+";

export interface OpenOptions extends DirectOptions {
  /** Permission bits of a file that is created, before the umask. Default 0o666. */
  readonly permissions?: number;
  /** An open directory: where a relative path begins. Default: the working directory. */
  readonly at?: Descriptor;
  /** A symbolic link at the end of the path is an error (`ELOOP`). Default false. */
  readonly noFollow?: boolean;
}

const PERMISSIONS_DEFAULT = 0o666;

const MODES: ReadonlyMap<string, number> = new Map([
  ["r", O_RDONLY],
  ["r+", O_RDWR],
  ["w", O_WRONLY | O_CREAT | O_TRUNC],
  ["wx", O_WRONLY | O_CREAT | O_TRUNC | O_EXCL],
  ["w+", O_RDWR | O_CREAT | O_TRUNC],
  ["wx+", O_RDWR | O_CREAT | O_TRUNC | O_EXCL],
  ["a", O_WRONLY | O_CREAT | O_APPEND],
  ["ax", O_WRONLY | O_CREAT | O_APPEND | O_EXCL],
  ["a+", O_RDWR | O_CREAT | O_APPEND],
  ["ax+", O_RDWR | O_CREAT | O_APPEND | O_EXCL],
]);

/**
 * Queues an open. The result is the file's number, for `adoptFile`; it is not inherited by
 * child processes.
 *
 * @see {@link open} to wait. open(2).
 */
export function setupOpen(handle: Handle, path: Path, mode: OpenMode = "r", options?: OpenOptions): void {
  openOperation(path, mode, options).setUp(handle);
}

/**
 * Opens a file. One that is opened after the task was killed is closed.
 *
 * @throws {IoError} with the path: `ENOENT`, `EACCES`, `EMFILE`, …
 */
export function open(path: Path, mode: OpenMode = "r", options?: OpenOptions): Operation<File> {
  return openOperation(path, mode, options);
}

function openOperation(path: Path, mode: OpenMode, options: OpenOptions | undefined): IoOperation<File> {
  const flags = flagsOf(mode) | (given(options, "noFollow") === true ? O_NOFOLLOW : 0);
  const direct = given(options, "direct") === true;
  const argument: OpenArgument = { bytes: pathBytes(path), text: pathText(path), flags, direct };
  return new IoOperation(OPEN, given(options, "at") ?? null, null, permissionsOf(options), argument, options);
}

/** @internal The O_* flags of a mode. @throws {UsageError} `COOP_ARGUMENT` when it is none. */
export function flagsOf(mode: OpenMode): number {
  const flags = MODES.get(mode);
  if (flags !== undefined) return flags | O_CLOEXEC;
  throw new UsageError(
    "COOP_ARGUMENT",
    `a mode is one of ${[...MODES.keys()].join(" ")}, not ${describeValue(mode)}`,
  );
}

/** @internal */
export function permissionsOf(options: OpenOptions | undefined): number {
  const permissions = given(options, "permissions") ?? PERMISSIONS_DEFAULT;
  if (Number.isInteger(permissions) && permissions >= 0 && permissions <= 0o7777) return permissions;
  throw new UsageError("COOP_ARGUMENT", "permissions are a number from 0 to 0o7777");
}

interface OpenArgument {
  readonly bytes: Uint8Array;
  readonly text: string;
  readonly flags: number;
  readonly direct: boolean;
}

const OPEN: Kind<File> = new Kind({
  syscall: "open",
  setup(io, handle, operation) {
    const { bytes, flags, direct } = operation.argument as OpenArgument;
    const address = pinPath(handle, bytes);
    const start = operation.descriptor === null ? AT_FDCWD : operation.descriptor.number;
    const { number: permissions } = operation;
    if (direct) {
      const into = handle.makeDirect();
      io.driver.submit(handle, OP_OPENAT, start, address, permissions, 0, flags & ~O_CLOEXEC, 0, into);
    } else io.driver.submit(handle, OP_OPENAT, start, address, permissions, 0, flags, 0, 0);
    return QUEUED;
  },
  convert: (result, operation, io) =>
    new File(io, result, { path: (operation.argument as OpenArgument).text }),
  reclaim: closeOrphan,
  details: (operation) => ({ path: (operation.argument as OpenArgument).text }),
});
