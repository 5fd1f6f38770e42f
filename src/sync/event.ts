/**
 * A condition that holds or does not, and that tasks wait for. Level-triggered: while it is set every wait
 * passes. Who waits when it is set goes on, also when it is reset before that task runs.
 *
 * A `Signal` is the one for things that happen once; it needs no reset and says so by its type.
 */

import { EmbeddedList } from "../coordinator/embedded-list.ts";
import type { Operation } from "../coordinator/operation.ts";
import { given, nameOf } from "../coordinator/options.ts";
import { QueuedWait } from "./queued.ts";

export interface EventStatistics {
  readonly set: boolean;
  readonly waiting: number;
}

export class Event {
  /** For dumps and error messages. */
  readonly name: string;
  /** @internal */ readonly waiters: EmbeddedList<EventWait> = new EmbeddedList();
  private on: boolean;

  constructor(options?: { readonly name?: string; readonly set?: boolean }) {
    this.name = nameOf(options, "event");
    this.on = given(options, "set") ?? false;
  }

  get isSet(): boolean {
    return this.on;
  }

  /** Tasks that wait. O(1). */
  get waiting(): number {
    return this.waiters.length;
  }

  statistics(): EventStatistics {
    return { set: this.on, waiting: this.waiters.length };
  }

  /** Lets everyone pass who waits, oldest first, and who comes until the next reset. Never suspends. */
  set(): void {
    this.on = true;
    for (let wait = this.waiters.shift(); wait !== null; wait = this.waiters.shift()) wait.grant();
  }

  /** Who comes from now on waits. */
  reset(): void {
    this.on = false;
  }

  /** Waits until it is set; passes at once when it is. */
  wait(): Operation<void> {
    return new EventWait(this);
  }
}

class EventWait extends QueuedWait<void> {
  private readonly event: Event;
  constructor(event: Event) {
    super();
    this.event = event;
  }
  override describe(): string {
    return this.event.name;
  }
  protected override begin(): boolean {
    if (this.event.isSet) return true;
    this.event.waiters.push(this);
    return false;
  }
  protected override finish(): void {}
}
