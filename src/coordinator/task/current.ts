/**
 * What is running on this thread now. A step sets `task` before it resumes a body and the turn clears it
 * at its end, so code outside a step (a timer, an event listener) sees null and can never be mistaken for
 * whichever task ran last. Module state is enough: one thread runs one step at a time.
 */
import { UsageError } from "../errors.ts";
import type { Call } from "../operation.ts";
import type { Task } from "./task.ts";

export const current: {
  /** The task whose body is executing, or null outside a step. */
  task: Task | null;
  /** The operation a body has just asked to call; the step takes it and pushes a frame. */
  call: Call<unknown> | null;
} = { task: null, call: null };

/** The running task; a {@link UsageError} where none runs. `what` names the caller in the message. */
export function currentTask(what: string): Task {
  const task = current.task;
  if (task === null) {
    throw new UsageError(
      "COOP_NO_TASK",
      `${what} needs a running task: call it inside a task body, or use a Task, Group or Cooperator you hold`,
    );
  }
  return task;
}
