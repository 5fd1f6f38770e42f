/**
 * A pool of buffers in shared memory, registered with the ring where the system allows it: nothing is copied
 * between them and the kernel, and nothing is pinned anew for each operation.
 *
 * Claiming waits first come first served while the pool is empty, and is killable. Source: seeds M-013,
 * M-042, X-37; io_uring_register(2), IORING_REGISTER_BUFFERS.
 */

import { EmbeddedList } from "../../coordinator/embedded-list.ts";
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../../coordinator/options.ts";
import type { Task } from "../../coordinator/task/task.ts";
import { Wait } from "../../coordinator/wait.ts";
import { type Duration, nanoseconds } from "../../time/duration.ts";
import { type Timed, timerQueueOf } from "../../time/timer-queue.ts";
import { ENOBUFS, IoError } from "../errno.ts";
import { currentIo, type Io } from "../io.ts";
import { Quarantine } from "./checks.ts";
import { allocatePages } from "./memory.ts";

export interface BufferPoolOptions {
  /** Bytes of one buffer. Default 16 KiB. */
  readonly size?: number;
  /** How many there are. Default 64. */
  readonly count?: number;
  /**
   * How long claims wait without any buffer coming back before all of them fail with `ENOBUFS`: tasks that
   * hold a buffer and wait for another one would wait for each other for ever. Default: no end.
   */
  readonly patience?: Duration;
}

export interface BufferPoolStatistics {
  readonly total: number;
  readonly free: number;
  /** `claimed = released + (total - free)`. */
  readonly claimed: number;
  readonly released: number;
  readonly waiting: number;
  /** Claims that failed because nothing came back in time. */
  readonly refused: number;
  /** False where locked memory is short (RLIMIT_MEMLOCK) or another pool is registered already. */
  readonly registered: boolean;
}

const KNOWN: Known<BufferPoolOptions> = { size: true, count: true, patience: true };
const SIZE_DEFAULT = 16 * 1024;
const COUNT_DEFAULT = 64;
/** The kernel's limit on registered buffers. */
const COUNT_MAX = 16384;
const SIZE_MAX = 1 << 30;

/** A buffer on loan. Give it back with `release`, or with `using`. */
export class Lease {
  private readonly pool: BufferPool;
  private readonly index: number;
  private view: Buffer | null;

  /** @internal */
  constructor(pool: BufferPool, index: number, view: Buffer) {
    this.pool = pool;
    this.index = index;
    this.view = view;
  }

  /**
   * The bytes. Do not keep them after the release: they are somebody else's then.
   *
   * @throws {UsageError} `COOP_LEASE` after the release.
   */
  get bytes(): Buffer {
    if (this.view === null)
      throw new UsageError("COOP_LEASE", "this buffer has been released; claim another");
    return this.view;
  }

