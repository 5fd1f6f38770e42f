/**
 * A channel whose every subscriber gets every item. The publisher never waits: a subscriber that falls behind by
 * more than its `lag` loses the oldest, is told how many when it next receives, and holds nobody else up.
 * Source: seeds X-25; conformance J12, J13.
 */

import { Embedded, EmbeddedList } from "../coordinator/embedded-list.ts";
import { brand, ClosedError, CoopError } from "../coordinator/errors.ts";
import type { Operation } from "../coordinator/operation.ts";
import { given, nameOf } from "../coordinator/options.ts";
import type { Task } from "../coordinator/task/task.ts";
import { Channel, type Source } from "./channel.ts";
import { type EMPTY, type END, Receive } from "./channel-waits.ts";

/** A subscriber was too slow: `missed` items are gone. The next receive goes on with the oldest that is left. */
export class LagError extends CoopError {
  static override readonly brand = "LagError";
  readonly missed: number;
  constructor(message: string, missed: number, options?: ErrorOptions) {
    super("COOP_LAG", message, options);
    this.missed = missed;
  }
}
brand(LagError);

export interface SubscribeOptions {
  /** How many items it may be behind; default 16. */
  readonly lag?: number;
  readonly name?: string;
}

const LAG_DEFAULT = 16;

export class Broadcast<T> {
  readonly name: string;
  private readonly subscriptions: EmbeddedList<Subscription<T>> = new EmbeddedList();
  private closing: { readonly error: unknown } | null = null;

  constructor(options?: { readonly name?: string }) {
    this.name = nameOf(options, "broadcast");
  }

  /** Subscribers. O(1). */
  get size(): number {
    return this.subscriptions.length;
  }

  get closed(): boolean {
    return this.closing !== null;
  }

  /**
   * Gives `item` to every subscriber. Never waits and runs none of their code.
   *
   * @throws {ClosedError} when the broadcast is closed.
   */
  publish(item: T): void {
    if (this.closing !== null) throw new ClosedError(`${this.name} is closed`);
    for (const subscription of this.subscriptions) subscription.channel.trySend(item);
  }

  /** Gets what is published from now on: `using updates = topic.subscribe()` ends it however the block ends. */
  subscribe(options?: SubscribeOptions): Subscription<T> {
    const subscription = new Subscription<T>(this.name, options);
    if (this.closing === null) this.subscriptions.push(subscription);
    else subscription.channel.close(this.closing.error);
    return subscription;
  }

  /** Subscribers get what they have not received yet, and then the end, or `error`. Only the first call counts. */
  close(error?: unknown): void {
    if (this.closing !== null) return;
    this.closing = { error };
    for (let node = this.subscriptions.shift(); node !== null; node = this.subscriptions.shift()) {
      node.channel.close(error);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** One subscriber's part of a broadcast. */
export class Subscription<T> extends Embedded implements Source<T> {
  /** @internal */ readonly channel: Channel<T>;
  /** Items it has missed since it was last told. */
  missed = 0;

  /** @internal Made by {@link Broadcast.subscribe}. */
  constructor(topic: string, options: SubscribeOptions | undefined) {
    super();
    this.channel = new Channel<T>({
      capacity: given(options, "lag") ?? LAG_DEFAULT,
      overflow: "sliding",
      name: nameOf(options, `subscription to ${topic}`),
      undelivered: (_item, why) => {
        if (why === "overflow") this.missed++;
      },
    });
  }

  /** Items that wait to be received. */
  get size(): number {
    return this.channel.size;
  }

  /** @throws {LagError} once, when items were lost since the last receive. */
  receive(): Operation<T> {
    return new SubscriptionReceive(this, false) as Operation<T>;
  }

  /** @throws {LagError} once, when items were lost since the last receive. */
  receiveOrEnd(): Operation<T | typeof END> {
    return new SubscriptionReceive(this, true);
  }

  /** @throws {LagError} once, when items were lost since the last receive. */
  tryReceive(): T | typeof EMPTY | typeof END {
    if (this.missed > 0) throw this.lag();
    return this.channel.tryReceive();
  }

  /** Leaves the broadcast, in O(1). Its receives end. Idempotent. */
  close(): void {
    this.list?.remove(this);
    this.channel.abandon();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  lag(): LagError {
    const { missed } = this;
    this.missed = 0;
    return new LagError(`${this.channel.name} was too slow and has missed ${missed} items`, missed);
  }
}

class SubscriptionReceive<T> extends Receive<T> {
  private readonly subscription: Subscription<T>;
  private lagged = false;

  constructor(subscription: Subscription<T>, orEnd: boolean) {
    super(subscription.channel, null, orEnd);
    this.subscription = subscription;
  }

  protected override begin(task: Task): boolean {
    this.lagged = this.subscription.missed > 0;
    return this.lagged || super.begin(task);
  }

  protected override finish(task: Task): T | typeof END {
    if (!this.lagged) return super.finish(task);
    this.lagged = false;
    throw this.subscription.lag();
  }
}
