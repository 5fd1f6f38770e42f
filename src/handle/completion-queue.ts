/**
 * Finished handles in the order of their completion: one task keeps many operations in flight and reaps
 * whichever is done next, or another task reaps for it.
 *
 * A handle is a node of the queue itself, so a completion allocates nothing. Source: seeds M-034, M-050 … M-053.
 */
import { EmbeddedList } from "../coordinator/embedded-list.ts";
import type { Operation } from "../coordinator/operation.ts";
import { Wait } from "../coordinator/wait.ts";
import type { Handle } from "./handle.ts";

/**
 * @example
 * const done = new CompletionQueue<Handle>();
 * for (const handle of handles) {
 *   handle.queue = done;
 *   setupRead(handle, file, bufferOf(handle), { position: nextPosition() });
 * }
 * while (done.expected > 0) {
 *   const handle = yield* done.take();
 *   handle.result; // bytes, or -errno
 * }
 */
export class CompletionQueue<H extends Handle = Handle> {
  /** Operations that were set up with this queue, and are pending or not taken yet. */
  expected = 0;
  private readonly finished: EmbeddedList<H> = new EmbeddedList();
  private readonly waiters: EmbeddedList<Take<H>> = new EmbeddedList();

  /** Handles that are done and not taken. O(1). */
  get ready(): number {
    return this.finished.length;
  }

  /**
   * Waits for the next handle that is done, oldest completion first. When several tasks wait, each handle
   * goes to one of them, first come first served. With nothing `expected` it waits until something is set up.
   */
  take(): Operation<H> {
    return new Take(this);
  }

  /** The next handle that is done, or null. */
  tryTake(): H | null {
    const handle = this.finished.shift();
    if (handle !== null) this.expected--;
    return handle;
  }

  /** @internal An operation has been handed over. */
  submitted(): void {
    this.expected++;
  }

  /** @internal It is over. */
  completed(handle: H): void {
    const waiter = this.waiters.shift();
    if (waiter === null) this.finished.push(handle);
    else waiter.give(handle);
  }

  /** @internal It is set up again without having been taken. */
  forget(handle: H): void {
    if (this.finished.remove(handle)) this.expected--;
  }

  /** @internal A taker was killed after it had been given a handle: the next one gets it, before all others. */
  giveBack(handle: H): void {
    const waiter = this.waiters.shift();
    if (waiter === null) this.finished.unshift(handle);
    else waiter.give(handle);
  }

  /** @internal */
  wait(waiter: Take<H>): void {
    this.waiters.push(waiter);
  }
}

class Take<H extends Handle> extends Wait<H> {
  private readonly queue: CompletionQueue<H>;
  private handle: H | null = null;

  constructor(queue: CompletionQueue<H>) {
    super();
    this.queue = queue;
  }

  override describe(): string {
    return "the next completion";
  }

  give(handle: H): void {
    this.handle = handle;
    this.grant();
  }

  protected override begin(): boolean {
    this.handle = this.queue.tryTake();
    if (this.handle !== null) {
      // Counted down when the task sees it.
      this.queue.expected++;
      return true;
    }
    this.queue.wait(this);
    return false;
  }

  protected override finish(): H {
    const handle = this.handle!;
    this.handle = null;
    this.queue.expected--;
    return handle;
  }

  override abort(): boolean {
    this.list?.remove(this);
    return true;
  }

  override rollback(): void {
    const handle = this.handle!;
    this.handle = null;
    this.queue.giveBack(handle);
  }
}
