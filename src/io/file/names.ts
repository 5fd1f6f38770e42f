/** Names and attributes of files, by way of Node: rings have no opcodes for these. */
import * as fs from "node:fs/promises";
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import { type Path, pathBytes } from "./path.ts";
import { throughNode } from "./through-node.ts";

/** The largest user or group there is; the one above means none. */
const ID_MAX = 0xffff_fffe;

/** A name in a directory. */
export interface DirectoryEntry {
  /** As text; see `nameBytes` for names that are no UTF-8. */
  readonly name: string;
  readonly nameBytes: Buffer;
  readonly type: "file" | "directory" | "symlink" | "other";
}

/**
 * What is in a directory, in no order, without `.` and `..`. All of it is held in memory:
 * {@link walk} is for large ones.
 *
 * @throws {IoError} with the path: `ENOENT`, `ENOTDIR`, …
 */
export function readDirectory(path: Path): Operation<DirectoryEntry[]> {
  const bytes = bufferOf(path);
  return throughNode("scandir", async () => {
    const found = await fs.readdir(bytes, { withFileTypes: true, encoding: "buffer" });
    return found.map((entry): DirectoryEntry => {
      const nameBytes = entry.name as unknown as Buffer;
      return { name: nameBytes.toString("utf8"), nameBytes, type: typeOf(entry) };
    });
  });
}

interface Typed {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

function typeOf(entry: Typed): DirectoryEntry["type"] {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "directory";
  return entry.isSymbolicLink() ? "symlink" : "other";
}

/** Changes permission bits. After a kill it has happened, or not; so with all that change something here. */
export function chmod(path: Path, permissions: number): Operation<void> {
  if (!Number.isInteger(permissions) || permissions < 0 || permissions > 0o7777) {
    throw new UsageError("COOP_ARGUMENT", "permissions are a number from 0 to 0o7777");
  }
  const bytes = bufferOf(path);
  return throughNode("chmod", () => fs.chmod(bytes, permissions));
}

/** Changes the owner and the group; -1 leaves one as it is. */
export function chown(path: Path, uid: number, gid: number): Operation<void> {
  checkId(uid, "user");
  checkId(gid, "group");
  const bytes = bufferOf(path);
  return throughNode("chown", () => fs.chown(bytes, uid, gid));
}

/** Sets the times of the last access and the last change, in milliseconds since 1970. */
export function setTimes(path: Path, accessed: number, modified: number): Operation<void> {
  checkTime(accessed);
  checkTime(modified);
  const bytes = bufferOf(path);
  return throughNode("utimes", () => fs.utimes(bytes, accessed / 1000, modified / 1000));
}

function checkId(id: unknown, what: string): void {
  if (Number.isInteger(id) && (id as number) >= -1 && (id as number) <= ID_MAX) return;
  throw new UsageError("COOP_ARGUMENT", `a ${what} is a number from 0 up, or -1, not ${describeValue(id)}`);
}

function checkTime(time: unknown): void {
  if (Number.isFinite(time)) return;
  throw new UsageError("COOP_ARGUMENT", `a time is in milliseconds since 1970, not ${describeValue(time)}`);
}

/**
 * Whether this process may do that with the file. Only for telling people: between this and an `open` all can
 * change, and the open tells as well.
 */
export function mayAccess(path: Path, how: "exists" | "read" | "write" | "execute"): Operation<boolean> {
  const modes = { exists: 0, read: 4, write: 2, execute: 1 };
  if (typeof how !== "string" || !Object.hasOwn(modes, how)) {
    throw new UsageError("COOP_ARGUMENT", `access is one of ${Object.keys(modes).join(", ")}`);
  }
  const bytes = bufferOf(path);
  return throughNode("access", () =>
    fs.access(bytes, modes[how]).then(
      () => true,
      () => false,
    ),
  );
}

/** The path without links, `.` and `..`. */
export function realPath(path: Path): Operation<string> {
  const bytes = bufferOf(path);
  return throughNode("realpath", () => fs.realpath(bytes));
}

/** What a symbolic link says. */
export function readLink(path: Path): Operation<string> {
  const bytes = bufferOf(path);
  return throughNode("readlink", () => fs.readlink(bytes));
}

/**
 * Makes a directory whose name begins with `prefix` and goes on with six random letters; gives its path. One
 * that is made after a kill is removed.
 */
export function makeTempDirectory(prefix: string): Operation<string> {
  pathBytes(prefix);
  return throughNode(
    "mkdtemp",
    () => fs.mkdtemp(prefix),
    (path) => fs.rmdir(path),
  );
}

function bufferOf(path: Path): Buffer {
  return Buffer.from(pathBytes(path));
}