  /** Gives the buffer back. A second release changes nothing. Nothing may be in flight on it. */
  release(): void {
    if (this.view === null) return;
    this.view = null;
    this.pool.giveBack(this.index);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

export class BufferPool implements Timed {
  /** Bytes of one buffer. */
  readonly size: number;
  /** How many there are. */
  readonly count: number;
  /** @internal */ readonly waiters: EmbeddedList<Claim> = new EmbeddedList();
  private readonly io: Io;
  readonly #arena: Uint8Array<SharedArrayBuffer>;
  private readonly free: number[] = [];
  private readonly registered: boolean;
  /** The memory of each lease, in the debug mode. */
  private readonly quarantine: Quarantine | null;
  private claimedCount = 0;
  private releasedCount = 0;
  private refusedCount = 0;
  /** Nanoseconds, Infinity for no end. */
  private readonly patience: number;
  /** @internal */ deadline = 0;
  /** @internal */ order = 0;
  /** @internal */ heapIndex = -1;

  /**
   * Makes a pool for the running task's cooperator.
   *
   * @throws {UsageError} `COOP_ARGUMENT` when size or count is out of range.
   */
  constructor(options?: BufferPoolOptions) {
    checkOptions(options, "a BufferPool", KNOWN);
    const size = given(options, "size") ?? SIZE_DEFAULT;
    const count = given(options, "count") ?? COUNT_DEFAULT;
    if (!Number.isInteger(size) || size < 1 || size > SIZE_MAX) {
      throw new UsageError(
        "COOP_ARGUMENT",
        `a buffer has from 1 to ${SIZE_MAX} bytes, not ${describeValue(size)}`,
      );
    }
    if (!Number.isInteger(count) || count < 1 || count > COUNT_MAX) {
      throw new UsageError(
        "COOP_ARGUMENT",
        `a pool has from 1 to ${COUNT_MAX} buffers, not ${describeValue(count)}`,
      );
    }
    this.patience = nanoseconds(given(options, "patience") ?? Number.POSITIVE_INFINITY);
    this.io = currentIo("new BufferPool()");
    this.size = size;
    this.count = count;
    const { checks } = this.io.driver.memory;
    this.quarantine = checks ? new Quarantine(this.io, size) : null;
    this.#arena = allocatePages(checks ? 0 : size * count);
    for (let i = count - 1; i >= 0; i--) this.free.push(i);
    this.registered = !checks && this.io.registerPool(this.#arena, count, size);
  }

  /**
   * Waits for a free buffer.
   *
   * @throws {IoError} `ENOBUFS` when nothing came back for as long as the pool's patience lasts.
   */
  claim(): Operation<Lease> {
    return new Claim(this);
  }

  /** A free buffer, or null when there is none or others wait for one. */
  tryClaim(): Lease | null {
    if (this.waiters.length > 0) return null;
    const index = this.free.pop();
    return index === undefined ? null : this.lend(index);
  }

  statistics(): BufferPoolStatistics {
    return {
      total: this.count,
      free: this.free.length,
      claimed: this.claimedCount,
      released: this.releasedCount,
      waiting: this.waiters.length,
      refused: this.refusedCount,
      registered: this.registered,
    };
  }

  /** @internal Lends buffer `index`. */
  lend(index: number): Lease {
    this.claimedCount++;
    const arena = this.#arena;
    const { size, quarantine } = this;
    const view =
      quarantine === null
        ? Buffer.from(arena.buffer, arena.byteOffset + index * size, size)
        : quarantine.lend(index);
    return new Lease(this, index, view);
  }

  /** @internal A buffer goes to the oldest waiter, or back. */
  giveBack(index: number): void {
    this.releasedCount++;
    this.quarantine?.giveBack(index);
    const next = this.waiters.shift();
    if (next === null) this.free.push(index);
    else next.give(index);
    if (this.patience !== Number.POSITIVE_INFINITY) this.watch();
  }

  /** @internal There is one more that waits. */
  wait(claim: Claim): void {
    this.waiters.push(claim);
    // Only progress buys time: a pool that is stuck does not become less so by another claim.
    if (this.patience !== Number.POSITIVE_INFINITY && this.heapIndex === -1) this.watch();
  }

  /** @internal One that waited has gone. */
  left(): void {
    if (this.heapIndex !== -1 && this.waiters.length === 0) this.watch();
  }

  /** @internal Nothing has come back for too long. */
  fire(): void {
    for (let claim = this.waiters.shift(); claim !== null; claim = this.waiters.shift()) {
      this.refusedCount++;
      claim.refuse();
    }
  }

  /** Sets the clock anew, or stops it when nobody waits. */
  private watch(): void {
    const timers = timerQueueOf(this.io.cooperator);
    if (this.waiters.length > 0) timers.arm(this, timers.now() + this.patience);
    else timers.disarm(this);
  }
}

class Claim extends Wait<Lease> {
  private readonly pool: BufferPool;
  private lease: Lease | null = null;
  constructor(pool: BufferPool) {
    super();
    this.pool = pool;
  }
  override describe(): string {
    return "a free buffer";
  }
  /** A buffer has become free for this waiter. */
  give(index: number): void {
    this.lease = this.pool.lend(index);
    this.grant();
  }
  /** There will be none. */
  refuse(): void {
    this.grant();
  }
  protected override begin(_task: Task): boolean {
    this.lease = this.pool.tryClaim();
    if (this.lease !== null) return true;
    this.pool.wait(this);
    return false;
  }
  protected override finish(): Lease {
    const { lease } = this;
    this.lease = null;
    if (lease === null) throw new IoError(-ENOBUFS, "claim");
    return lease;
  }
  override abort(): boolean {
    this.list?.remove(this);
    this.pool.left();
    return true;
  }
  override rollback(): void {
    this.lease?.release();
    this.lease = null;
  }
}
