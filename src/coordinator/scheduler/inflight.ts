import { type Embedded, EmbeddedList } from "../embedded-list.ts";
import type { Task } from "../task/task.ts";

/**
 * An operation a task has started that a driver still works on: the task may not end before it does, since
 * memory of the task may still be written to. At the task's end it is abandoned and waited for.
 * Source: seeds C-167, X-30.
 */
export interface Inflight extends Embedded {
  /**
   * @internal Nobody will look at the result: asks the driver to stop, and whatever it may still produce is
   * given back. The completion takes it off the task's list. Idempotent.
   */
  abandon(): void;
}

/** @internal `task` may not end before this does. */
export function addInflight(task: Task, operation: Inflight): void {
  const rare = task.needRare();
  rare.inflight ??= new EmbeddedList();
  rare.inflight.push(operation);
}

/** @internal It is over; the task may have waited for that. */
export function removeInflight(task: Task, operation: Inflight): void {
  const inflight = task.rare!.inflight!;
  inflight.remove(operation);
  if (inflight.length === 0) task.drained();
}
