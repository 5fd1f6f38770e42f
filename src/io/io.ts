/**
 * The io of one cooperator: its driver, its pool of handles, its open descriptors. Made at the first
 * operation, so a program without io never opens a ring.
 */

import { EmbeddedList } from "../coordinator/embedded-list.ts";
import { UnsupportedError, UsageError } from "../coordinator/errors.ts";
import { describeValue } from "../coordinator/operation.ts";
import { Cooperator, type Driver } from "../coordinator/scheduler/cooperator.ts";
import { currentTask } from "../coordinator/task/current.ts";
import { IDLE } from "../handle/handle.ts";
import type { Entry } from "./descriptor/entry.ts";
import type { DriverStatistics, IoDriver } from "./driver/driver.ts";
import { Handle } from "./handle.ts";

/** Rings of provided buffers; the native side keeps a reference for each. */
const GROUPS_MAX = 64;
/** Idle handles kept for reuse. */
const POOL_MAX = 1024;

export interface IoStatistics extends DriverStatistics {
  /** Descriptors opened or adopted and not closed yet. */
  readonly descriptors: number;
  /** Blocks of memory lent to operations in flight. */
  readonly blocks: number;
}

export class Io {
  readonly cooperator: Cooperator;
  readonly driver: IoDriver;
  /** @internal Of the descriptors that are open. */ readonly entries: EmbeddedList<Entry> =
    new EmbeddedList();
  /** Idle handles, linked through themselves. */
  private free: Handle | null = null;
  private freeCount = 0;
  #fixedArena: SharedArrayBuffer | null = null;
  private fixedStart = 0;
  private fixedSize = 1;
  private fixedCount = 0;
  private groups = 0;
  private readonly freeGroups: number[] = [];
  /** @internal Descriptors that are held wait for a collection. */
  collecting = false;

  constructor(cooperator: Cooperator, driver: IoDriver) {
    this.cooperator = cooperator;
    this.driver = driver;
  }

  /** @internal True when one of our descriptors has the number. */
  owns(number: number): boolean {
    for (const entry of this.entries) if (entry.number === number) return true;
    return false;
  }

  /** @internal An idle handle, for a blocking form. */
  take(): Handle {
    const pooled = this.free;
    if (pooled !== null) {
      this.free = pooled.nextFree;
      this.freeCount--;
      return pooled;
    }
    const handle = new Handle();
    handle.pooled = true;
    return handle;
  }

  /** @internal Back to the pool, idle. */
  give(handle: Handle): void {
    handle.state = IDLE;
    const { descriptor } = handle;
    if (descriptor !== null) {
      handle.descriptor = null;
      if (descriptor.reader === handle) descriptor.reader = null;
    }
    if (handle.bytes !== null) handle.bytes = null;
    if (handle.parts !== null) handle.parts = null;
    if (this.freeCount >= POOL_MAX) {
      this.driver.forget(handle);
      return;
    }
    handle.nextFree = this.free;
    this.free = handle;
    this.freeCount++;
  }

  /** @internal Registers a pool's memory. One pool can be; it is the first that asks and is allowed to. */
  registerPool(arena: Uint8Array<SharedArrayBuffer>, count: number, size: number): boolean {
    if (this.#fixedArena !== null || this.driver.registerBuffers(arena, count, size) < 0) return false;
    this.#fixedArena = arena.buffer;
    this.fixedStart = arena.byteOffset;
    this.fixedSize = size;
    this.fixedCount = count;
    return true;
  }

  /** @internal Number of the registered buffer that `bytes` lie in, or -1. */
  fixedBuffer(bytes: Uint8Array): number {
    if (this.#fixedArena === null || bytes.buffer !== this.#fixedArena) return -1;
    const start = bytes.byteOffset - this.fixedStart;
    const first = Math.floor(start / this.fixedSize);
    const last = Math.floor((start + bytes.byteLength - 1) / this.fixedSize);
    // The memory begins before the first buffer and goes on behind the last: whoever has a lease can see it.
    return first === last && first >= 0 && first < this.fixedCount ? first : -1;
  }

  /** @internal A number for a ring of provided buffers. @throws {UsageError} `COOP_LIMIT` when there are too many. */
  bufferGroup(): number {
    const free = this.freeGroups.pop();
    if (free !== undefined) return free;
    if (this.groups === GROUPS_MAX) {
      throw new UsageError(
        "COOP_LIMIT",
        `a program has at most ${GROUPS_MAX} buffer rings; let several share one, or dispose of those that are not needed`,
      );
    }
    return this.groups++;
  }

  /** @internal The number may be used for another ring. */
  freeBufferGroup(group: number): void {
    this.freeGroups.push(group);
  }

  /** Closes what is still open, without waiting for it; the driver is done when `inflight` is 0. */
  closeDescriptors(): void {
    for (const entry of [...this.entries]) {
      if (entry.held !== null) entry.held[Symbol.dispose]();
      else entry.close();
    }
  }

  statistics(): IoStatistics {
    return {
      ...this.driver.statistics(),
      descriptors: this.entries.length,
      blocks: this.driver.memory.lent,
    };
  }
}

const ios = new WeakMap<Driver, Io>();
let lastDriver: Driver | null = null;
let lastIo: Io | null = null;

/**
 * The io of a cooperator; opens its driver at the first call.
 *
 * @throws {UnsupportedError} when the cooperator was made without io, or the driver cannot be opened.
 */
export function ioOf(cooperator: Cooperator): Io {
  const { driver } = cooperator;
  if (driver !== null && driver === lastDriver) return lastIo!;
  return find(cooperator);
}

/** The io of the running task. */
export function currentIo(what: string): Io {
  return ioOf(currentTask(what).cooperator);
}

function find(cooperator: Cooperator): Io {
  let { driver } = cooperator;
  if (driver === null) {
    if (cooperator.openDriver === null) {
      throw new UnsupportedError(`${cooperator.name} has no io: start the program with run() or main()`);
    }
    driver = cooperator.openDriver();
    cooperator.driver = driver;
  }
  let io = ios.get(driver);
  if (io === undefined) {
    io = new Io(cooperator, driver as IoDriver);
    ios.set(driver, io);
  }
  lastDriver = driver;
  lastIo = io;
  return io;
}

/** Statistics of a cooperator's io, null when it has done none. */
export function ioStatistics(cooperator: Cooperator): IoStatistics | null {
  if (!(cooperator instanceof Cooperator)) {
    throw new UsageError(
      "COOP_ARGUMENT",
      `ioStatistics takes a cooperator, not ${describeValue(cooperator)}`,
    );
  }
  const { driver } = cooperator;
  return driver === null ? null : (ios.get(driver)?.statistics() ?? null);
}
