/**
 * Permits in one FIFO of requests of any size: what a semaphore and a read-write lock are made of.
 *
 * Strictly first come, first served: a request that fits waits behind one that does not, so a large request is
 * never starved by small ones. When the first in line leaves, those behind it that fit go at once.
 */
import { EmbeddedList } from "../coordinator/embedded-list.ts";
import type { Task } from "../coordinator/task/task.ts";
import { QueuedWait } from "./queued.ts";

export class PermitQueue {
  total: number;
  /** Permits that are given out; more than `total` after a reduction. */
  held = 0;
  readonly waiters: EmbeddedList<PermitWait<unknown>> = new EmbeddedList();

  constructor(total: number) {
    this.total = total;
  }

  /** Takes `amount` unless others wait or it does not fit. */
  take(amount: number): boolean {
    if (this.waiters.length !== 0 || this.held + amount > this.total) return false;
    this.held += amount;
    return true;
  }

  /** Gives `amount` back, and to whoever is next. */
  give(amount: number): void {
    this.held -= amount;
    this.serve();
  }

  /** Gives permits to waiters, oldest first, until one does not fit. */
  serve(): void {
    for (let first = this.waiters.peek(); first !== null; first = this.waiters.peek()) {
      if (this.held + first.wanted > this.total) return;
      this.waiters.shift();
      this.held += first.wanted;
      first.grant();
    }
  }
}

export abstract class PermitWait<A> extends QueuedWait<A> {
  readonly queue: PermitQueue;
  readonly wanted: number;

  constructor(queue: PermitQueue, wanted: number) {
    super();
    this.queue = queue;
    this.wanted = wanted;
  }

  protected override begin(_task: Task): boolean {
    const { queue } = this;
    if (queue.take(this.wanted)) return true;
    queue.waiters.push(this);
    return false;
  }

  override abort(): boolean {
    const { queue } = this;
    const first = queue.waiters.peek() === this;
    queue.waiters.remove(this);
    if (first) queue.serve();
    return true;
  }

  override rollback(): void {
    const { queue } = this;
    // Somebody else may have given back more than its own: then there is less to hand back.
    if (this.failure === null) queue.give(Math.min(this.wanted, queue.held));
    this.failure = null;
  }
}
