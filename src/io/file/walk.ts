/** Everything below a directory, one entry at a time. */

import { UsageError } from "../../coordinator/errors.ts";
import { type Operation, op } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../../coordinator/options.ts";
import { ENOENT, IoError } from "../errno.ts";
import { type DirectoryEntry, readDirectory } from "./names.ts";
import { type Path, pathBytes } from "./path.ts";

export interface WalkEntry extends DirectoryEntry {
  /** The path as text; see `pathBytes` for paths that are no UTF-8. */
  readonly path: string;
  readonly pathBytes: Buffer;
  /** 1 for what lies in the directory itself. */
  readonly depth: number;
}

export interface WalkOptions {
  /** Directories below this depth are not entered. Default 64. */
  readonly depth?: number;
}

const KNOWN: Known<WalkOptions> = { depth: true };
const DEPTH_DEFAULT = 64;
const ENOTDIR = 20;

/**
 * Walks through a directory. Symbolic links are told of and not followed, so there are no loops; directories
 * that vanish meanwhile are left out. The names of one directory are in memory at a time, and the paths of
 * the directories that are still to come.
 *
 * @example
 * const walker = walk("src");
 * for (let entry = yield* walker.next(); entry !== null; entry = yield* walker.next()) console.log(entry.path);
 */
export function walk(path: Path, options?: WalkOptions): Walker {
  checkOptions(options, "walk", KNOWN);
  const depth = given(options, "depth") ?? DEPTH_DEFAULT;
  if (!Number.isInteger(depth) || depth < 1) throw new UsageError("COOP_ARGUMENT", "a depth is from 1 up");
  return new Walker(Buffer.from(pathBytes(path)), depth);
}

interface Pending {
  readonly path: Buffer;
  readonly depth: number;
}

export class Walker {
  private readonly depthMax: number;
  private readonly directories: Pending[];
  private entries: readonly DirectoryEntry[] = [];
  private at = 0;
  private parent: Pending;

  /** @internal */
  constructor(path: Buffer, depthMax: number) {
    this.depthMax = depthMax;
    this.parent = { path, depth: 1 };
    this.directories = [this.parent];
  }

  /** The next entry, parents before what lies in them; null when there are no more. */
  next(): Operation<WalkEntry | null> {
    return advance(this);
  }

  /** @internal The next entry that is in memory, or null. */
  take(): WalkEntry | null {
    const entry = this.entries[this.at];
    if (entry === undefined) return null;
    this.at++;
    const { path, depth } = this.parent;
    const found = Buffer.concat([path, path.at(-1) === SLASH ? NOTHING : SLASH_BYTES, entry.nameBytes]);
    if (entry.type === "directory" && depth < this.depthMax) {
      this.directories.push({ path: found, depth: depth + 1 });
    }
    return { ...entry, path: found.toString("utf8"), pathBytes: found, depth };
  }

  /** @internal The next directory to look into, or undefined. */
  nextDirectory(): Pending | undefined {
    return this.directories.pop();
  }

  /** @internal */
  enter(directory: Pending, entries: readonly DirectoryEntry[]): void {
    this.parent = directory;
    this.entries = entries;
    this.at = 0;
  }
}

const SLASH = 0x2f;
const SLASH_BYTES = Buffer.from("/");
const NOTHING = Buffer.alloc(0);

const advance = op(function* next(walker: Walker) {
  for (;;) {
    const entry = walker.take();
    if (entry !== null) return entry;
    const directory = walker.nextDirectory();
    if (directory === undefined) return null;
    walker.enter(directory, yield* entriesOf(directory));
  }
});

const entriesOf = op(function* entriesOf({ path, depth }: Pending) {
  try {
    return yield* readDirectory(path);
  } catch (error) {
    const gone = error instanceof IoError && (error.errno === -ENOENT || error.errno === -ENOTDIR);
    if (gone && depth > 1) return [];
    throw error;
  }
});
