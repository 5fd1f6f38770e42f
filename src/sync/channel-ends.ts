/**
 * Ends of a channel that are counted, for several producers or consumers that stop one by one. Closing an end
 * concerns the waits that were begun through it. Source: conformance J09.
 */
import { ClosedError } from "../coordinator/errors.ts";
import type { Operation } from "../coordinator/operation.ts";
import type { Channel, Source } from "./channel.ts";
import { detachAll, type EMPTY, type END, type End, Receive, refuseAll, Send } from "./channel-waits.ts";

/** An end to send through. `using sender = channel.sender()` closes it however the block ends. */
export class Sender<T> implements End {
  private readonly channel: Channel<T>;
  private isClosed = false;

  /** @internal Made by {@link Channel.sender}. */
  constructor(channel: Channel<T>) {
    if (channel.closed) throw channel.closedError();
    this.channel = channel;
    channel.senderEnds++;
  }

  get closed(): boolean {
    return this.isClosed;
  }

  /** See {@link Channel.send}. */
  send(item: T): Operation<void> {
    return new Send(this.channel, this, item);
  }

  /** See {@link Channel.trySend}. */
  trySend(item: T): boolean {
    this.checkOpen();
    return this.channel.trySend(item);
  }

  /** Another end, for another producer. */
  clone(): Sender<T> {
    this.checkOpen();
    return new Sender(this.channel);
  }

  /** Senders that wait at this end get a {@link ClosedError}. The last one closes the channel. Idempotent. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    const last = --this.channel.senderEnds === 0;
    if (last) this.channel.close();
    else refuseAll(this.channel.senders, this);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private checkOpen(): void {
    if (this.isClosed) throw new ClosedError(`this end of ${this.channel.name} is closed`);
  }
}

/** An end to receive through. `using receiver = channel.receiver()` closes it however the block ends. */
export class Receiver<T> implements End, Source<T> {
  private readonly channel: Channel<T>;
  private isClosed = false;

  /** @internal Made by {@link Channel.receiver}. */
  constructor(channel: Channel<T>) {
    this.channel = channel;
    channel.receiverEnds++;
  }

  get closed(): boolean {
    return this.isClosed;
  }

  receive(): Operation<T> {
    return new Receive(this.channel, this, false) as Operation<T>;
  }

  receiveOrEnd(): Operation<T | typeof END> {
    return new Receive(this.channel, this, true);
  }

  /** See {@link Channel.tryReceive}. */
  tryReceive(): T | typeof EMPTY | typeof END {
    this.checkOpen();
    return this.channel.tryReceive();
  }

  /** See {@link Channel.drain}. */
  drain(most?: number): T[] {
    this.checkOpen();
    return this.channel.drain(most);
  }

  /** Another end, for another consumer. */
  clone(): Receiver<T> {
    this.checkOpen();
    return new Receiver(this.channel);
  }

  /** Receivers that wait at this end get a {@link ClosedError}. The last one abandons the channel. Idempotent. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    detachAll(this.channel.receivers, this);
    if (--this.channel.receiverEnds === 0) this.channel.abandon();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private checkOpen(): void {
    if (this.isClosed) throw new ClosedError(`this end of ${this.channel.name} is closed`);
  }
}
