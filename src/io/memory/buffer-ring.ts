/**
 * Buffers that the kernel takes itself when bytes arrive: many idle connections share a few of them, instead of
 * each holding one of its own. Source: conformance P13; io_uring_register_buf_ring(3).
 *
 * The ring is memory of ours that the kernel reads: 16 bytes for each buffer, and a 16-bit tail that lies over
 * the unused end of the first. A buffer is with the kernel from `give` until a completion names it.
 */

import { Embedded, EmbeddedList } from "../../coordinator/embedded-list.ts";
import { ClosedError, UsageError } from "../../coordinator/errors.ts";
import { describeValue } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../../coordinator/options.ts";
import { BUF_ADDR, BUF_BID, BUF_LEN, BUF_SIZE, BUF_TAIL } from "../../native/layout.ts";
import { IoError } from "../errno.ts";
import { currentIo, type Io } from "../io.ts";
import { shared } from "./memory.ts";

export interface BufferRingOptions {
  /** Bytes of one buffer: what one completion brings at most. Default 4 KiB. */
  readonly size?: number;
  /** How many there are, a power of two. Default 256. */
  readonly count?: number;
}

export interface BufferRingStatistics {
  readonly total: number;
  /** With the kernel. `total = free + held`. */
  readonly free: number;
  /** Full of bytes that nobody has read yet. */
  readonly held: number;
  /** Receivers that wait for a buffer. */
  readonly starving: number;
  /** Times a receiver had to. */
  readonly shortages: number;
}

const KNOWN: Known<BufferRingOptions> = { size: true, count: true };
const SIZE_DEFAULT = 4096;
const COUNT_DEFAULT = 256;
const COUNT_MAX = 32768;
const SIZE_MAX = 1 << 20;
/** The kernel wants the ring to begin on a page; the buffers follow on the next one. */
const PAGE = 4096;
const TWO_32 = 4294967296;

/** A receiver that wants a buffer. */
export abstract class Starving extends Embedded {
  /** @internal There is one now. */
  abstract fed(): void;
}

export class BufferRing {
  /** Bytes of one buffer. */
  readonly size: number;
  /** How many there are. */
  readonly count: number;
  /** @internal */ readonly io: Io;
  /** @internal */ readonly group: number;
  /** What the kernel reads addresses from, and the buffers: no property leads there. */
  readonly #memory: SharedArrayBuffer;
  readonly #view: DataView;
  readonly #halves: Uint16Array;
  private readonly ringAt: number;
  private readonly buffersAt: number;
  private readonly base: number;
  private tail = 0;
  private free = 0;
  private shortages = 0;
  private readonly starving: EmbeddedList<Starving> = new EmbeddedList();
  /** Receivers that are not over. */
  private users = 0;
  private closed = false;

  /**
   * @throws {UsageError} `COOP_ARGUMENT` for sizes that are out of range. @throws {IoError} `ENOMEM` where
   * locked memory is short (RLIMIT_MEMLOCK), `EINVAL` before Linux 5.19.
   */
  constructor(options?: BufferRingOptions) {
    checkOptions(options, "a BufferRing", KNOWN);
    const size = given(options, "size") ?? SIZE_DEFAULT;
    const count = given(options, "count") ?? COUNT_DEFAULT;
    if (!Number.isInteger(size) || size < 1 || size > SIZE_MAX) {
      throw new UsageError(
        "COOP_ARGUMENT",
        `a buffer has from 1 to ${SIZE_MAX} bytes, not ${describeValue(size)}`,
      );
    }
    if (!Number.isInteger(count) || count < 1 || count > COUNT_MAX || (count & (count - 1)) !== 0) {
      throw new UsageError(
        "COOP_ARGUMENT",
        `a ring has a power of two of buffers, up to ${COUNT_MAX}, not ${describeValue(count)}`,
      );
    }
    const io = currentIo("new BufferRing()");
    this.io = io;
    this.size = size;
    this.count = count;
    const ringBytes = Math.ceil((count * BUF_SIZE) / PAGE) * PAGE;
    this.#memory = shared(PAGE + ringBytes + count * size);
    const start = io.driver.memory.locate(new Uint8Array(this.#memory));
    this.ringAt = (PAGE - (start % PAGE)) % PAGE;
    this.buffersAt = this.ringAt + ringBytes;
    this.base = start + this.buffersAt;
    this.#view = new DataView(this.#memory);
    this.#halves = new Uint16Array(this.#memory, this.ringAt, (count * BUF_SIZE) / 2);
    this.group = io.bufferGroup();
    const ring = new Uint8Array(this.#memory, this.ringAt, ringBytes);
    const result = io.driver.registerBufferGroup(ring, count, this.group);
    if (result < 0) {
      io.freeBufferGroup(this.group);
      throw new IoError(result, "register_buf_ring");
    }
    for (let id = 0; id < count; id++) this.put(id);
    this.publish();
  }

  statistics(): BufferRingStatistics {
    return {
      total: this.count,
      free: this.free,
      held: this.count - this.free,
      starving: this.starving.length,
      shortages: this.shortages,
    };
  }

  /** Gives it up: no receiver can be made any more, and when the last has ended its memory is free. */
  [Symbol.dispose](): void {
    if (this.closed) return;
    this.closed = true;
    if (this.users === 0) this.unregister();
  }

  /** @internal A receiver begins. @throws {ClosedError} when it was disposed of. */
  enter(): void {
    if (this.closed) throw new ClosedError("receive: the BufferRing was disposed of");
    this.users++;
  }

  /** @internal A receiver has ended: nothing of it is in flight. */
  leave(): void {
    this.users--;
    if (this.closed && this.users === 0) this.unregister();
  }

  private unregister(): void {
    this.io.driver.unregisterBufferGroup(this.group);
    this.io.freeBufferGroup(this.group);
  }

  /** @internal A completion has named it: it is out of the kernel's hands. */
  taken(): void {
    this.free--;
  }

  /** @internal The bytes of a buffer. They are the kernel's again after {@link give}. */
  bytes(id: number, from: number, to: number): Uint8Array {
    const at = this.buffersAt + id * this.size;
    return new Uint8Array(this.#memory, at + from, to - from);
  }

  /** @internal The kernel may fill it again; whoever waits for one is told. */
  give(id: number): void {
    this.put(id);
    this.publish();
    // All of them: one that is fed may wait for bytes that never come, and keep the others waiting with it.
    for (let waiting = this.starving.length; waiting > 0; waiting--) this.starving.shift()!.fed();
  }

  /** @internal The kernel had none for this receiver. False when there is one by now. */
  starve(receiver: Starving): boolean {
    this.shortages++;
    if (this.free > 0) return false;
    this.starving.push(receiver);
    return true;
  }

  private put(id: number): void {
    const at = this.ringAt + (this.tail & (this.count - 1)) * BUF_SIZE;
    const address = this.base + id * this.size;
    this.#view.setUint32(at + BUF_ADDR, address % TWO_32, true);
    this.#view.setUint32(at + BUF_ADDR + 4, Math.floor(address / TWO_32), true);
    this.#view.setUint32(at + BUF_LEN, this.size, true);
    // Not a byte more: the tail lies behind the first of these.
    this.#view.setUint16(at + BUF_BID, id, true);
    this.tail = (this.tail + 1) & 0xffff;
    this.free++;
  }

  private publish(): void {
    Atomics.store(this.#halves, BUF_TAIL / 2, this.tail);
  }
}
