/**
 * A queue between tasks: of a bounded number of items, or of none, so that each send meets a receive.
 *
 * ```
 *   senders wait ─▶ [ returned │ buffer ] ─▶ receivers wait
 * ```
 * At any time: receivers wait only where nothing is there to be received, senders only where nothing fits in,
 * both in order of arrival. An item goes straight to the oldest receiver, and a place straight to the oldest
 * sender: nobody who comes later can take either. `returned` holds items that were handed to a receiver which
 * was killed before it ran; they are older than the buffer, and go out first, in their old order.
 *
 * | state     | send, trySend | receive                                            |
 * |-----------|---------------|----------------------------------------------------|
 * | open      | accepted      | waits                                              |
 * | closed    | ClosedError   | what is left, then the end, or the error of `close` |
 * | abandoned | ClosedError   | the end                                            |
 *
 * Source: seeds C-210 … C-215, X-28.
 */

import { EmbeddedList } from "../coordinator/embedded-list.ts";
import { ClosedError, combineErrors, UsageError } from "../coordinator/errors.ts";
import { checkFunction, describeValue, type Operation, op } from "../coordinator/operation.ts";
import { checkName, checkOptions, type Known, ownOf } from "../coordinator/options.ts";
import { yieldNow } from "../coordinator/primitives.ts";
import { current } from "../coordinator/task/current.ts";
import type { Task } from "../coordinator/task/task.ts";
import { Receiver, Sender } from "./channel-ends.ts";
import { attempt, EMPTY, END, Receive, refuseAll, Send } from "./channel-waits.ts";
import { RingBuffer } from "./ring-buffer.ts";

export { EMPTY, END };

/** What becomes of a send when the channel is full. */
export type Overflow =
  /** It waits. The default. */
  | "wait"
  /** The oldest item is dropped. With capacity 1: the channel holds the latest. */
  | "sliding"
  /** The new item is dropped. */
  | "dropping";

/** Why an item reached nobody: its sender was killed, nobody receives any more, or there was no room. */
export type Undelivered = "killed" | "closed" | "overflow";

export interface ChannelOptions<T> {
  /** How many items it holds: from 0, the default, up. No memory is taken for what is not there. */
  readonly capacity?: number;
  readonly overflow?: Overflow;
  /** Gets every item that was given to `send` and reaches no receiver, once; to close what it holds, say. */
  readonly undelivered?: (item: T, why: Undelivered) => void;
  /** For dumps and error messages. */
  readonly name?: string;
}

/** `sent = received + undelivered + size`, at any time. */
export interface ChannelStatistics {
  /** Items that were given to the channel; those of senders that still wait are not. */
  readonly sent: number;
  /** Items that were handed to a receiver. */
  readonly received: number;
  /** Items that reach nobody. */
  readonly undelivered: number;
  /** Items in the channel. */
  readonly size: number;
  readonly capacity: number;
  readonly waitingSenders: number;
  readonly waitingReceivers: number;
}

/** What items can be received from. */
export interface Source<T> {
  /** Waits for an item. At the end it throws a {@link ClosedError}, or the error of `close`. */
  receive(): Operation<T>;
  /** Waits for an item, or for the {@link END}. Throws the error of `close` only. */
  receiveOrEnd(): Operation<T | typeof END>;
}

/** An item that was handed out and came back. */
interface Returned<T> {
  readonly item: T;
  readonly order: number;
}

const KNOWN: Known<ChannelOptions<unknown>> = {
  capacity: true,
  overflow: true,
  undelivered: true,
  name: true,
};

export class Channel<T> implements Source<T> {
  name: string;
  readonly capacity: number;
  /** @internal */ readonly senders: EmbeddedList<Send<T>> = new EmbeddedList();
  /** @internal */ readonly receivers: EmbeddedList<Receive<T>> = new EmbeddedList();
  /** @internal Items that have left it: the order of the last one. */
  taken = 0;
  /** @internal What it was closed with. */
  failure: { readonly error: unknown } | null = null;
  /** @internal Ends that are open. */
  senderEnds = 0;
  /** @internal */ receiverEnds = 0;
  private readonly overflow: Overflow;
  private readonly undelivered: ((item: T, why: Undelivered) => void) | null;
  private readonly buffer: RingBuffer<T> = new RingBuffer();
  private returned: Returned<T>[] | null = null;
  private isClosed = false;
  private isAbandoned = false;
  private sent = 0;
  private received = 0;
  private lost = 0;

