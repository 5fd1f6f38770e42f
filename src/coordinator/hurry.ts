/**
 * The end of patience: clean-up that overran its time is cut short, and said so where the kill is awaited.
 * Memory the kernel may still write to is the exception: an operation in flight is always waited for.
 */
import { describeTask } from "./dump.ts";
import { StuckError } from "./errors.ts";
import { DeferScope, Drain } from "./finish.ts";
import { meetAgain, requestKill } from "./kill.ts";
import type { Task } from "./task.ts";
import { BLOCKED, ENDED } from "./task-state.ts";
import { allTasks } from "./walk.ts";

/** Cuts short what still cleans up in `task`'s subtree, children before parents. */
export function hurryTree(task: Task): void {
  const order = allTasks([task]);
  for (let i = order.length - 1; i >= 0; i--) hurry(order[i]!);
}

function hurry(task: Task): void {
  if (task.state === ENDED || task.needRare().hurried) return;
  task.needRare().hurried = true;
  const wait = task.wait;
  // A task that merely waits for its children is not the one that is stuck.
  if (task.state !== BLOCKED || wait === null || wait instanceof Drain) return;
  const error = new StuckError(`${task.label} did not stop in time; it was in ${describeTask(task)}`);
  task.cleanupFailed(error);
  task.cooperator.report({ kind: "stuck", task, where: describeTask(task), error });
  if (meetAgain(task)) return;
  for (let frame = task.top; frame !== null; frame = frame.below) {
    if (frame.scope instanceof DeferScope) {
      requestKill(frame.scope, error);
      return;
    }
  }
  if (wait.killMode !== "unwind" && wait.abort()) {
    wait.rollback();
    task.wait = null;
    task.doomed ??= task.unwinding ?? task;
    task.cooperator.ready(task);
  }
}
