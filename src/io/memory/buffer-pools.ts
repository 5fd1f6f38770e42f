/** Buffers of several sizes: a claim gets one of the smallest size that will do. Source: seeds M-042, X-37. */

import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../../coordinator/options.ts";
import type { Duration } from "../../time/duration.ts";
import { BufferPool, type BufferPoolStatistics, type Lease } from "./buffer-pool.ts";

export interface BufferPoolsOptions {
  /** Sizes in ascending order. Default 256 of 4 KiB, 64 of 16 KiB, 16 of 64 KiB. */
  readonly classes?: readonly { readonly size: number; readonly count: number }[];
  /** As for a {@link BufferPool}. */
  readonly patience?: Duration;
}

const CLASSES_DEFAULT = [
  { size: 4 * 1024, count: 256 },
  { size: 16 * 1024, count: 64 },
  { size: 64 * 1024, count: 16 },
];

const KNOWN: Known<BufferPoolsOptions> = { classes: true, patience: true };

export class BufferPools {
  /** Smallest first. */
  readonly pools: readonly BufferPool[];

  /** @throws {UsageError} `COOP_ARGUMENT` when the sizes do not ascend, or are out of range. */
  constructor(options?: BufferPoolsOptions) {
    checkOptions(options, "BufferPools", KNOWN);
    const classes = given(options, "classes") ?? CLASSES_DEFAULT;
    if (!Array.isArray(classes) || !classes.every(isClass)) {
      throw new UsageError(
        "COOP_ARGUMENT",
        `classes are an array of sizes and counts, not ${describeValue(classes)}`,
      );
    }
    const ascending = classes.every(({ size }, i) => i === 0 || size > classes[i - 1]!.size);
    if (classes.length === 0 || !ascending) {
      throw new UsageError("COOP_ARGUMENT", "classes are sizes in ascending order, one at least");
    }
    const patience = given(options, "patience");
    this.pools = classes.map(
      ({ size, count }) => new BufferPool({ size, count, ...(patience === undefined ? {} : { patience }) }),
    );
  }

  /**
   * Waits for a buffer of at least `size` bytes. While there is none of the size that fits best a larger one
   * is given, if one is free; claims wait for the size that fits best.
   *
   * @throws {UsageError} `COOP_ARGUMENT` when no buffer is that large.
   */
  claim(size: number): Operation<Lease> {
    return new Fitting(this, this.classOf(size));
  }

  /** A buffer of at least `size` bytes if one is free and nobody waits for it. */
  tryClaim(size: number): Lease | null {
    for (let i = this.classOf(size); i < this.pools.length; i++) {
      const lease = this.pools[i]!.tryClaim();
      if (lease !== null) return lease;
    }
    return null;
  }

  /** Of each pool, smallest first. */
  statistics(): BufferPoolStatistics[] {
    return this.pools.map((pool) => pool.statistics());
  }

  private classOf(size: number): number {
    const index = Number.isFinite(size) && size >= 0 ? this.pools.findIndex((pool) => pool.size >= size) : -1;
    if (index !== -1) return index;
    throw new UsageError(
      "COOP_ARGUMENT",
      `buffers have up to ${this.pools.at(-1)!.size} bytes, ${describeValue(size)} is not to be had`,
    );
  }
}

function isClass(value: unknown): boolean {
  const { size, count } = Object(value) as { readonly size?: unknown; readonly count?: unknown };
  return typeof size === "number" && typeof count === "number";
}

/** Looks at the larger sizes when it is run, and waits for its own. */
class Fitting implements Operation<Lease> {
  private readonly pools: BufferPools;
  private readonly index: number;
  constructor(pools: BufferPools, index: number) {
    this.pools = pools;
    this.index = index;
  }
  *[Symbol.iterator](): Generator<unknown, Lease, unknown> {
    const { pools } = this.pools;
    const best = pools[this.index]!;
    return this.pools.tryClaim(best.size) ?? (yield* best.claim());
  }
}
