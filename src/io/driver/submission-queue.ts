/**
 * The submission side of a ring: SQEs are written to its mapped memory, or behind those that wait for room in it, and
 * chains go in as a whole. What the kernel is to do is written here and nowhere else. Source: io_uring(7); seeds X-32,
 *
 */
import type { Slab } from "../../handle/slab.ts";
import type { NativeRing } from "../../native/binding.ts";
import * as abi from "../../native/layout.ts";
import type { Handle } from "../handle.ts";

/** Times a number below 2^53 it gives its high 32 bits. */
const TO_HIGH_WORD = 1 / 4294967296;

/** In the first word of an SQE: the next one begins when this one has succeeded. */
const LINK = abi.SQE_IO_LINK << abi.SQE_FLAGS_SHIFT;

/**
 * Operations of one chain. It is submitted as a whole, so it has to fit into the submission ring; and the longer it
 * is, the longer it keeps others from a ring that is nearly full.
 */
const CHAIN_MAX = 32;

/** SQEs that may wait for room before the memory they took is given back. */
const STAGED_KEPT = 4096;

export class SubmissionQueue {
  /** The most operations of a chain. */
  readonly chainMax: number;
  /** SQEs in the ring that the kernel has not taken yet. */
  queued = 0;
  /** The ring's words, where the tail is. */
  private readonly words: Int32Array;
  private readonly tailAt: number;
  private readonly sqes: Int32Array;
  private readonly entries: number;
  private readonly mask: number;
  /** Our copy of the index that only we move. */
  private tail: number;
  /** Where the next SQE goes: the ring, or behind those that wait for room in it, or into a chain. */
  private into: Int32Array;
  /** SQEs that found no room, in order: 16 words each, from `stagedHead` to `stagedTail`. */
  private staged: Int32Array = new Int32Array(0);
  private stagedHead = 0;
  private stagedTail = 0;
  /** SQEs of the chain that is being set up, how many, and where other SQEs go. */
  private readonly links: Int32Array;
  private linkCount = 0;
  private intoBefore: Int32Array;
  /** For each place of the ring, the last tail at which it was given to one of a chain that is not the first. */
  private readonly followers: Int32Array;
  /** Where the last SQE was written. */
  private lastInto: Int32Array;
  private lastAt = 0;

  constructor(ring: NativeRing, words: Int32Array) {
    this.words = words;
    this.tailAt = ring.sqTailOffset >> 2;
    this.sqes = new Int32Array(ring.sqeMemory);
    this.entries = ring.sqEntries;
    this.mask = ring.sqEntries - 1;
    this.tail = words[this.tailAt]!;
    this.into = this.sqes;
    this.chainMax = Math.min(CHAIN_MAX, ring.sqEntries);
    this.links = new Int32Array(this.chainMax * abi.SQE_WORDS);
    this.intoBefore = this.sqes;
    this.followers = new Int32Array(ring.sqEntries).fill(-1);
    this.lastInto = this.sqes;
  }

  /** SQEs that wait for room in the ring. */
  get waiting(): number {
    return this.stagedTail - this.stagedHead;
  }

  /** A chain is being set up. */
  get chaining(): boolean {
    return this.into === this.links;
  }

  /** Writes one SQE, all 16 words: the kernel acts on stale ones. `held` is where it waits, null for the queue. */
  write(
    held: Int32Array | null,
    head: number,
    fd: number,
    address: number,
    length: number,
    offset: number,
    opFlags: number,
    dataLow: number,
    dataHigh: number,
    buffer: number,
    extra: number,
  ): void {
    // The place comes first: whether there is room for it decides where it lies.
    const at = held === null ? this.place() : 0;
    const words = held ?? this.into;
    this.lastInto = words;
    this.lastAt = at;
    words[at] = head;
    words[at + 1] = fd;
    words[at + 2] = offset;
    // Rounded down, so that -1 fills both words.
    words[at + 3] = Math.floor(offset * TO_HIGH_WORD);
    words[at + 4] = address;
    words[at + 5] = address * TO_HIGH_WORD;
    words[at + 6] = length;
    words[at + 7] = opFlags;
    words[at + 8] = dataLow;
    words[at + 9] = dataHigh;
    words[at + 10] = buffer;
    words[at + 11] = extra;
    words[at + 12] = 0;
    words[at + 13] = 0;
    words[at + 14] = 0;
    words[at + 15] = 0;
  }

  /** Puts 64 bits, as two words, into the last SQE that was written. */
  setWide(word: number, low: number, high: number): void {
    this.lastInto[this.lastAt + word] = low;
    this.lastInto[this.lastAt + word + 1] = high;
  }

  /** Queues an SQE that was written elsewhere. */
  add(words: Int32Array): void {
    const at = this.place();
    copySqe(words, 0, this.into, at);
  }