  /** @throws {UsageError} `COOP_CAPACITY`, `COOP_OVERFLOW` for options that make no channel. */
  constructor(options?: number | ChannelOptions<T>) {
    if (typeof options !== "number") checkOptions(options, "a Channel", KNOWN);
    const own: ChannelOptions<T> = typeof options === "number" ? { capacity: options } : ownOf(options);
    const { capacity = 0, overflow = "wait", undelivered = null, name = "channel" } = own;
    if (!(Number.isInteger(capacity) || capacity === Number.POSITIVE_INFINITY) || capacity < 0) {
      throw new UsageError(
        "COOP_CAPACITY",
        `a channel holds 0 or more items, not ${describeValue(capacity)}`,
      );
    }
    if (overflow !== "wait" && overflow !== "sliding" && overflow !== "dropping") {
      throw new UsageError("COOP_OVERFLOW", 'the overflow of a channel is "wait", "sliding" or "dropping"');
    }
    if (overflow === "sliding" && capacity === 0) {
      throw new UsageError("COOP_OVERFLOW", "a sliding channel keeps the latest items: give it a capacity");
    }
    if (undelivered !== null) checkFunction(undelivered, "undelivered");
    checkName(name);
    this.name = name;
    this.capacity = capacity;
    this.overflow = overflow;
    this.undelivered = undelivered;
  }

  /** Items in it. */
  get size(): number {
    return this.returned === null ? this.buffer.length : this.buffer.length + this.returned.length;
  }

  /** True from `close` on: nothing can be sent any more. What is left can be received. */
  get closed(): boolean {
    return this.isClosed;
  }

  /**
   * Sends `item`, and waits until there is room, or a receiver where the capacity is 0. From then on the item
   * is the channel's: it reaches a receiver, or `undelivered` gets it.
   *
   * @throws {ClosedError} when the channel is closed, or is while this waits; `undelivered` gets the item.
   */
  send(item: T): Operation<void> {
    return new Send(this, null, item);
  }

  /**
   * Sends without waiting, from a task or from outside, an event listener say. False when there is no room, and
   * then the item is still the caller's.
   *
   * @throws {ClosedError} when the channel is closed.
   */
  trySend(item: T): boolean {
    if (this.isClosed) throw this.closedError();
    return this.offer(item, current.task, true);
  }

  /**
   * Sends all of `items`, in order. When it fails or is killed half-way, `undelivered` gets the rest of an array; an
   * iterator, which may have no end, is asked for one item at a time, and closed.
   *
   * @throws {UsageError} `COOP_NOT_ITERABLE` for anything else.
   */
  sendAll(items: Iterable<T>): Operation<void> {
    if (typeof items?.[Symbol.iterator] !== "function") {
      throw new UsageError("COOP_NOT_ITERABLE", `sendAll() takes an iterable, not ${describeValue(items)}`);
    }
    return sendAll(this, items) as Operation<void>;
  }

  receive(): Operation<T> {
    return new Receive(this, null, false) as Operation<T>;
  }

  /** @example for (let job; (job = yield* jobs.receiveOrEnd()) !== END; ) yield* handle(job); */
  receiveOrEnd(): Operation<T | typeof END> {
    return new Receive(this, null, true);
  }

  /** Takes an item without waiting: {@link EMPTY} when none is there, {@link END} when none comes any more. */
  tryReceive(): T | typeof EMPTY | typeof END {
    const item = this.take(current.task);
    if (item === END && this.failure !== null) throw this.failure.error;
    return item;
  }

  /** Takes up to `most` of the items that are there, without waiting. */
  drain(most: number = Number.POSITIVE_INFINITY): T[] {
    const items: T[] = [];
    while (items.length < most) {
      const item = this.take(current.task);
      if (item === EMPTY || item === END) break;
      items.push(item);
    }
    return items;
  }

