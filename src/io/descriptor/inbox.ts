/**
 * What has come for whoever reads next: results of reads whose task was killed, and the error that has ended
 * reading. The kernel hands each out once; what is not kept here is lost. The rule, for streams and messages:
 *
 * 1. What is kept comes before anything the kernel still has, in the order in which it arrived.
 * 2. A message stays whole, with its sender. Bytes of a stream have no boundaries.
 * 3. An error that has ended the stream comes behind all bytes, and stays: every later read is told.
 * 4. One reader at a time asks the kernel of a stream, and only while nothing is kept: so no more is kept than one
 *    operation brings, or a receiver holds. Of messages, no more than were being received at once.
 * 5. Descriptors that came with a byte go to whoever receives descriptors, and are closed by whoever reads bytes.
 * 6. A close drops it. Whatever gives the number to somebody else is refused while there is something: a release, a
 *    splice from it, passing it to another process. The number alone would lose it.
 *
 * Source: seeds X-10; conformance B09, P15, S14.
 */
import { ECONNRESET, ENETRESET, EPIPE, ETIMEDOUT } from "../errno.ts";
import type { Address } from "../socket/address.ts";

/** What ends a connection: the kernel says so once, and a truncated stream must not look like a complete one. */
const ENDING: ReadonlySet<number> = new Set([-ECONNRESET, -ETIMEDOUT, -ENETRESET, -EPIPE]);

/** What has come with a byte, such as descriptors that were passed: dropped when that is read as a mere byte. */
export interface Attached {
  drop(): void;
}

/** One arrival. */
export class Kept {
  readonly bytes: Uint8Array;
  /** A message: handed out in one go. */
  readonly whole: boolean;
  /** Of a message: its sender, and whether it was longer than the buffer it came to. */
  readonly from: Address | null;
  readonly truncated: boolean;
  /** Its place in the order of arrival. */
  readonly order: number;
  /** Bytes that have been handed out. */
  taken = 0;
  /** What has come with its first byte, of a stream. */
  attached: Attached | null = null;
  next: Kept | null = null;

  constructor(bytes: Uint8Array, whole: boolean, from: Address | null, truncated: boolean, order: number) {
    this.bytes = bytes;
    this.whole = whole;
    this.from = from;
    this.truncated = truncated;
    this.order = order;
  }
}

export class Inbox {
  /** What arrives are messages, also for who reads them as bytes. */
  messages = false;
  private first: Kept | null = null;
  private last: Kept | null = null;
  private arrivals = 0;
  /** -errno that has ended reading. */
  private ending = 0;
  /** -errno with which a send has lost the connection: the kernel may have told that send only. */
  private lost = 0;
  private closed = false;

  /** A read has to begin with {@link take}, and not with the kernel. */
  get waiting(): boolean {
    return this.first !== null || this.ending !== 0;
  }

  /** There are bytes, or a message. */
  get filled(): boolean {
    return this.first !== null;
  }

  /** Bytes that are kept. */
  get bytes(): number {
    let count = 0;
    for (let kept = this.first; kept !== null; kept = kept.next) count += kept.bytes.length - kept.taken;
    return count;
  }

  /** Arrivals that are kept; of messages, how many there are. */
  get length(): number {
    let count = 0;
    for (let kept = this.first; kept !== null; kept = kept.next) count++;
    return count;
  }

  /** -errno that has ended reading, 0 while nothing has. */
  get error(): number {
    return this.ending;
  }

  /** Takes over a copy of bytes that were received for nobody, and what has come with them. */
  keep(bytes: Uint8Array, attached: Attached | null = null): void {
    this.append(Uint8Array.from(bytes), this.messages, null, false, attached);
  }

  /** Likewise a message, which may be empty. */
  keepMessage(bytes: Uint8Array, from: Address | null, truncated: boolean): void {
    this.append(Uint8Array.from(bytes), true, from, truncated);
  }

  /** A reader was killed before it saw what it had got from {@link take}: that is the first again. */
  putBack(bytes: Uint8Array, attached: Attached | null = null): void {
    if (this.closed || (bytes.length === 0 && !this.messages)) {
      attached?.drop();
      return;
    }
    const kept = new Kept(Uint8Array.from(bytes), this.messages, null, false, -1);
    kept.attached = attached;
    kept.next = this.first;
    this.first = kept;
    this.last ??= kept;
  }

  /** Likewise the message it had got from {@link takeMessage}: it gets its place back. */
  putBackMessage(message: Kept): void {
    if (this.closed) return;
    let before: Kept | null = null;
    for (let at = this.first; at !== null && at.order < message.order; at = at.next) before = at;
    message.next = before === null ? this.first : before.next;
    if (before === null) this.first = message;
    else before.next = message;
    if (message.next === null) this.last = message;
  }

  /**
   * What a read gets while {@link waiting}: the count of bytes copied to `into`, which is not empty, or the -errno
   * that has ended reading. Of a message, what does not fit is gone, as it would be with the kernel.
   */
  take(into: Uint8Array): number {
    if (this.first === null) return this.ending;
    if (this.first.whole) return copy(this.takeMessage()!, into, 0);
    let count = 0;
    for (let kept = this.first; kept !== null && count < into.length; kept = this.first) {
      if (kept.whole || (count > 0 && kept.attached !== null)) break;
      count += copy(kept, into, count);
      if (kept.taken === kept.bytes.length) this.shift();
    }
    return count;
  }

  /** What has come with the byte that {@link take} would give first; who takes it has it. */
  detach(): Attached | null {
    const { first } = this;
    if (first === null) return null;
    const { attached } = first;
    first.attached = null;
    return attached;
  }

  /** The oldest arrival, whole; null when there is none. */
  takeMessage(): Kept | null {
    const { first } = this;
    if (first !== null) this.shift();
    return first;
  }

  /** A read of the stream has failed. Only what ends it for good is kept. */
  readFailed(result: number): void {
    if (ENDING.has(result)) this.ending = result;
  }

  /** A send was told that the connection is lost: what is left to be read can be, and is not all. */
  sendFailed(result: number): void {
    // A peer that reads no more may still have sent all it had to.
    if (result !== -EPIPE && ENDING.has(result)) this.lost = result;
  }

  /** The kernel has no more bytes: 0, or the -errno with which the stream has really ended. */
  ended(): number {
    if (this.lost !== 0) this.ending = this.lost;
    return this.lost;
  }

  /** Drops everything, and what comes later. */
  close(): void {
    this.closed = true;
    for (let kept = this.first; kept !== null; kept = kept.next) kept.attached?.drop();
    this.first = null;
    this.last = null;
  }

  private append(
    bytes: Uint8Array,
    whole: boolean,
    from: Address | null,
    truncated: boolean,
    attached: Attached | null = null,
  ): void {
    if (this.closed || (bytes.length === 0 && !whole)) {
      attached?.drop();
      return;
    }
    const kept = new Kept(bytes, whole, from, truncated, this.arrivals++);
    kept.attached = attached;
    if (this.last === null) this.first = kept;
    else this.last.next = kept;
    this.last = kept;
  }

  private shift(): void {
    const first = this.first!;
    this.first = first.next;
    first.next = null;
    if (this.first === null) this.last = null;
  }
}

/** Copies what is left of `kept` to `into` from `at`, as far as there is room. */
function copy(kept: Kept, into: Uint8Array, at: number): number {
  const { bytes, taken } = kept;
  const count = Math.min(bytes.length - taken, into.length - at);
  into.set(bytes.subarray(taken, taken + count), at);
  kept.taken += count;
  if (kept.attached !== null) {
    kept.attached.drop();
    kept.attached = null;
  }
  return count;
}
