/**
 * Objects by number, with a generation that changes at every reuse: a reference that outlived its object is
 * told from one that is alive in O(1). Source: seeds B-01 … B-12, X-61.
 *
 * Freed places are reused in the order in which they were freed, so that a place rests as long as possible
 * before a stale reference to it could meet a new owner.
 */
import { UsageError } from "../coordinator/errors.ts";

/** Places a slab starts with. */
const CAPACITY_MIN = 64;
const NONE = -1;

export class Slab<T extends object> {
  /** Most objects at once. */
  readonly limit: number;
  private entries: (T | null)[] = [];
  private generations = new Int32Array(0);
  /** Next free place after a free one. */
  private links = new Int32Array(0);
  private freeHead = NONE;
  private freeTail = NONE;
  private count = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Objects in the slab. */
  get live(): number {
    return this.count;
  }

  get capacity(): number {
    return this.entries.length;
  }

  /**
   * Puts `value` in and returns its index, below {@link limit}.
   *
   * @throws {UsageError} `COOP_LIMIT` when the slab is full.
   */
  claim(value: T): number {
    if (this.freeHead === NONE) this.grow();
    const index = this.freeHead;
    this.freeHead = this.links[index]!;
    if (this.freeHead === NONE) this.freeTail = NONE;
    this.entries[index] = value;
    this.count++;
    return index;
  }

  /** The generation of a place, as a signed 32-bit number; with the index it names one object for ever. */
  generation(index: number): number {
    return this.generations[index]!;
  }

  /** A new generation for the object at `index`, which stays where it is. */
  renew(index: number): number {
    const next = (this.generations[index]! + 1) | 0;
    this.generations[index] = next;
    return next;
  }

  /** The object, or null when `generation` is not the current one or nothing is there. */
  get(index: number, generation: number): T | null {
    // Out of range the generation is undefined, and equal to none.
    return this.generations[index] === generation ? this.entries[index]! : null;
  }

  /** Takes the object out. Returns false, and changes nothing, for a stale reference. */
  free(index: number, generation: number): boolean {
    if (this.get(index, generation) === null) return false;
    this.entries[index] = null;
    this.generations[index] = generation + 1;
    this.links[index] = NONE;
    if (this.freeTail === NONE) this.freeHead = index;
    else this.links[this.freeTail] = index;
    this.freeTail = index;
    this.count--;
    return true;
  }

  /** Calls `visit` for every object. */
  visit(visit: (value: T) => void): void {
    for (const entry of this.entries) if (entry !== null) visit(entry);
  }

  private grow(): void {
    const before = this.entries.length;
    if (before >= this.limit) {
      throw new UsageError("COOP_LIMIT", `more than ${this.limit} at once; wait for some to end first`);
    }
    const after = Math.min(Math.max(before * 2, CAPACITY_MIN), this.limit);
    const generations = new Int32Array(after);
    generations.set(this.generations);
    const links = new Int32Array(after);
    links.set(this.links);
    for (let i = before; i < after; i++) {
      this.entries.push(null);
      links[i] = i + 1 === after ? NONE : i + 1;
    }
    this.generations = generations;
    this.links = links;
    this.freeHead = before;
    this.freeTail = after - 1;
  }
}
