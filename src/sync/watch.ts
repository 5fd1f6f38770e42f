/**
 * A value that changes, and waiting for it to: a watcher sees the latest value and may skip those between.
 * Source: seeds X-25.
 */

import { EmbeddedList } from "../coordinator/embedded-list.ts";
import { ClosedError } from "../coordinator/errors.ts";
import type { Operation } from "../coordinator/operation.ts";
import { given, nameOf } from "../coordinator/options.ts";
import { Wait } from "../coordinator/wait.ts";
import type { Source } from "./channel.ts";
import { END } from "./channel-waits.ts";

export class Watch<T> {
  readonly name: string;
  private current: T;
  /** @internal Grows with every change. */
  version = 0;
  /** @internal */ closing: { readonly error: unknown } | null = null;
  /** @internal */ readonly waiters: EmbeddedList<Change<T>> = new EmbeddedList();

  constructor(value: T, options?: { readonly name?: string }) {
    this.current = value;
    this.name = nameOf(options, "watch");
  }

  get value(): T {
    return this.current;
  }

  /** Every assignment is a change, be the value the same or not. Throws a {@link ClosedError} after `close`. */
  set value(value: T) {
    if (this.closing !== null) throw new ClosedError(`${this.name} is closed`);
    this.current = value;
    this.version++;
    this.wake();
  }

  get closed(): boolean {
    return this.closing !== null;
  }

  /** Tasks that wait. O(1). */
  get waiting(): number {
    return this.waiters.length;
  }

  /** Has seen the present value: its first receive waits for a change. With `{ now: true }` it begins with it. */
  watch(options?: { readonly now?: boolean }): Watcher<T> {
    return new Watcher(this, given(options, "now") === true ? -1 : this.version);
  }

  /** The value stays. Watchers get a change they have not seen, and then the end, or `error`. */
  close(error?: unknown): void {
    if (this.closing !== null) return;
    this.closing = { error };
    this.wake();
  }

  private wake(): void {
    for (let node = this.waiters.shift(); node !== null; node = this.waiters.shift()) node.grant();
  }
}

/** One watcher; it holds nothing and need not be closed. */
export class Watcher<T> implements Source<T> {
  private readonly watched: Watch<T>;
  /** @internal The version it has seen last. */
  seen: number;

  /** @internal Made by {@link Watch.watch}. */
  constructor(watched: Watch<T>, seen: number) {
    this.watched = watched;
    this.seen = seen;
  }

  /** Waits for a value it has not seen, and gives the latest. Throws at the end, as a channel does. */
  receive(): Operation<T> {
    return new Change(this.watched, this, false) as Operation<T>;
  }

  /** Waits for a value it has not seen, and gives the latest, or {@link END}. */
  receiveOrEnd(): Operation<T | typeof END> {
    return new Change(this.watched, this, true);
  }
}

class Change<T> extends Wait<T | typeof END> {
  private readonly watched: Watch<T>;
  private readonly watcher: Watcher<T>;
  private readonly orEnd: boolean;
  /** What the watcher had seen when this began; another wait of the same watcher may see the change first. */
  private since = 0;

  constructor(watched: Watch<T>, watcher: Watcher<T>, orEnd: boolean) {
    super();
    this.watched = watched;
    this.watcher = watcher;
    this.orEnd = orEnd;
  }

  override describe(): string {
    return `change of ${this.watched.name}`;
  }

  protected override begin(): boolean {
    const { watched, watcher } = this;
    this.since = watcher.seen;
    if (watched.version !== watcher.seen || watched.closing !== null) return true;
    watched.waiters.push(this);
    return false;
  }

  protected override finish(): T | typeof END {
    const { watched, watcher } = this;
    if (watched.version !== this.since) {
      watcher.seen = watched.version;
      return watched.value;
    }
    const { error } = watched.closing!;
    if (error !== undefined) throw error;
    if (this.orEnd) return END;
    throw new ClosedError(`${watched.name} is closed`);
  }

  override abort(): boolean {
    this.watched.waiters.remove(this);
    return true;
  }
}
