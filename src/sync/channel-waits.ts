/** The two waits of a channel: one item on its way in, and one on its way out. */
import type { EmbeddedList } from "../coordinator/embedded-list.ts";
import { ClosedError, combineErrors } from "../coordinator/errors.ts";
import type { Task } from "../coordinator/task/task.ts";
import { Wait } from "../coordinator/wait.ts";
import type { Channel } from "./channel.ts";

/** What `receiveOrEnd` gives when nothing comes any more. */
export const END: unique symbol = Symbol("end of channel");
/** What `tryReceive` gives when nothing is there now. */
export const EMPTY: unique symbol = Symbol("empty channel");
/** The end of the channel that the wait belongs to has been closed. */
const DETACHED: unique symbol = Symbol("closed end");

/** One of several ends of a channel; closing it concerns its own waits only. */
export interface End {
  readonly closed: boolean;
}

/**
 * A send. From the moment it is run its item belongs to the channel: it reaches a receiver, or it is told to
 * `undelivered`. As an arm of a select that loses, or is killed, it has not been run.
 */
export class Send<T> extends Wait<void> {
  readonly item: T;
  readonly end: End | null;
  private readonly channel: Channel<T>;
  /** The item has been taken, or told of; it is no longer this wait's. */
  private gone = false;
  private refused = false;

  constructor(channel: Channel<T>, end: End | null, item: T) {
    super();
    this.channel = channel;
    this.end = end;
    this.item = item;
  }

  override describe(): string {
    return `send to ${this.channel.name}`;
  }

  protected override begin(task: Task): boolean {
    const { channel, end } = this;
    this.gone = false;
    this.refused = false;
    if (channel.closed || end?.closed === true) {
      this.lost("closed");
      throw channel.closedError();
    }
    if (channel.offer(this.item, task, false)) {
      this.gone = true;
      return true;
    }
    channel.senders.push(this);
    return false;
  }

  protected override finish(): void {
    if (this.refused) throw this.channel.closedError();
  }

  override abort(): boolean {
    this.channel.senders.remove(this);
    return true;
  }

  /** The task is unwound: what is still in its hand reaches nobody. */
  override return(value?: unknown): IteratorResult<unknown, void> {
    const result = super.return(value);
    if (!this.gone) this.lost("killed");
    return result;
  }

  /** It has left the queue, and its item has been taken. */
  taken(): void {
    this.gone = true;
    this.grant();
  }

  /** It has left the queue, since the channel or its end was closed. */
  refuse(): void {
    this.refused = true;
    this.grant();
    this.lost("closed");
  }

  private lost(why: "killed" | "closed"): void {
    this.gone = true;
    this.channel.lose(this.item, why, true);
  }
}

/** A receive. What it was handed and has not been seen goes to the next receiver when a kill wins. */
export class Receive<T> extends Wait<T | typeof END> {
  readonly end: End | null;
  protected readonly channel: Channel<T>;
  /** The end of the channel is a value, and no error. */
  private readonly orEnd: boolean;
  /** What it was handed. */
  private item: T | typeof EMPTY | typeof END | typeof DETACHED = EMPTY;
  /** The item's place in the order in which items left the channel. */
  private order = 0;

  constructor(channel: Channel<T>, end: End | null, orEnd: boolean) {
    super();
    this.channel = channel;
    this.end = end;
    this.orEnd = orEnd;
  }

  override describe(): string {
    return `receive from ${this.channel.name}`;
  }

  protected override begin(task: Task): boolean {
    const { channel, end } = this;
    if (end?.closed === true) {
      this.item = DETACHED;
      return true;
    }
    const item = channel.take(task);
    this.item = item;
    if (item !== EMPTY) {
      this.order = channel.taken;
      return true;
    }
    channel.receivers.push(this);
    return false;
  }

  protected override finish(task: Task): T | typeof END {
    let { item } = this;
    this.item = EMPTY;
    // What another receiver was handed before the channel was closed may have come back since.
    if (item === END) item = this.channel.take(task);
    if (item === END) return this.atEnd();
    if (item === DETACHED) throw this.channel.closedError();
    return item as T;
  }

  private atEnd(): typeof END {
    const { failure } = this.channel;
    if (failure !== null) throw failure.error;
    if (this.orEnd) return END;
    throw new ClosedError(`${this.channel.name} is closed, and everything in it has been received`);
  }

  override abort(): boolean {
    this.channel.receivers.remove(this);
    return true;
  }

  override rollback(): void {
    const { item } = this;
    this.item = EMPTY;
    if (item !== EMPTY && item !== END && item !== DETACHED) {
      this.channel.giveBack(item, this.order, this.task!);
    }
  }

  /** It has left the queue, with an item. */
  hand(item: T, order: number): void {
    this.item = item;
    this.order = order;
    this.grant();
  }

  /** It has left the queue: nothing comes any more, to the channel or to its end. */
  ended(detached: boolean): void {
    this.item = detached ? DETACHED : END;
    this.grant();
  }
}

/** @internal Refuses the senders that wait, all or those of `end`; a hook that throws does not stop it. */
export function refuseAll(senders: EmbeddedList<Send<any>>, end: End | null): void {
  const errors: unknown[] = [];
  for (const node of waitsOf(senders, end)) {
    // One before it may have taken it along: another arm of the same select, or the hook.
    if (senders.remove(node)) attempt(errors, () => node.refuse());
  }
  if (errors.length > 0) throw combineErrors(errors);
}

/** @internal Ends the receivers that wait at `end`. */
export function detachAll(receivers: EmbeddedList<Receive<any>>, end: End): void {
  for (const node of waitsOf(receivers, end)) if (receivers.remove(node)) node.ended(true);
}

function waitsOf<W extends Send<any> | Receive<any>>(waits: EmbeddedList<W>, end: End | null): W[] {
  const all = [...waits];
  return end === null ? all : all.filter((wait) => wait.end === end);
}

/** @internal Keeps what `action` throws. */
export function attempt(errors: unknown[], action: () => void): void {
  try {
    action();
  } catch (error) {
    errors.push(error);
  }
}
