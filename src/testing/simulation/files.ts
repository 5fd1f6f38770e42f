/** Files and directories of a simulated kernel: names that lead to bytes. No links, no permissions, one device. */
import { EBADF, EINVAL, ENOENT } from "../../io/errno.ts";
import * as abi from "../../native/layout.ts";
import { OpenFile } from "./open-file.ts";

const EEXIST = 17;
const ENOTDIR = 20;
const EISDIR = 21;
const EFBIG = 27;
const ENOTEMPTY = 39;
/** More than this is EFBIG. */
const SIZE_MAX = 64 * 1024 * 1024;

let inodes = 0;

export class Inode {
  readonly number: number = ++inodes;
  readonly directory: boolean;
  permissions: number;
  private bytes: Uint8Array = new Uint8Array(0);
  size = 0;

  constructor(directory: boolean, permissions: number) {
    this.directory = directory;
    this.permissions = permissions;
  }

  /** The content. */
  content(): Uint8Array {
    return this.bytes.subarray(0, this.size);
  }

  resize(size: number): void {
    if (size > this.bytes.length) {
      const grown = new Uint8Array(Math.max(size, this.bytes.length * 2, 256));
      grown.set(this.content());
      this.bytes = grown;
    } else if (size < this.size) this.bytes.fill(0, size, this.size);
    this.size = size;
  }

  readAt(into: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(into.length, this.size - position));
    if (count > 0) into.set(this.bytes.subarray(position, position + count));
    return count;
  }

  writeAt(from: Uint8Array, position: number): number {
    const end = position + from.length;
    if (end > SIZE_MAX) return -EFBIG;
    if (end > this.size) this.resize(end);
    this.bytes.set(from, position);
    return from.length;
  }
}

/** An open file or directory, with a position of its own. */
export class RegularFile extends OpenFile {
  readonly kind: "file" | "directory";
  readonly inode: Inode;
  readonly path: string;
  private readonly flags: number;
  private position = 0;

  constructor(inode: Inode, path: string, flags: number) {
    super();
    this.kind = inode.directory ? "directory" : "file";
    this.inode = inode;
    this.path = path;
    this.flags = flags;
  }

  read(into: Uint8Array, position: number): number {
    if (this.inode.directory) return -EISDIR;
    if ((this.flags & 3) === abi.O_WRONLY) return -EBADF;
    const count = this.inode.readAt(into, position === -1 ? this.position : position);
    if (position === -1) this.position += count;
    return count;
  }

  write(from: Uint8Array, position: number): number {
    if ((this.flags & 3) === abi.O_RDONLY) return -EBADF;
    let at = position === -1 ? this.position : position;
    if ((this.flags & abi.O_APPEND) !== 0) at = this.inode.size;
    const count = this.inode.writeAt(from, at);
    if (position === -1 && count > 0) this.position = at + count;
    return count;
  }

  ready(): number {
    return abi.POLLIN | abi.POLLOUT;
  }
}

/** The names. */
export class FileSystem {
  private readonly names = new Map<string, Inode>([["/", new Inode(true, 0o755)]]);

  /** The content of a file, null where there is none. */
  read(path: string): Uint8Array | null {
    const inode = this.names.get(resolve("/", path));
    return inode === undefined || inode.directory ? null : inode.content();
  }

  /** Paths of all files and directories. */
  paths(): string[] {
    return [...this.names.keys()];
  }

  /** @param start The directory a relative path begins at. */
  open(start: string, path: string, flags: number, permissions: number): RegularFile | number {
    const full = resolve(start, path);
    let inode = this.names.get(full);
    if (inode === undefined) {
      if ((flags & abi.O_CREAT) === 0) return -ENOENT;
      const parent = this.checkParent(full);
      if (parent < 0) return parent;
      inode = new Inode(false, permissions & 0o7777);
      this.names.set(full, inode);
    } else if ((flags & abi.O_EXCL) !== 0 && (flags & abi.O_CREAT) !== 0) return -EEXIST;
    if (inode.directory && (flags & 3) !== abi.O_RDONLY) return -EISDIR;
    if (!inode.directory && (flags & abi.O_DIRECTORY) !== 0) return -ENOTDIR;
    if ((flags & abi.O_TRUNC) !== 0) inode.resize(0);
    return new RegularFile(inode, full, flags);
  }

  find(start: string, path: string): Inode | null {
    return this.names.get(resolve(start, path)) ?? null;
  }

  mkdir(start: string, path: string, permissions: number): number {
    const full = resolve(start, path);
    if (this.names.has(full)) return -EEXIST;
    const parent = this.checkParent(full);
    if (parent < 0) return parent;
    this.names.set(full, new Inode(true, permissions & 0o7777));
    return 0;
  }

  unlink(start: string, path: string, directory: boolean): number {
    const full = resolve(start, path);
    const inode = this.names.get(full);
    if (inode === undefined) return -ENOENT;
    if (inode.directory !== directory) return directory ? -ENOTDIR : -EISDIR;
    if (directory && this.isOccupied(full)) return -ENOTEMPTY;
    this.names.delete(full);
    return 0;
  }

  rename(start: string, from: string, to: string, flags: number): number {
    const source = resolve(start, from);
    const target = resolve(start, to);
    const inode = this.names.get(source);
    const other = this.names.get(target);
    if (inode === undefined) return -ENOENT;
    if (inode.directory || other?.directory === true) return -EINVAL;
    const parent = this.checkParent(target);
    if (parent < 0) return parent;
    if ((flags & abi.RENAME_NOREPLACE) !== 0 && other !== undefined) return -EEXIST;
    if ((flags & abi.RENAME_EXCHANGE) !== 0 && other === undefined) return -ENOENT;
    this.names.delete(source);
    this.names.set(target, inode);
    if ((flags & abi.RENAME_EXCHANGE) !== 0) this.names.set(source, other!);
    return 0;
  }

  private checkParent(full: string): number {
    const parent = this.names.get(full.slice(0, full.lastIndexOf("/")) || "/");
    return parent === undefined ? -ENOENT : parent.directory ? 0 : -ENOTDIR;
  }

  private isOccupied(full: string): boolean {
    const below = full === "/" ? "/" : `${full}/`;
    for (const path of this.names.keys()) if (path !== full && path.startsWith(below)) return true;
    return false;
  }
}

/** The path from the root, without `.` and `..`. */
function resolve(start: string, path: string): string {
  const parts: string[] = [];
  for (const part of `${path.startsWith("/") ? "" : `${start}/`}${path}`.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}