  /**
   * Nothing is sent any more. Senders that wait get a {@link ClosedError}; receivers get what is left and then
   * the end, or `error`. Only the first call counts.
   */
  close(error?: unknown): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (error !== undefined) this.failure = { error };
    for (let node = this.receivers.shift(); node !== null; node = this.receivers.shift()) node.ended(false);
    refuseAll(this.senders, null);
  }

  /** Nobody receives any more: closes it, and `undelivered` gets what is left. Idempotent. */
  abandon(): void {
    this.isAbandoned = true;
    const errors: unknown[] = [];
    attempt(errors, () => this.close());
    while (this.size > 0) attempt(errors, () => this.lose(this.oldest(), "closed", false));
    if (errors.length > 0) throw combineErrors(errors);
  }

  /** An end to send through; when the last one is closed, the channel is. */
  sender(): Sender<T> {
    return new Sender(this);
  }

  /** An end to receive through; when the last one is closed, the channel is abandoned. */
  receiver(): Receiver<T> {
    return new Receiver(this);
  }

  [Symbol.dispose](): void {
    this.abandon();
  }

  statistics(): ChannelStatistics {
    return {
      sent: this.sent,
      received: this.received,
      undelivered: this.lost,
      size: this.size,
      capacity: this.capacity,
      waitingSenders: this.senders.length,
      waitingReceivers: this.receivers.length,
    };
  }

  /** @internal Takes `item` from `task` if there is a receiver, room, or a rule for where there is none. */
  offer(item: T, task: Task | null, try_: boolean): boolean {
    if ((item as unknown) === END || (item as unknown) === EMPTY) throw notAnItem(this.name);
    if (this.receivers.length !== 0) {
      const receiver = firstOfOthers(this.receivers, task);
      if (receiver !== null) {
        this.receivers.remove(receiver);
        this.sent++;
        this.received++;
        receiver.hand(item, ++this.taken);
        return true;
      }
    }
    if (this.size < this.capacity) {
      this.sent++;
      this.buffer.push(item);
      return true;
    }
    if (this.overflow === "wait" || (try_ && this.overflow === "dropping")) return false;
    if (this.overflow === "dropping") this.lose(item, "overflow", true);
    else {
      const oldest = this.oldest();
      this.sent++;
      this.buffer.push(item);
      this.lose(oldest, "overflow", false);
    }
    return true;
  }

  /** @internal Gives the oldest item to `task`, {@link EMPTY}, or {@link END}. */
  take(task: Task | null): T | typeof EMPTY | typeof END {
    if (this.size === 0) {
      const sender = this.senders.length === 0 ? null : firstOfOthers(this.senders, task);
      if (sender === null) return this.isClosed ? END : EMPTY;
      this.senders.remove(sender);
      this.sent++;
      this.received++;
      this.taken++;
      sender.taken();
      return sender.item;
    }
    const item = this.oldest();
    this.received++;
    this.taken++;
    if (this.senders.length !== 0) this.admit();
    return item;
  }

  /** @internal A receiver was killed with `item` in its hand. */
  giveBack(item: T, order: number, task: Task): void {
    this.received--;
    if (this.isAbandoned) {
      try {
        this.lose(item, "closed", false);
      } catch (error) {
        task.cooperator.report({ kind: "hook", task, where: `undelivered of ${this.name}`, error });
      }
      return;
    }
    const next = this.receivers.shift();
    if (next !== null) {
      this.received++;
      next.hand(item, order);
      return;
    }
    this.returned ??= [];
    const { returned } = this;
    let at = returned.length;
    while (at > 0 && returned[at - 1]!.order > order) at--;
    returned.splice(at, 0, { item, order });
  }

  /** @internal An item reaches nobody; `unsent` when it was never in the channel. */
  lose(item: T, why: Undelivered, unsent: boolean): void {
    if (unsent) this.sent++;
    this.lost++;
    this.undelivered?.(item, why);
  }

  /** @internal */
  closedError(): ClosedError {
    const { failure } = this;
    const options = failure === null ? undefined : { cause: failure.error };
    return new ClosedError(`${this.name} is closed`, options);
  }

  private oldest(): T {
    const { returned } = this;
    if (returned === null) return this.buffer.shift();
    const { item } = returned.shift()!;
    if (returned.length === 0) this.returned = null;
    return item;
  }

  /** A place has become free: the oldest sender gets it. */
  private admit(): void {
    if (this.size >= this.capacity) return;
    const sender = this.senders.shift()!;
    this.sent++;
    this.buffer.push(sender.item);
    sender.taken();
  }
}

/** The oldest wait that is not of `task` itself: a task that selects both ends does not meet itself. */
function firstOfOthers<W extends Send<any> | Receive<any>>(
  waits: EmbeddedList<W>,
  task: Task | null,
): W | null {
  let wait = waits.peek();
  while (wait !== null && task !== null && wait.task === task) wait = wait.after as W | null;
  return wait;
}

function notAnItem(name: string): UsageError {
  return new UsageError(
    "COOP_NOT_AN_ITEM",
    `END and EMPTY say that ${name} has no item; they cannot be sent`,
  );
}

/** Items that may be sent without a wait before others have their turn: the source may have no end. */
const SENDS_IN_A_ROW = 64;

const sendAll = op(function* sendAll(channel: Channel<any>, items: Iterable<unknown>) {
  // What is not there before it is asked for cannot be lost.
  if (!Array.isArray(items)) return yield* sendEach(channel, items);
  const all = [...items];
  let next = 0;
  try {
    while (next < all.length) yield* channel.send(all[next++]);
  } finally {
    loseAll(channel, all.slice(next));
  }
});

const sendEach = op(function* sendEach(channel: Channel<any>, items: Iterable<unknown>) {
  let row = 0;
  for (const item of items) {
    yield* channel.send(item);
    if (++row % SENDS_IN_A_ROW === 0) yield* yieldNow();
  }
});

/** What was given to `sendAll` and not sent. A hook that throws does not keep the rest from it. */
function loseAll(channel: Channel<any>, items: readonly unknown[]): void {
  const errors: unknown[] = [];
  for (const item of items)
    attempt(errors, () => channel.lose(item, channel.closed ? "closed" : "killed", true));
  if (errors.length > 0) throw combineErrors(errors);
}
