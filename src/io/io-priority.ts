/**
 * How urgent the io of a task is, apart from how urgent the task is. Source: seeds M-035.
 *
 * Honoured three times: when an operation waits for its turn at the ring's limit on file operations, by the
 * disk's scheduler (ioprio of reads and writes), and when completions come in together.
 */
import { UsageError } from "../coordinator/errors.ts";
import { describeValue } from "../coordinator/operation.ts";
import type { Task } from "../coordinator/task/task.ts";
import { TaskLocal } from "../coordinator/task/task-local.ts";

export type IoPriority = "high" | "normal" | "low";

/** As the run queue's: smaller is more urgent. */
export type Urgency = 0 | 1 | 2;
export const URGENT: Urgency = 0;
export const USUAL: Urgency = 1;
export const IDLE: Urgency = 2;

const URGENCIES: Readonly<Record<IoPriority, Urgency>> = { high: URGENT, normal: USUAL, low: IDLE };

/**
 * `ioprio_set(2)`: class in the upper three bits. High is the best level of the best-effort class, which needs
 * no privilege and cannot starve others as the real-time class can; low is the idle class.
 */
const IOPRIO: readonly number[] = [2 << 13, 0, 3 << 13];

const local = new TaskLocal<Urgency>(USUAL);

/**
 * Sets the io priority of the running task, and of what it spawns from now on. Default `"normal"`.
 *
 * @example
 * const scrub = op(function* () {
 *   setIoPriority("low"); // reads behind everybody else's
 *   …
 * });
 */
export function setIoPriority(priority: IoPriority): void {
  if (typeof priority !== "string" || !Object.hasOwn(URGENCIES, priority)) {
    throw new UsageError(
      "COOP_PRIORITY",
      `an io priority is "high", "normal" or "low", not ${describeValue(priority)}`,
    );
  }
  local.set(URGENCIES[priority]);
}

/** @internal Most tasks have no task locals at all, and pay one look. */
export function urgencyOf(task: Task | null): Urgency {
  if (task === null || task.locals === null) return USUAL;
  const urgency = task.locals.get(local) as Urgency | undefined;
  return urgency ?? USUAL;
}

/** @internal The `ioprio` field of a read or write. */
export function ioprioOf(urgency: Urgency): number {
  return IOPRIO[urgency]!;
}
