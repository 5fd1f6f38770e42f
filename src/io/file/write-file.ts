/** Writing whole files: in place, or so that nobody ever sees half of one. */

import { randomBytes } from "node:crypto";
import { UsageError } from "../../coordinator/errors.ts";
import { shield } from "../../coordinator/kill/shield.ts";
import { describeValue, type Operation, op } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known, ownOf, pick } from "../../coordinator/options.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import { ENOENT, IoError } from "../errno.ts";
import { type Bytes, checkBytes } from "../memory/memory.ts";
import { writeAll } from "../stream/write.ts";
import { type Directory, openDirectory } from "./directory.ts";
import { fsync } from "./fsync.ts";
import { type OpenMode, open } from "./open.ts";
import { type Path, pathBytes } from "./path.ts";
import { stat } from "./stat.ts";
import { unlink } from "./unlink.ts";

export interface WriteFileOptions {
  /** An open directory: where a relative path begins. */
  readonly at?: Descriptor;
  /** How it is opened. Default `"w"`: created, or emptied. `"a"` appends. */
  readonly mode?: OpenMode;
  /** Permission bits of a file that is created, before the umask. Default 0o666. */
  readonly permissions?: number;
  /** Waits until the bytes are on the device. Default false. */
  readonly sync?: boolean;
}

const KNOWN: Known<WriteFileOptions> = { at: true, mode: true, permissions: true, sync: true };

/**
 * Writes a file in place. When it is cut short by a kill or an error the file holds a part of the bytes:
 * {@link writeFileAtomic} never leaves that.
 *
 * @throws {IoError} with the path: `ENOENT`, `EACCES`, `ENOSPC`, …
 */
export const writeFile: (path: Path, data: Bytes | string, options?: WriteFileOptions) => Operation<void> =
  op(function* writeFile(path: Path, data: Bytes | string, options?: WriteFileOptions) {
    const bytes = bytesOf(data);
    checkOptions(options, "writeFile", KNOWN);
    const { mode, sync, at, permissions } = ownOf(options);
    const file = yield* open(path, mode ?? "w", definedOnly(at, permissions));
    try {
      yield* writeAll(file, bytes);
      if (sync === true) yield* fsync(file);
    } finally {
      file[Symbol.dispose]();
    }
  });

export interface WriteFileAtomicOptions {
  /** An open directory: where a relative path begins. */
  readonly at?: Descriptor;
  /** Permission bits before the umask. Default: those of the file that is replaced, or 0o666. */
  readonly permissions?: number;
}

const KNOWN_ATOMIC: Known<WriteFileAtomicOptions> = { at: true, permissions: true };

/**
 * Replaces a file, or makes it: at every moment, also after a power failure, the path has either the old
 * bytes or all of the new ones, and when this has returned it has the new ones. A kill, an error or a full
 * device leaves the old file, and no other one. A symbolic link at the path is replaced by a file.
 *
 * Written to a new file beside it, synced, renamed over it, and the directory synced. Only the end of the
 * process in between leaves the new file behind, under a name like `.settings.json.5f1d09ab.tmp`.
 *
 * @throws {IoError} `ENOENT` for the directory, `EACCES`, `ENOSPC`, `EISDIR`, …
 * @example yield* writeFileAtomic("settings.json", JSON.stringify(settings));
 */
export const writeFileAtomic: (
  path: Path,
  data: Bytes | string,
  options?: WriteFileAtomicOptions,
) => Operation<void> = op(function* writeFileAtomic(
  path: Path,
  data: Bytes | string,
  options?: WriteFileAtomicOptions,
) {
  const bytes = bytesOf(data);
  checkOptions(options, "writeFileAtomic", KNOWN_ATOMIC);
  const { parent, name } = split(pathBytes(path));
  const directory = yield* openDirectory(parent, pick(options, "at"));
  try {
    const permissions = given(options, "permissions") ?? (yield* permissionsAt(directory, name));
    yield* replace(directory, name, bytes, permissions);
    yield* directory.sync();
  } finally {
    directory[Symbol.dispose]();
  }
});

const replace = op(function* replace(directory: Directory, name: Buffer, bytes: Bytes, permissions: number) {
  const draft = draftName(name);
  let renamed = false;
  try {
    const file = yield* directory.open(draft, "wx", { permissions });
    try {
      yield* writeAll(file, bytes);
      yield* fsync(file);
    } finally {
      file[Symbol.dispose]();
    }
    yield* directory.rename(draft, name);
    renamed = true;
  } finally {
    // Also after an error a kill may come here, and the draft has to go all the same.
    if (!renamed) yield* shield(remove(directory, draft));
  }
});

const remove = op(function* remove(directory: Directory, name: Buffer) {
  try {
    yield* unlink(name, { at: directory });
  } catch (error) {
    // It was not made, or a rename that was killed has happened all the same.
    if (!(error instanceof IoError) || error.errno !== -ENOENT) throw error;
  }
});

/** Never more than the old file allows: a secret stays one. */
const permissionsAt = op(function* permissionsAt(directory: Directory, name: Buffer) {
  try {
    return (yield* stat(name, { at: directory })).permissions & 0o777;
  } catch (error) {
    if (error instanceof IoError && error.errno === -ENOENT) return 0o666;
    throw error;
  }
});

/** Bytes of a long name that go into the draft's, so that it is not too long for a directory. */
const NAME_PART_MAX = 200;

function draftName(name: Buffer): Buffer {
  const mark = `.${randomBytes(6).toString("hex")}.tmp`;
  return Buffer.concat([Buffer.from("."), name.subarray(0, NAME_PART_MAX), Buffer.from(mark)]);
}

function split(path: Uint8Array): { parent: Buffer; name: Buffer } {
  const bytes = Buffer.from(path);
  const slash = bytes.lastIndexOf("/");
  const name = bytes.subarray(slash + 1);
  if (name.length === 0 || name.toString("latin1") === "." || name.toString("latin1") === "..") {
    throw new UsageError("COOP_PATH", `"${bytes.toString()}" names no file`);
  }
  const parent = slash === -1 ? Buffer.from(".") : slash === 0 ? Buffer.from("/") : bytes.subarray(0, slash);
  return { parent, name };
}

function bytesOf(data: unknown): Bytes {
  if (typeof data === "string") return Buffer.from(data, "utf8");
  if (data instanceof Uint8Array) return checkBytes(data, "writeFile");
  throw new UsageError("COOP_BUFFER", `a file is written from bytes or a text, not ${describeValue(data)}`);
}

function definedOnly(at: Descriptor | undefined, permissions: number | undefined) {
  return {
    ...(at === undefined ? {} : { at }),
    ...(permissions === undefined ? {} : { permissions }),
  };
}
