/** statx(2): what the file system knows about a file. */

import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import { DONE } from "../../handle/handle.ts";
import * as abi from "../../native/layout.ts";
import { Descriptor } from "../descriptor/descriptor.ts";
import type { Handle } from "../handle.ts";
import { checkHandle, IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { allocate } from "../memory/memory.ts";
import { type AtOptions, NO_PATH, PathArgument, pinPaths, startOf } from "./at.ts";
import type { Path } from "./path.ts";

export type FileType =
  | "file"
  | "directory"
  | "symlink"
  | "socket"
  | "fifo"
  | "character"
  | "block"
  | "unknown";

/** What {@link stat} gives. Times are milliseconds since 1970, with fractions. */
export interface FileStat {
  readonly type: FileType;
  readonly size: number;
  /** Permission bits, 0 to 0o7777. */
  readonly permissions: number;
  readonly uid: number;
  readonly gid: number;
  /** Names the file has. */
  readonly links: number;
  readonly inode: bigint;
  /** The device it lies on, as `major:minor`; with the inode it tells files apart. */
  readonly device: string;
  /** 512-byte blocks it takes up. */
  readonly blocks: number;
  /** The size of a good read or write. */
  readonly blockSize: number;
  readonly accessed: number;
  readonly modified: number;
  /** The last change of what is told here. */
  readonly changed: number;
  /** Null where the file system does not know. */
  readonly created: number | null;
}

export interface StatOptions extends AtOptions {
  /** Looks at a symbolic link itself. Default false: at what it leads to. */
  readonly link?: boolean;
}

/** Queues a statx; {@link statOf} gives what it found. @see {@link stat} to wait. statx(2). */
export function setupStat(handle: Handle, file: Path | Descriptor, options?: StatOptions): void {
  statOperation(file, options).setUp(handle);
}

/**
 * What a handle's stat found.
 *
 * @throws {UsageError} `COOP_NOT_ENDED` unless its last operation was a stat that has succeeded.
 */
export function statOf(handle: Handle): FileStat {
  checkHandle(handle, "stat");
  if (handle.kind === (STAT as Kind<unknown>) && handle.state === DONE && handle.outcome === 0) {
    return decode(handle.bytes!);
  }
  throw new UsageError("COOP_NOT_ENDED", "the handle has no stat that has succeeded");
}

/**
 * Looks at a file, given by its path or open. Nothing is changed, so a kill loses nothing.
 *
 * @throws {IoError} with the path: `ENOENT`, `EACCES`, `ENOTDIR`, …
 */
export function stat(file: Path | Descriptor, options?: StatOptions): Operation<FileStat> {
  return statOperation(file, options);
}

function statOperation(file: Path | Descriptor, options: StatOptions | undefined): IoOperation<FileStat> {
  const found = allocate(abi.STATX_BYTES);
  if (file instanceof Descriptor) {
    if (given(options, "at") !== undefined) {
      throw new UsageError(
        "COOP_ARGUMENT",
        "stat takes a directory for `at` with a path, not with an open file",
      );
    }
    return new IoOperation(STAT, file, found, abi.AT_EMPTY_PATH, null, options);
  }
  const follow = given(options, "link") === true ? abi.AT_SYMLINK_NOFOLLOW : 0;
  const argument = new PathArgument(file, NO_PATH, 0);
  const at = given(options, "at") ?? null;
  if (at !== null && !(at instanceof Descriptor)) {
    throw new UsageError("COOP_DESCRIPTOR", `at is an open directory, not ${describeValue(at)}`);
  }
  return new IoOperation(STAT, at, found, follow, argument, options);
}

const STAT: Kind<FileStat> = new Kind<FileStat>({
  syscall: "stat",
  setup(io, handle, operation) {
    const { argument, number: flags } = operation;
    const into = handle.pin(operation.bytes!, false);
    const path = argument === null ? emptyPath(handle) : pinPaths(handle, argument as PathArgument);
    const mask = abi.STATX_BASIC_STATS | abi.STATX_BTIME;
    io.driver.submit(handle, abi.OP_STATX, startOf(operation), path, mask, into, flags, 0, 0);
    return QUEUED;
  },
  convert: (_result, operation) => decode(operation.bytes!),
  details: (operation) =>
    operation.argument === null ? undefined : { path: (operation.argument as PathArgument).text },
});

/** With an open file, the path is there and empty. */
function emptyPath(handle: Handle): number {
  const block = handle.argument(1);
  block.bytes[0] = 0;
  return block.address;
}

const TYPES: ReadonlyMap<number, FileType> = new Map([
  [0o10, "file"],
  [0o4, "directory"],
  [0o12, "symlink"],
  [0o14, "socket"],
  [0o1, "fifo"],
  [0o2, "character"],
  [0o6, "block"],
]);

function decode(bytes: Uint8Array): FileStat {
  const view = new DataView(bytes.buffer, bytes.byteOffset, abi.STATX_BYTES);
  const mode = view.getUint16(abi.STATX_OFFSET_MODE, true);
  const time = (offset: number): number =>
    Number(view.getBigInt64(offset, true)) * 1000 +
    view.getUint32(offset + abi.STATX_TIMESTAMP_NSEC, true) / 1e6;
  const known = view.getUint32(abi.STATX_OFFSET_MASK, true);
  const major = view.getUint32(abi.STATX_OFFSET_DEV_MAJOR, true);
  const minor = view.getUint32(abi.STATX_OFFSET_DEV_MINOR, true);
  return {
    type: TYPES.get(mode >> 12) ?? "unknown",
    size: Number(view.getBigUint64(abi.STATX_OFFSET_SIZE, true)),
    permissions: mode & 0o7777,
    uid: view.getUint32(abi.STATX_OFFSET_UID, true),
    gid: view.getUint32(abi.STATX_OFFSET_GID, true),
    links: view.getUint32(abi.STATX_OFFSET_NLINK, true),
    inode: view.getBigUint64(abi.STATX_OFFSET_INO, true),
    device: `${major}:${minor}`,
    blocks: Number(view.getBigUint64(abi.STATX_OFFSET_BLOCKS, true)),
    blockSize: view.getUint32(abi.STATX_OFFSET_BLKSIZE, true),
    accessed: time(abi.STATX_OFFSET_ATIME),
    modified: time(abi.STATX_OFFSET_MTIME),
    changed: time(abi.STATX_OFFSET_CTIME),
    created: (known & abi.STATX_BTIME) === 0 ? null : time(abi.STATX_OFFSET_BTIME),
  };
}
