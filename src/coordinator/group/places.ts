/**
 * The places of a group with a limit: how many children may live at a time, and who waits to add one.
 *
 * ```
 *   start ── a place is free ──────────────────────────────────────────────▶ spawned, in it
 *     └── none: queued ── a child ends, its place is promised to the oldest ──▶ spawned, in it
 *              └─ killed: leaves the queue          └─ killed: the promise goes on to the next
 * ```
 * While anybody waits every place is taken or promised, so nobody can come in between, and somebody's end is
 * always due to serve the queue.
 */

import { EmbeddedList } from "../embedded-list.ts";
import { UsageError } from "../errors.ts";
import { type Body, describeValue } from "../operation.ts";
import { given } from "../options.ts";
import type { SpawnOptions } from "../task/spawn.ts";
import type { Task } from "../task/task.ts";
import { Wait } from "../wait.ts";
import type { Group } from "./group.ts";

export class Places {
  readonly limit: number;
  /** Places of children that have ended, each promised to a waiter that has not run yet. */
  promised = 0;
  readonly waiters: EmbeddedList<PlaceWait<unknown>> = new EmbeddedList();

  constructor(limit: number) {
    this.limit = checkLimit(limit);
  }

  /** A child is about to leave its place: it goes straight to the oldest waiter. */
  handOver(): void {
    const next = this.waiters.shift();
    if (next === null) return;
    this.promise(next);
    next.grant();
  }

  promise(wait: PlaceWait<unknown>): void {
    wait.promised = true;
    this.promised++;
  }

  /** A promise is not needed any more. */
  passOn(group: Group): void {
    this.promised--;
    this.handOver();
    if (group.working === 0) group.host?.drained();
  }
}

/** @internal */
export function checkLimit(limit: unknown): number {
  if (limit === Number.POSITIVE_INFINITY || (Number.isSafeInteger(limit) && (limit as number) >= 1)) {
    return limit as number;
  }
  const what = typeof limit === "number" ? limit : describeValue(limit);
  throw new UsageError("COOP_OPTION", `a limit is a whole number from 1 up, not ${what}`);
}

/** The wait of `group.start`. */
export class PlaceWait<A> extends Wait<Task<A>> {
  private readonly group: Group;
  private readonly body: Body<A>;
  private readonly options: SpawnOptions | undefined;
  /** A place is kept for it. */
  promised = false;

  constructor(group: Group, body: Body<A>, options: SpawnOptions | undefined) {
    super();
    this.group = group;
    this.body = body;
    this.options = options;
  }

  override describe(): string {
    return `a place in ${this.group.name}`;
  }

  protected override begin(task: Task): boolean {
    const { group } = this;
    this.promised = false;
    group.checkOpen();
    group.host!.cooperator.checkThread(task.cooperator);
    const { places } = group;
    // A daemon takes no place, and a detached task belongs to somebody else.
    if (places === null || given(this.options, "daemon") === true || given(this.options, "detached") === true)
      return true;
    const wait = this as unknown as PlaceWait<unknown>;
    if (group.working >= places.limit) {
      places.waiters.push(wait);
      return false;
    }
    // Kept until it goes on, which in a select may be later.
    places.promise(wait);
    return true;
  }

  protected override finish(): Task<A> {
    const { group } = this;
    const { places } = group;
    if (!this.promised || places === null) return group.spawn(this.body, this.options);
    this.promised = false;
    try {
      // The place is kept until somebody is in it.
      places.promised--;
      return group.spawn(this.body, this.options);
    } catch (error) {
      places.promised++;
      places.passOn(group);
      throw error;
    }
  }

  override abort(): boolean {
    this.list?.remove(this);
    return true;
  }

  override rollback(): void {
    if (!this.promised) return;
    this.promised = false;
    this.group.places!.passOn(this.group);
  }
}
