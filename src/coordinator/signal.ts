/**
 * A one-shot broadcast: once notified, every wait passes, for ever. There is no reset.
 * Source: seeds C-050 … C-054.
 */

import type { Coordinated } from "./coordinated.ts";
import { EmbeddedList } from "./embedded-list.ts";
import type { Operation } from "./operation.ts";
import { nameOf } from "./options.ts";
import { Continuation, type ContinueOptions } from "./scheduler/continuation.ts";
import { Wait } from "./wait.ts";

export class Signal {
  /** For dumps and error messages. */
  name: string;
  private isSignaled = false;
  /** @internal */ readonly waiters: EmbeddedList<Coordinated> = new EmbeddedList();

  constructor(options?: { readonly name?: string }) {
    this.name = nameOf(options, "signal");
  }

  get signaled(): boolean {
    return this.isSignaled;
  }

  /** Tasks that wait. O(1). */
  get waiting(): number {
    return this.waiters.length;
  }

  /** Wakes every waiter, oldest first, and lets all later waits pass. Idempotent; never suspends. */
  notify(): void {
    this.isSignaled = true;
    // Waiters only become ready here and none can queue again, so the list just runs empty.
    for (let node = this.waiters.shift(); node !== null; node = this.waiters.shift()) node.grant();
  }

  /** Calls `fn` after the notification, from the loop; see `Coordinator.continue`. */
  continue<A>(fn: () => A, options?: ContinueOptions): Continuation<A> {
    const continuation = new Continuation(fn, null, this.name, options);
    if (this.isSignaled) continuation.grant();
    else this.waiters.push(continuation);
    return continuation;
  }

  /** Waits for the notification; passes at once when it has happened. */
  wait(): Operation<void> {
    return new SignalWait(this);
  }
}

class SignalWait extends Wait<void> {
  private readonly signal: Signal;
  constructor(signal: Signal) {
    super();
    this.signal = signal;
  }
  override describe(): string {
    return this.signal.name;
  }
  protected override begin(): boolean {
    if (this.signal.signaled) return true;
    this.signal.waiters.push(this);
    return false;
  }
  protected override finish(): void {}
  override abort(): boolean {
    this.list?.remove(this);
    return true;
  }
}
