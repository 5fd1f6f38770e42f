/**
 * inotify(7): what changes in directories and files. The set-up is a few short system calls, since rings have
 * no opcodes for it; the events are read through the ring, so waiting for one is an operation like any other.
 */

import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation, op } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../../coordinator/options.ts";
import * as abi from "../../native/layout.ts";
import { close } from "../descriptor/close.ts";
import { closeOrphan, Descriptor } from "../descriptor/descriptor.ts";
import { IoError } from "../errno.ts";
import type { IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import { IoOperation, Kind } from "../io-operation.ts";
import { allocate } from "../memory/memory.ts";
import { read } from "../stream/read.ts";
import { type Path, pathBytes, pathText } from "./path.ts";
import { CHANGE_BITS, decodeEvents, type FileChange, type FileEvent } from "./watch-events.ts";

export interface WatchOptions {
  /** What is told of. Default: all that changes something, and not `open`, `access` and `closeRead`. */
  readonly changes?: readonly FileChange[];
  /** A symbolic link itself is watched, and not what it leads to. Default false. */
  readonly noFollow?: boolean;
}

export interface WatcherStatistics {
  /** Paths that are watched. */
  readonly watched: number;
  /** Events that have been read, overflows among them. */
  readonly events: number;
  /** How often the kernel has lost events. */
  readonly overflows: number;
}

const KNOWN: Known<WatchOptions> = { changes: true, noFollow: true };
const QUIET: ReadonlySet<string> = new Set<FileChange>(["open", "access", "closeRead"]);

/** Bytes of events that are read at a time: some hundred. What is not read yet waits in the kernel. */
const BATCH_BYTES = 16 * 1024;

/** Where to watch for what; looked at once. */
class Target {
  readonly path: Uint8Array;
  readonly key: string;
  readonly text: string;
  readonly mask: number;

  constructor(path: Path, options: WatchOptions | undefined) {
    this.path = pathBytes(path);
    this.key = keyOf(this.path);
    this.text = pathText(path);
    this.mask = maskOf(options);
  }
}

/** Paths that are no UTF-8 differ in their bytes only. */
function keyOf(path: Uint8Array): string {
  return Buffer.from(path).toString("latin1");
}

function maskOf(options: WatchOptions | undefined): number {
  checkOptions(options, "watch", KNOWN);
  const changes = given(options, "changes") ?? [...CHANGE_BITS.keys()].filter((change) => !QUIET.has(change));
  if (!Array.isArray(changes)) {
    throw new UsageError("COOP_OPTION", `changes are an array of names, not ${describeValue(changes)}`);
  }
  // A second watch of the same file would silently replace the first.
  let mask = abi.IN_MASK_CREATE | (given(options, "noFollow") === true ? abi.IN_DONT_FOLLOW : 0);
  for (const change of changes) {
    const bit = CHANGE_BITS.get(change);
    if (bit === undefined) {
      const all = [...CHANGE_BITS.keys()].join(", ");
      throw new UsageError("COOP_OPTION", `a change is one of ${all}, not ${describeValue(change)}`);
    }
    mask |= bit;
  }
  if (changes.length === 0) throw new UsageError("COOP_OPTION", "changes names at least one");
  return mask;
}

/**
 * Watches directories (what happens to the names in them, not deeper) and files. What happens from now on is
 * queued in the kernel until {@link FileWatcher.next} gets it.
 *
 * @throws {IoError} with the path: `ENOENT`, `EACCES`; `EEXIST` when two paths lead to one file; `ENOSPC` when the
 * user has no watches left (`fs.inotify.max_user_watches`), `EMFILE` when there are no more watchers.
 * @example
 * using watcher = yield* watch("config");
 * for (let event = yield* watcher.next(); event !== null; event = yield* watcher.next()) reload(event.name);
 */
export function watch(paths: Path | readonly Path[], options?: WatchOptions): Operation<FileWatcher> {
  const list = Array.isArray(paths) ? (paths as readonly Path[]) : [paths as Path];
  const targets = list.map((path) => new Target(path, options));
  return new IoOperation(WATCH, null, null, 0, new Watches(targets), undefined);
}

/** The watches of one descriptor. */
class Watches {
  readonly targets: readonly Target[];
  /** By number: all whose events may still come. */
  readonly known = new Map<number, Target>();
  /** The numbers of those in force, by path. */
  readonly numbers = new Map<string, number>();
  /** Where a watch was refused. */
  refused: string | undefined;

  constructor(targets: readonly Target[]) {
    this.targets = targets;
  }

  /** Returns 0 or -errno. */
  add(io: Io, fd: number, target: Target): number {
    const watch = io.driver.calls.inotifyAdd(fd, target.path, target.mask);
    if (watch < 0) {
      this.refused = target.text;
      return watch;
    }
    this.known.set(watch, target);
    this.numbers.set(target.key, watch);
    return 0;
  }
}

const WATCH: Kind<FileWatcher> = new Kind({
  syscall: "inotify",
  setup(io, _handle, operation) {
    const { driver } = io;
    const watches = operation.argument as Watches;
    const fd = driver.calls.inotifyOpen();
    if (fd < 0) return fd;
    for (const target of watches.targets) {
      const result = watches.add(io, fd, target);
      if (result === 0) continue;
      driver.calls.closeFd(fd);
      return result;
    }
    return fd;
  },
  convert: (fd, operation, io) => new FileWatcher(io, fd, operation.argument as Watches),
  reclaim: closeOrphan,
  details: (operation) => ({ path: (operation.argument as Watches).refused }),
});

/** Tells what happens to files; `using watcher = yield* watch(path)` ends it however the block ends. */
export class FileWatcher extends Descriptor {
  private readonly watches: Watches;
  private readonly batch = allocate(BATCH_BYTES);
  /** Events of the last batch, from `at`. */
  private events: FileEvent[] = [];
  private at = 0;
  /** Watches that were removed here, and whose last record has not come. */
  private readonly leaving = new Set<number>();
  private count = 0;
  private overflows = 0;

  /** @internal */
  constructor(io: Io, number: number, watches: Watches) {
    super(io, number, "watcher", { path: watches.targets.map(({ text }) => text).join(", ") });
    this.watches = watches;
    this.exclusive = true;
  }

  /**
   * Waits for the next event, and gives it once; null when nothing is watched any more. A kill or a timeout
   * loses none. One task waits at a time.
   *
   * @throws {BusyError} when another task waits. @throws {ClosedError} when the watcher is closed.
   */
  next(options?: IoOptions): Operation<FileEvent | null> {
    return next(this, options);
  }

  /**
   * Watches one more path.
   *
   * @throws {IoError} as {@link watch}; `EEXIST` when it leads to a file that is watched already.
   */
  add(path: Path, options?: WatchOptions): void {
    const target = new Target(path, options);
    this.checkOpen("watch");
    const result = this.watches.add(this.io, this.number, target);
    if (result < 0) throw new IoError(result, "inotify", { path: target.text });
  }

  /** Ends the watch of a path, given as before. What happened until now still comes. False when there is none. */
  remove(path: Path): boolean {
    const key = keyOf(pathBytes(path));
    this.checkOpen("watch");
    const watch = this.watches.numbers.get(key);
    if (watch === undefined) return false;
    this.watches.numbers.delete(key);
    // When the kernel does not know it, it has ended by itself.
    if (this.io.driver.calls.inotifyRemove(this.number, watch) === 0) this.leaving.add(watch);
    return true;
  }

  /** See {@link close}. */
  close(): Operation<void> {
    return close(this);
  }

  statistics(): WatcherStatistics {
    return { watched: this.watches.numbers.size, events: this.count, overflows: this.overflows };
  }

  /** @internal The next event that has been read, or null. */
  shift(): FileEvent | null {
    const event = this.events[this.at];
    if (event === undefined) return null;
    this.at++;
    return event;
  }

  /** @internal Nothing is watched, and nothing is left to be told. */
  get over(): boolean {
    return this.watches.numbers.size === 0 && this.leaving.size === 0;
  }

  /** @internal */
  get room(): Buffer {
    return this.batch;
  }

  /** @internal The first `count` bytes of the batch are events. */
  decode(count: number): void {
    this.events = [];
    this.at = 0;
    decodeEvents(this.batch.subarray(0, count), this);
  }

  /** @internal */
  pathOf(watch: number, mask: number): string | null {
    const { known, numbers } = this.watches;
    const target = known.get(watch);
    if (target === undefined) return null;
    if ((mask & abi.IN_IGNORED) !== 0) {
      known.delete(watch);
      this.leaving.delete(watch);
      // One that was removed here has no end to tell of; its path may be watched anew.
      if (numbers.get(target.key) !== watch) return null;
      numbers.delete(target.key);
    }
    return target.text;
  }

  /** @internal */
  take(event: FileEvent): void {
    this.count++;
    this.events.push(event);
    if (event.type !== "overflow") return;
    this.overflows++;
    // Their last records may be among what is lost.
    this.leaving.clear();
  }
}

const next = op(function* next(watcher: FileWatcher, options: IoOptions | undefined) {
  for (;;) {
    watcher.checkOpen("watch");
    const event = watcher.shift();
    if (event !== null || watcher.over) return event;
    watcher.decode(yield* read(watcher, watcher.room, options));
  }
});
