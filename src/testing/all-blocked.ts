/** Waiting until nobody else can do anything: the moment before the clock would jump. */

import { type Embedded, EmbeddedList } from "../coordinator/embedded-list.ts";
import { UsageError } from "../coordinator/errors.ts";
import type { Operation } from "../coordinator/operation.ts";
import type { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import type { Task } from "../coordinator/task/task.ts";
import { Wait } from "../coordinator/wait.ts";

/** The tasks of each virtual runtime that wait for that moment. */
const waiting = new WeakMap<Cooperator, EmbeddedList<AllBlocked>>();

/**
 * Waits until every other task is blocked, at this very time: before the clock jumps to the next timer. Where a
 * test wants to look at what others have come to, this is better than a sleep or a number of yields.
 *
 * @throws {UsageError} `COOP_NOT_VIRTUAL` on a cooperator that is not a virtual runtime's.
 * @example
 * const reader = spawn(read());
 * yield* untilAllBlocked();
 * assert(reader.status === "blocked");
 */
export function untilAllBlocked(): Operation<void> {
  return new AllBlocked();
}

/** @internal The runtime of `cooperator` will say when all are blocked. */
export function expectBlocked(cooperator: Cooperator): void {
  waiting.set(cooperator, new EmbeddedList());
}

/** @internal All are blocked: wakes those who wait for it, if there are any. */
export function allBlocked(cooperator: Cooperator): boolean {
  const list = waiting.get(cooperator)!;
  if (list.length === 0) return false;
  for (let wait = list.shift(); wait !== null; wait = list.shift()) wait.grant();
  return true;
}

class AllBlocked extends Wait<void> {
  override describe(): string {
    return "all others to be blocked";
  }
  protected override begin(task: Task): boolean {
    const list = waiting.get(task.cooperator);
    if (list === undefined) {
      throw new UsageError("COOP_NOT_VIRTUAL", "untilAllBlocked() works on a virtual runtime only");
    }
    list.push(this);
    return false;
  }
  protected override finish(): void {}
  override abort(): boolean {
    this.list?.remove(this as Embedded);
    return true;
  }
}