  /** Makes everything in the ring visible to the kernel. */
  publish(): void {
    Atomics.store(this.words, this.tailAt, this.tail);
  }

  /** The kernel has taken the oldest of what was published. `slab` knows whose they are. */
  taken(count: number, slab: Slab<Handle>): void {
    if (count > 0 && count < this.queued) this.cutChain(count, slab);
    this.queued -= count;
  }

  /** Moves what has waited for room to the ring, as far as there is some. */
  unstage(): void {
    while (this.stagedHead < this.stagedTail) {
      // The kernel ends a chain where a submission ends: it goes as a whole, or waits.
      const count = this.linked(this.stagedHead);
      if (this.queued + count > this.entries) break;
      for (let i = 0; i < count; i++) this.put(this.staged, this.stagedHead++ * abi.SQE_WORDS, i > 0);
    }
    if (this.stagedHead === this.stagedTail) {
      this.into = this.sqes;
      this.stagedHead = 0;
      this.stagedTail = 0;
      if (this.staged.length > STAGED_KEPT * abi.SQE_WORDS) this.staged = new Int32Array(0);
    }
  }

  /** What is written from now on is one chain, up to {@link endChain} or {@link dropChain}. */
  beginChain(): void {
    this.intoBefore = this.into;
    this.into = this.links;
  }

  endChain(): void {
    const { links, linkCount } = this;
    this.linkCount = 0;
    this.into = this.intoBefore;
    for (let i = 0; i < linkCount - 1; i++) links[i * abi.SQE_WORDS]! |= LINK;
    const fits = this.into === this.sqes && this.queued + linkCount <= this.entries;
    for (let i = 0; i < linkCount; i++) {
      const from = i * abi.SQE_WORDS;
      if (fits) this.put(links, from, i > 0);
      else {
        const at = this.stage();
        copySqe(links, from, this.into, at);
      }
    }
  }

  /** Forgets the chain. @returns how many operations it had. */
  dropChain(): number {
    const { linkCount } = this;
    this.linkCount = 0;
    this.into = this.intoBefore;
    return linkCount;
  }

  /** Room for one SQE: where it begins in `into`. */
  private place(): number {
    if (this.queued >= this.entries || this.into !== this.sqes) return this.stage();
    const at = (this.tail & this.mask) << 4;
    this.tail = (this.tail + 1) | 0;
    this.queued++;
    return at;
  }

  /** Room for one SQE behind the others that wait. The operations in flight bound how many there are. */
  private stage(): number {
    if (this.into === this.links) return this.linkCount++ * abi.SQE_WORDS;
    const at = this.stagedTail * abi.SQE_WORDS;
    if (at === this.staged.length) {
      const grown = new Int32Array(Math.max(64 * abi.SQE_WORDS, at * 2));
      grown.set(this.staged);
      this.staged = grown;
    }
    this.into = this.staged;
    this.stagedTail++;
    return at;
  }

  /** How many staged SQEs, from this one on, are one chain: 1 for one that is none. */
  private linked(place: number): number {
    let count = 1;
    while ((this.staged[(place + count - 1) * abi.SQE_WORDS]! & LINK) !== 0) count++;
    return count;
  }

  /** Copies an SQE to the ring, where there is room. */
  private put(from: Int32Array, at: number, follows: boolean): void {
    if (follows) this.followers[this.tail & this.mask] = this.tail;
    copySqe(from, at, this.sqes, (this.tail & this.mask) << 4);
    this.tail = (this.tail + 1) | 0;
    this.queued++;
  }

  /**
   * The kernel has taken some of what was queued and stopped, for want of memory: a chain that this has cut in two is
   * over. What is left of it would no longer wait for its beginning, so it does nothing, and ends as cancelled.
   */
  private cutChain(taken: number, slab: Slab<Handle>): void {
    const { sqes, mask, followers } = this;
    for (let left = (this.tail - this.queued + taken) | 0; left !== this.tail; left = (left + 1) | 0) {
      if (followers[left & mask] !== left) return;
      const at = (left & mask) << 4;
      slab.get(sqes[at + abi.SQE_WORD_USER_DATA]!, sqes[at + abi.SQE_WORD_USER_DATA + 1]!)!.sever();
      sqes.fill(0, at, at + abi.SQE_WORD_USER_DATA);
      sqes[at] = abi.OP_NOP;
      sqes.fill(0, at + abi.SQE_WORD_BUFFER, at + abi.SQE_WORDS);
    }
  }
}

/** Word by word: a view of 16 words costs more than they do. */
function copySqe(from: Int32Array, at: number, to: Int32Array, toAt: number): void {
  for (let i = 0; i < abi.SQE_WORDS; i++) to[toAt + i] = from[at + i]!;
}
